"""A second node that stands at a snapshot already: growing a large one takes a second or more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from sandbox.devnets.evm.backend import Backend
from sandbox.devnets.evm.blocks import hex_of
from sandbox.devnets.evm.errors import AnvilGone
from sandbox.devnets.evm.replay import Grown, JournalMismatch
from sandbox.devnets.journal_file import JournalCorrupt
from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.snapshot_folder import SnapshotRefused

# Whoever asks for the snapshot then grows it anew and is told.
_FAILURES = (AnvilGone, JournalCorrupt, JournalMismatch, OSError, RpcError, SnapshotRefused)
Chain = tuple[Backend, Grown]


class Spare:
    """At most one; `grow` makes it."""

    def __init__(self, grow: Callable[[str], Coroutine[Any, Any, Chain]]) -> None:
        self._grow = grow
        self._name: str | None = None
        self._task: asyncio.Task[Chain | None] | None = None

    @property
    def ready(self) -> str | None:
        """The snapshot that it stands at; None while it is on its way there."""
        if self._task is None or not self._task.done() or self._task.result() is None:
            return None
        return self._name

    def prepare(self, name: str) -> None:
        """Make it, in the background, instead of a former one."""
        self._name, self._task = name, asyncio.create_task(self._make(name, self._task))

    async def take(self, name: str) -> Chain | None:
        """The caller's from now on; None when there is none, or it has ended."""
        if self._name != name or self._task is None:
            return None
        task, self._task = self._task, None
        if (made := await task) is None:
            return None
        anvil, grown = made
        with contextlib.suppress(AnvilGone, RpcError):
            head = await anvil.call("eth_getBlockByNumber", "latest", False)
            if head["hash"] == hex_of(grown.head.hash):
                return made
        await anvil.stop()
        return None

    async def drop(self, name: str | None = None) -> None:
        """End it, if it stands at that snapshot or none is named."""
        if name is None or name == self._name:
            task, self._task = self._task, None
            await _end(task)

    async def _make(self, name: str, former: asyncio.Task[Chain | None] | None) -> Chain | None:
        await _end(former)
        with contextlib.suppress(*_FAILURES):
            return await self._grow(name)
        return None


async def _end(task: asyncio.Task[Chain | None] | None) -> None:
    if task is None:
        return
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        if (made := await task) is not None:
            await made[0].stop()
