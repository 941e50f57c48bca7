"""Both chains' part of a snapshot, over their control methods; the same words on each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx2

TIMEOUT_S: Final = 120.0


class ChainRefused(Exception):
    """A devnet understood and said no; the text is its own."""


class ChainSilent(Exception):
    """A devnet does not answer now."""


class Chains:
    """The devnets of one world, by name."""

    def __init__(self, rpcs: Mapping[str, str]) -> None:
        self._rpcs = rpcs
        # Loopback without TLS: a context for it would take longer to make than the calls take.
        self._http = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def pause(self) -> list[str]:
        """Make no blocks; answers whose chains did, until now."""
        faults = await self._all("sandbox_getFaults")
        await self._all("sandbox_pause")
        return [name for name, shown in faults.items() if not shown["paused"]]

    async def resume(self, names: Sequence[str]) -> None:
        await asyncio.gather(*(self._call(name, "sandbox_resume") for name in names))

    async def snapshot(self, name: str) -> None:
        await self._all("sandbox_snapshot", {"name": name})

    async def have(self, name: str) -> bool:
        """Whether every chain has a snapshot of this name."""
        return all(name in names for names in (await self._names()).values())

    async def restore(self, name: str) -> None:
        """Go back; chains that were paused stay so, and all drills end but that one."""
        await self._all("sandbox_restore", {"name": name})

    async def clear_faults(self) -> None:
        """End all drills; blocks are made again."""
        await self._all("sandbox_clearFaults")

    async def set_clocks(self, offset_ms: int, frozen_ms: int | None) -> None:
        await self._all("sandbox_setClock", {"offsetMs": offset_ms, "frozenAtMs": frozen_ms})

    async def sweep(self, is_ours: Callable[[str], bool]) -> None:
        """Delete the snapshots of these names."""
        for chain, names in (await self._names()).items():
            for name in filter(is_ours, names):
                await self._call(chain, "sandbox_deleteSnapshot", {"name": name})

    async def _names(self) -> dict[str, list[str]]:
        listed = await self._all("sandbox_listSnapshots")
        return {chain: [about["name"] for about in found] for chain, found in listed.items()}

    async def _all(self, method: str, *params: Any) -> dict[str, Any]:
        asked: list[Awaitable[Any]] = [self._call(name, method, *params) for name in self._rpcs]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return dict(zip(self._rpcs, answers, strict=True))

    async def _call(self, name: str, method: str, *params: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            answer = (await self._http.post(self._rpcs[name], json=call)).json()
        except (httpx2.HTTPError, OSError, ValueError) as error:
            raise ChainSilent(f"{name}: {error!r}") from error
        if "error" in answer:
            raise ChainRefused(f"{name}: {answer['error'].get('message')}")
        return answer["result"]
