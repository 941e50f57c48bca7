"""Whether the worker keeps up with the chains: what is late with everything has lost nothing.

Blocks come by the clock of the wall, however little of the machine is left for who reads them.
"""

import asyncio
import contextlib
import time
from typing import Any, Protocol

import asyncpg
import httpx2

from sandbox.cli.endpoints import Running

_LOOK_S = 1.0
# So many final blocks may be unread: those of some seconds at the pace of a test.
_MOST_UNREAD = {"solana": 250, "evm": 25}
_FINAL: dict[str, tuple[str, list[Any]]] = {
    "solana": ("getSlot", [{"commitment": "finalized"}]),
    "evm": ("eth_getBlockByNumber", ["finalized", False]),
}
# What is killed answers nothing, or half of it.
_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, httpx2.TransportError, OSError,
         ValueError, KeyError, TypeError)  # fmt: skip
_CURSORS = "SELECT chain, height FROM chain_cursor WHERE view = 'final'"


class Sandbox(Protocol):
    """Who knows where the sandbox is now."""

    running: Running


class Following:
    """`run` looks again and again. While the worker is behind, nobody should ask for more."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._node = httpx2.AsyncClient(timeout=5)
        self._unread: dict[str, int] = {}
        self._caught_up_at = time.monotonic()

    @property
    def is_behind(self) -> bool:
        return bool(self._late())

    def since(self, began: float) -> float:
        """From when one that has waited since `began` may lose patience, on the monotonic clock:
        not before the worker was behind and caught up a little for the last time.
        """
        return max(began, self._caught_up_at)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with contextlib.suppress(*_AWAY):
                await self._look()
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        await self._node.aclose()

    async def _look(self) -> None:
        db = await asyncpg.connect(self._sandbox.running.endpoints["database"], timeout=5)
        try:
            rows = await db.fetch(_CURSORS, timeout=5)
        finally:
            await db.close()
        unread = {row["chain"]: await self._final(row["chain"]) - row["height"] for row in rows}
        if any(unread[chain] < self._unread[chain] for chain in self._late()):
            self._caught_up_at = time.monotonic()
        self._unread = unread

    def _late(self) -> list[str]:
        return [chain for chain, unread in self._unread.items() if unread > _MOST_UNREAD[chain]]

    async def _final(self, chain: str) -> int:
        """The height of the newest block that is final."""
        method, params = _FINAL[chain]
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        url = self._sandbox.running.endpoints[f"{chain}_rpc"]
        found = (await self._node.post(url, json=body)).json()["result"]
        return int(found["number"], 16) if isinstance(found, dict) else int(found)
