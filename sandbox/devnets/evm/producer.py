"""When blocks are made.

Never by anvil itself: its automine stalls and loses transactions under bursts.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Final

from sandbox.devnets.evm.errors import Unavailable
from sandbox.devnets.evm.node import FINAL_DEPTH, Node

_GATHER_SECONDS: Final = 0.02  # transactions sent together go into one block
_LOOK_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Pace:
    """Milliseconds: after a transaction, until it is made final, and between idle blocks."""

    block_ms: int = 200
    final_delay_ms: int = 1_000
    heartbeat_ms: int = 12_000


class Producer:
    """The ticker. A transaction is mined at most `block_ms` after it came, alone almost at once;
    two more blocks make it final after `final_delay_ms`; an idle chain has a heartbeat.

    In step with transactions, one is mined at once, what makes it final follows, and nothing else
    is mined: so the chain does not depend on how fast anybody was.
    """

    def __init__(self, node: Node, pace: Pace, *, in_step: bool = False) -> None:
        self._node, self.pace, self._in_step = node, pace, in_step
        self._paused = False
        self._wake = asyncio.Event()
        self._mining, self._made = 0, asyncio.Event()
        self._last = time.monotonic()
        # A kill may have come before them.
        self._followers = FINAL_DEPTH if node.head.txs or not in_step else 0
        self._stuck_since: float | None = None
        self._was_cured = False
        if node.clock.now_s() - node.head.timestamp >= pace.heartbeat_ms / 1000:
            self._last = 0.0

    def set_pace(self, pace: Pace) -> None:
        """From now on; a block that waits by the former pace is looked at again."""
        self.pace = pace
        self._wake.set()

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        self._paused = True
        self._made.set()

    def resume(self) -> None:
        self._paused = False
        self._wake.set()

    def hold_finality(self, *, hold: bool) -> None:
        """Keep `finalized` where it is, whatever is mined; or let it follow again."""
        node = self._node
        if hold and node.held_final is None:
            node.held_final = node.final_number
        elif not hold:
            node.held_final = None
        self._wake.set()

    def is_stuck(self, seconds: float) -> bool:
        """Whether what is ready has been left out of blocks for so long. True once, until
        something is mined: it may be right after all.
        """
        since = self._stuck_since
        if since is None or self._was_cured or time.monotonic() - since < seconds:
            return False
        self._was_cured = True
        return True

    def restarted(self) -> None:
        """The node is another one: what was in its pool has come again."""
        self._followers = FINAL_DEPTH
        self._stuck_since = None

    @property
    def followers(self) -> int:
        """Blocks that are still to come so that what is mined becomes final."""
        return self._followers

    def restored(self, followers: int) -> None:
        """The chain is another one; a pause stays."""
        self._followers = followers
        self._stuck_since, self._was_cured = None, False
        self._last = time.monotonic()
        self._wake.set()

    async def follow(self) -> None:
        """In step: wait until what was sent is in a block and final, as far as it can be.

        So whoever sent it finds it there, and what they do next does not run beside its block.
        """
        while self._in_step and self._node.up and not self._paused and self._is_owed:
            self._made.clear()
            await self._made.wait()

    @property
    def _is_owed(self) -> bool:
        is_final_owed = bool(self._followers) and self._node.held_final is None
        return bool(self._mining) or self._busy or is_final_owed

    async def run(self) -> None:
        """Until cancelled. A block that fails because anvil is gone is made after its return."""
        while True:
            if not self._node.up:
                self._made.set()
                await asyncio.sleep(0.01)
                continue
            await self._wait_for_a_reason()
            with contextlib.suppress(Unavailable):
                await self._act()

    async def mine(self, count: int) -> None:
        """Blocks that somebody asked for."""
        mined = await self._mine(count)
        self._note(mined, count)
        await self._node.save_if_due(is_idle=not self._busy)

    async def _mine(self, count: int) -> int:
        self._mining += 1
        try:
            return await self._node.mine(count)
        finally:
            self._mining -= 1
            self._made.set()

    @property
    def _busy(self) -> bool:
        return self._node.work.is_set() or bool(self._node.left_over and self._stuck_since is None)

    def _due(self) -> float:
        """When the next block is to be made, on the monotonic clock; never is infinity."""
        node, pace = self._node, self.pace
        if self._paused:
            return float("inf")
        if self._busy:
            return self._last + (0 if self._in_step else pace.block_ms / 1000)
        if node.held_final is not None:
            return float("inf")
        if self._in_step:
            return self._last if self._followers else float("inf")
        heartbeat = self._last + pace.heartbeat_ms / 1000
        if self._followers:
            return min(heartbeat, self._last + pace.final_delay_ms / 1000)
        return heartbeat

    async def _wait_for_a_reason(self) -> None:
        while self._node.up:
            left = self._due() - time.monotonic()
            if left <= 0:
                if self._node.work.is_set() and not self._in_step:
                    await asyncio.sleep(min(_GATHER_SECONDS, self.pace.block_ms / 1000))
                if self._due() <= time.monotonic():
                    return
                continue
            self._wake.clear()
            waits = [asyncio.create_task(self._wake.wait())]
            if not self._node.work.is_set():
                waits.append(asyncio.create_task(self._node.work.wait()))
            try:
                await asyncio.wait(
                    waits,
                    timeout=min(left, _LOOK_SECONDS),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                for task in waits:
                    task.cancel()

    async def _act(self) -> None:
        node = self._node
        is_asked = node.work.is_set()
        if node.held_final is not None:
            count = 1
        elif self._busy:
            count = 1 + FINAL_DEPTH * self._in_step
        else:
            count = max(1, self._followers)
        mined = await self._mine(count)
        self._note(mined or is_asked, count)
        await node.save_if_due(is_idle=not self._busy)

    def _note(self, mined: int, count: int) -> None:
        self._last = time.monotonic()
        if mined:
            self._followers = FINAL_DEPTH - (count - 1) * self._in_step
            self._was_cured = False
        else:
            self._followers = max(0, self._followers - count)
        if not self._node.left_over or mined:
            self._stuck_since = None
        elif self._stuck_since is None:
            # Ready and left out of a block with room: its fee is too low, or anvil has lost it.
            self._stuck_since = self._last
