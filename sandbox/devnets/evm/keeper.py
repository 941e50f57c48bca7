"""Looks after anvil: replaces it when it must be, and says what grows or waits too long."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final

from sandbox.devnets.evm.errors import AnvilGone
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.producer import Producer
from sandbox.devnets.evm.waiting import Waiting, forgotten, waiting

_LOOK_SECONDS: Final = 1
_STARTS_AT_ONCE: Final = 5  # within `_STARTS_SECONDS`, after which it is given up
_STARTS_SECONDS: Final = 60
_GROWTH: Final = 1.5
_SAID_AT_PERCENT: Final = (50, 75, 90)  # of the memory that it may hold
_LINES_AT_ONCE: Final = 5


class AnvilKeepsEnding(Exception):
    """anvil was started again and again and does not stay."""


class Keeper:
    """`run` is its one task; `health` is what it knows."""

    def __init__(self, node: Node, producer: Producer, *, memory_mb: int, pool_s: float) -> None:
        self._node, self._producer = node, producer
        self._memory_mb = self._most_mb = memory_mb
        self._pool_s = pool_s
        self._said_percent = 0
        self._said: set[str] = set()  # transactions
        self._starts: list[float] = []

    async def run(self) -> None:
        """Until cancelled: replace anvil when it ends, does not answer, grows over its memory, or
        leaves payable transactions out. Raises AnvilKeepsEnding, and what `Node.restart` raises.
        """
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                ended = asyncio.create_task(self._node.anvil_ended())
                await asyncio.wait({ended, watch}, return_when=asyncio.FIRST_COMPLETED)
                why = "anvil ended"
                if watch.done():
                    why = watch.result()
                    watch = asyncio.create_task(self._watch())
                ended.cancel()
                await self._restart(why)
        finally:
            watch.cancel()

    def replaced(self) -> None:
        """anvil is a fresh one. What is large by right must not be replaced for ever."""
        self._most_mb = max(self._memory_mb, int(self._node.resident_mb * _GROWTH))
        self._said_percent = 0

    async def health(self) -> dict[str, Any]:
        """For people and dashboards; sizes in MB and bytes."""
        node = self._node
        return {
            "up": node.up,
            "engine": node.genesis.anvil,
            "anvilPid": node.anvil_pid,
            "residentMb": node.resident_mb,
            "residentMbMost": self._most_mb,
            "blockNumber": node.head.number,
            "journalBytes": node.journal_bytes,
            "replaySeconds": round(node.replay_seconds, 3),
            "replayed": node.replayed,
            "spare": node.snapshots.spare,
            "pool": len(node.pool),
            "subscriptions": 0 if node.observer is None else len(node.observer),
            "waiting": [
                {
                    "hash": each.hash,
                    "from": each.sender,
                    "nonce": each.nonce,
                    "seconds": each.seconds,
                    "why": each.why,
                }
                for each in await waiting(node, self._pool_s)
            ],
        }

    async def _restart(self, why: str) -> None:
        starts = self._starts
        while True:
            now = time.monotonic()
            starts[:] = [at for at in starts if now - at < _STARTS_SECONDS] + [now]
            if len(starts) > _STARTS_AT_ONCE:
                raise AnvilKeepsEnding(
                    f"anvil was started {_STARTS_AT_ONCE} times within {_STARTS_SECONDS} s"
                    f" and does not stay ({why})"
                )
            try:
                await self._node.restart()
            except AnvilGone as error:
                why = str(error)
                await asyncio.sleep(0.1 * len(starts))
                continue
            self._producer.restarted()
            self.replaced()
            sys.stderr.write(
                f"{why}: started it again, block {self._node.head.number}"
                f" after {self._node.replay_seconds:.2f} s\n"
            )
            return

    async def _watch(self) -> str:
        """Returns why anvil should be replaced."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if not self._node.up:
                continue
            if (held := self._node.resident_mb) > self._most_mb:
                return f"anvil held {held} MB"
            self._say_memory(held)
            found = await waiting(self._node, self._pool_s)
            self._say_waiting(found)
            _say(await forgotten(self._node))
            payable = sum(each.is_payable for each in found)
            if payable and self._producer.is_stuck(self._pool_s):
                return f"anvil left {payable} payable transactions out of blocks"

    def _say_memory(self, held_mb: int) -> None:
        percent = held_mb * 100 // self._most_mb
        reached = max((each for each in _SAID_AT_PERCENT if each <= percent), default=0)
        if reached > self._said_percent:
            self._said_percent = reached
            sys.stderr.write(
                f"anvil holds {held_mb} MB, {percent} % of what it may: above {self._most_mb} MB"
                " it is replaced, which takes a moment and loses nothing\n"
            )

    def _say_waiting(self, found: list[Waiting]) -> None:
        fresh = [each for each in found if each.hash not in self._said]
        self._said = {each.hash for each in found}
        _say([str(each) for each in fresh])


def _say(lines: list[str]) -> None:
    for line in lines[:_LINES_AT_ONCE]:
        sys.stderr.write(f"{line}\n")
    if len(lines) > _LINES_AT_ONCE:
        sys.stderr.write(f"and {len(lines) - _LINES_AT_ONCE} more: see sandbox_health\n")
