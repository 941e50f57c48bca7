"""Faults of a devnet as its clients feel them: an RPC that lags, refuses or hangs, and transactions
that are lost, kept back or doubled on their way. Nothing of it survives the process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import orjson

from sandbox.devnets.json_rpc import INVALID_PARAMS, RpcError, done, parsed

Onward = Callable[[bytes], Awaitable[tuple[bytes, bool]]]
RpcFault = Literal["off", "lag", "error", "hang"]

_MAX_MS: Final = 600_000
_MAX_DROP: Final = 1_000
_MAX_COPIES: Final = 100
_MAX_CALLS: Final = 1_000_000
_MAX_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction on its way: what the node answers for it, and who signed it."""

    id: str
    signers: tuple[str, ...]


class Wire(Protocol):
    """How transactions come to this chain."""

    method: str

    def read(self, params: list[Any]) -> Sent | None:
        """None for what the node itself refuses."""
        ...

    def address(self, text: str) -> str | None:
        """As `Sent.signers` has it; None for what is no address."""
        ...


@dataclass(slots=True)
class _Kept:
    body: bytes
    onward: Onward
    is_stuck: bool
    is_away: bool = False


class Faults:
    """Set by control methods; what it keeps back reaches the chain when its fault is over."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.on_loss: Callable[[], None] = lambda: None
        """Called when a transaction is lost for good."""
        self._rpc: RpcFault = "off"
        self._lag_ms, self._status = 0, 503
        self._changed = asyncio.Event()
        self._method: str | None = None
        self._calls: int | None = None
        self._drop = self._copies = 0
        self._delay_ms = 0
        self._stick: bool | str = False
        self._kept: dict[str, _Kept] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_order = asyncio.Lock()

    # -- control

    def set_rpc(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`{kind: off}`, `{kind: lag, ms}`, `{kind: error, status}` or `{kind: hang}`.

        `calls`: so many requests meet it, then it is over; `method`: only requests that name it do.
        """
        kind, method, calls = asked.get("kind"), asked.get("method"), asked.get("calls")
        if method is not None and not isinstance(method, str):
            raise RpcError(INVALID_PARAMS, "method must be the name of one")
        if calls is not None:
            calls = _whole(calls, "calls", 1, _MAX_CALLS)
        if kind == "lag":
            self._lag_ms = _whole(asked.get("ms"), "ms", 1, _MAX_MS)
        elif kind == "error":
            self._status = _whole(asked.get("status", 503), "status", 400, 599)
        elif kind not in ("off", "hang"):
            raise RpcError(INVALID_PARAMS, "kind must be off, lag, error or hang")
        self._rpc, self._method, self._calls = kind, method, calls
        self._changed.set()
        self._changed = asyncio.Event()
        return self.shown()

    def set_sending(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`drop`: so many sends are lost; `delayMs`; `stick`: true, an address, or false; `copies`:
        each send that reaches the chain does so again, so many times.
        """
        drop = _whole(asked.get("drop", self._drop), "drop", 0, _MAX_DROP)
        copies = _whole(asked.get("copies", self._copies), "copies", 0, _MAX_COPIES)
        delay_ms = _whole(asked.get("delayMs", self._delay_ms), "delayMs", 0, _MAX_MS)
        stick = asked.get("stick", self._stick)
        if isinstance(stick, str):
            stick = self._wire.address(stick)
        if stick is None or not isinstance(stick, bool | str):
            raise RpcError(INVALID_PARAMS, "stick must be true, false or an address")
        self._drop, self._delay_ms, self._stick, self._copies = drop, delay_ms, stick, copies
        if stick is False:
            self._later(self._free(lambda kept: kept.is_stuck))
        return self.shown()

    def clear(self) -> None:
        """End every fault; what is kept back goes on to the chain."""
        self.set_rpc({"kind": "off"})
        self.set_sending({"drop": 0, "delayMs": 0, "stick": False, "copies": 0})
        self._later(self._free(lambda kept: True))

    def forget(self) -> None:
        """What is kept back is lost."""
        for sent_id in [at for at, kept in self._kept.items() if not kept.is_away]:
            del self._kept[sent_id]

    def shown(self) -> dict[str, Any]:
        """The faults that are set, and the transactions that are kept back."""
        rpc: dict[str, Any] = {"kind": self._rpc}
        if self._rpc == "lag":
            rpc["ms"] = self._lag_ms
        elif self._rpc == "error":
            rpc["status"] = self._status
        if self._method is not None and self._rpc != "off":
            rpc["method"] = self._method
        if self._calls is not None and self._rpc != "off":
            rpc["calls"] = self._calls
        return {
            "rpc": rpc,
            "drop": self._drop,
            "copies": self._copies,
            "delayMs": self._delay_ms,
            "stick": self._stick,
            "kept": list(self._kept),
        }

    # -- on the way of a request

    @property
    def is_rpc_faulty(self) -> bool:
        return self._rpc != "off"

    async def refuses(self, methods: list[str]) -> int | None:
        """The HTTP status to refuse a body with these methods with; returns late, or not before the
        fault is over.
        """
        if self._rpc == "off" or (self._method is not None and self._method not in methods):
            return None
        kind, lag_ms, status, changed = self._rpc, self._lag_ms, self._status, self._changed
        if self._calls is not None:
            self._calls -= 1
            if not self._calls:
                self._rpc = "off"  # for the others
        if kind == "hang":
            await changed.wait()
            return await self.refuses(methods)
        if kind == "lag":
            with contextlib.suppress(TimeoutError):  # the lag is over when another fault is set
                await asyncio.wait_for(changed.wait(), lag_ms / 1000)
            return None if not changed.is_set() else await self.refuses(methods)
        return status

    async def pass_on(self, body: bytes, onward: Onward) -> tuple[bytes, bool]:
        """What `onward` answers; sent transactions may be lost or kept back instead."""
        if not (self._drop or self._copies or self._delay_ms or self._stick or self._kept):
            return await onward(body)
        try:
            asked = parsed(body)
        except RpcError:
            return await onward(body)
        requests = asked if isinstance(asked, list) else [asked]
        taken = [self._take(request, onward) for request in requests]
        if not any(taken):
            return await onward(body)
        if not isinstance(asked, list):
            return orjson.dumps(taken[0]), False
        rest = [request for request, ours in zip(requests, taken, strict=True) if ours is None]
        out, is_away = await onward(orjson.dumps(rest)) if rest else (b"", False)
        given = iter(orjson.loads(out or b"[]"))
        answers = [
            next(given) if ours is None else ours
            for request, ours in zip(requests, taken, strict=True)
            if ours is not None or not isinstance(request, dict) or "id" in request
        ]
        return orjson.dumps(answers), is_away

    def _take(self, request: Any, onward: Onward) -> dict[str, Any] | None:
        """Our answer to a send that does not reach the chain now; None for all else."""
        if not isinstance(request, dict) or request.get("method") != self._wire.method:
            return None
        params = request.get("params")
        if "id" not in request or not isinstance(params, list):
            return None
        if (sent := self._wire.read(params)) is None or len(self._kept) >= _MAX_KEPT:
            return None
        if sent.id not in self._kept:
            if self._drop:
                self._drop -= 1
                self.on_loss()
            elif self._stick is True or self._stick in sent.signers:
                self._kept[sent.id] = _Kept(orjson.dumps(request), onward, is_stuck=True)
            elif self._delay_ms:
                self._kept[sent.id] = _Kept(orjson.dumps(request), onward, is_stuck=False)
                self._later(self._deliver_late(sent.id, self._delay_ms / 1000))
            else:
                self._copy(orjson.dumps(request), onward)
                return None
        return done(request["id"], sent.id)

    def _copy(self, body: bytes, onward: Onward) -> None:
        """The same transaction again, behind the first one."""

        async def again(copies: int) -> None:
            async with self._in_order:
                for _ in range(copies):
                    with contextlib.suppress(Exception):
                        await onward(body)

        if self._copies:
            self._later(again(self._copies))

    async def _deliver_late(self, sent_id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._deliver(sent_id)

    async def _deliver(self, sent_id: str) -> None:
        """Once. What the chain says to it now, nobody is there to hear."""
        kept = self._kept.get(sent_id)
        if kept is None or kept.is_away:
            return
        kept.is_away = True
        try:
            with contextlib.suppress(Exception):  # nor may it hold up those behind it
                await kept.onward(kept.body)
            self._copy(kept.body, kept.onward)
        finally:
            del self._kept[sent_id]

    async def _free(self, is_meant: Callable[[_Kept], bool]) -> None:
        """One after the other: a later one may spend what an earlier one brought."""
        async with self._in_order:
            for sent_id in [at for at, kept in self._kept.items() if is_meant(kept)]:
                await self._deliver(sent_id)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _whole(found: Any, name: str, least: int, most: int) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise RpcError(INVALID_PARAMS, f"{name} must be a whole number {least}..{most}")
    return found
