"""The `Drills` protocol: what control methods of a devnet make go wrong, the same on any chain."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Literal, Protocol, get_args

from sandbox.chains.json_rpc import METHOD_NOT_FOUND, JsonRpc, NodeRefused
from sandbox.core.errors import SandboxError

Drill = Literal[
    "rpc_error",
    "rpc_slow",
    "rpc_silent",
    "rpc_stale",
    "send_lost",
    "send_late",
    "send_stuck",
    "send_twice",
    "no_finality",
    "no_blocks",
    "reorg",
    "reorg_kept",
    "blockhash_expired",
]
"""rpc_*: how the node answers; send_*: what becomes of sent transactions; the rest: its blocks."""
DRILLS: tuple[Drill, ...] = get_args(Drill)
AT_ONCE: frozenset[Drill] = frozenset({"reorg", "reorg_kept", "blockhash_expired"})
"""These happen when they are asked for, and are over then."""

LAG_MS, LATE_MS = 1_000, 3_000


class DrillRefused(SandboxError):
    """The chain cannot be made to do that: it is none of ours, or not now."""

    status, code = 409, "fault_refused"

    def __init__(self, chain: str, why: str) -> None:
        super().__init__(f"{chain}: {why}", chain=chain)


class Drills(Protocol):
    """Raises `ChainUnavailable`, and `DrillRefused` for what this chain cannot do."""

    chain: str
    drills: Collection[Drill]

    async def set(self, drill: Drill, times: int) -> None:
        """Switch it on, `times` as far as it counts (requests, transactions, blocks); 0: off."""
        ...

    async def state(self) -> Mapping[Drill, int]:
        """The drills that last → how many more times; 1 for what is simply on."""
        ...

    async def depth(self, height: int) -> int:
        """How many of the youngest blocks a reorg must take so that this one is among them."""
        ...

    async def aclose(self) -> None: ...


class DevnetDrills(ABC):
    """What both devnets take by the same names; a chain adds its own."""

    drills: Collection[Drill] = (
        *("rpc_error", "rpc_slow", "rpc_silent", "send_lost", "send_late"),
        *("send_stuck", "send_twice", "no_finality", "no_blocks", "reorg", "reorg_kept"),
    )
    blocks = "blocks"

    def __init__(self, rpc: JsonRpc, chain: str) -> None:
        self.chain, self._rpc = chain, rpc

    async def aclose(self) -> None:
        await self._rpc.aclose()

    async def set(self, drill: Drill, times: int) -> None:
        if drill not in self.drills:
            raise DrillRefused(self.chain, f"there is no {drill} here")
        await self._setters[drill](times)

    async def state(self) -> Mapping[Drill, int]:
        shown = await self._control("sandbox_getFaults")
        rpc, found = shown["rpc"], dict[Drill, int]()
        kinds: dict[str, Drill] = {
            "error": "rpc_error",
            "lag": "rpc_slow",
            "hang": "rpc_silent",
            "stale": "rpc_stale",
        }
        if rpc["kind"] in kinds:
            found[kinds[rpc["kind"]]] = rpc.get("calls", rpc.get("slots", 1))
        named: dict[Drill, int] = {
            "send_lost": shown["drop"],
            "send_late": int(shown["delayMs"] > 0),
            "send_stuck": int(shown["stick"] is not False),
            "send_twice": shown["copies"],
            "no_finality": int(shown["finalityHeld"]),
            "no_blocks": int(shown["paused"]),
        }
        return found | {drill: times for drill, times in named.items() if times}

    async def depth(self, height: int) -> int:
        tip = await self._tip()
        return tip - height + 1

    @abstractmethod
    async def _tip(self) -> int:
        """The height of the youngest whole block."""

    async def _control(self, method: str, *params: Any) -> Any:
        try:
            return await self._rpc.call(method, *params)
        except NodeRefused as refused:
            if refused.code == METHOD_NOT_FOUND:
                raise DrillRefused(self.chain, "its node has no control methods") from refused
            why = refused.message.removeprefix("Invalid params: ")
            raise DrillRefused(self.chain, why) from refused

    @property
    def _setters(self) -> Mapping[Drill, Callable[[int], Awaitable[None]]]:
        return {
            "rpc_error": lambda times: self._set_rpc(times, kind="error", status=503),
            "rpc_slow": lambda times: self._set_rpc(times, kind="lag", ms=LAG_MS),
            "rpc_silent": lambda times: self._set_rpc(times, kind="hang"),
            "send_lost": lambda times: self._set_sending(drop=times),
            "send_late": lambda times: self._set_sending(delayMs=LATE_MS if times else 0),
            "send_stuck": lambda times: self._set_sending(stick=times > 0),
            "send_twice": lambda times: self._set_sending(copies=times),
            "no_finality": self._hold_finality,
            "no_blocks": self._pause,
            "reorg": lambda times: self._reorg(times, "drop"),
            "reorg_kept": lambda times: self._reorg(times, "reinclude"),
        }

    async def _set_rpc(self, times: int, **asked: Any) -> None:
        fault = {**asked, "calls": times} if times else {"kind": "off"}
        await self._control("sandbox_setRpcFault", fault)

    async def _set_sending(self, **asked: Any) -> None:
        await self._control("sandbox_setSendingFault", asked)

    async def _hold_finality(self, times: int) -> None:
        await self._control("sandbox_holdFinality", {"hold": times > 0})

    async def _pause(self, times: int) -> None:
        await self._control("sandbox_pause" if times else "sandbox_resume")

    async def _reorg(self, blocks: int, mode: str) -> None:
        if blocks:
            await self._control("sandbox_reorg", {self.blocks: blocks, "mode": mode})
