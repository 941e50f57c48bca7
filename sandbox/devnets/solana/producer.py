"""Makes slots: one per interval, also when empty; paused, resumed or driven by control methods.

In step with transactions, there is no slot without a reason: that of a transaction, and those that
make it final at once. So the chain does not depend on how fast anybody was.
"""

from __future__ import annotations

import asyncio

from sandbox.devnets.solana.bank import MAX_HASH_AGE, Bank


class Producer:
    """`run` is the one task that seals by time; `advance` seals at once."""

    def __init__(self, bank: Bank, slot_ms: int) -> None:
        self.bank = bank
        self.slot_ms = slot_ms
        self._has_loss = False
        self.paused = False
        self._changed = asyncio.Event()
        self.failure: OSError | None = None

    async def run(self) -> None:
        """Until cancelled. Raises OSError where the chain cannot be written, ArchiveUnusable."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self.failure is None:
            if self.paused:
                await self._wait(None)
                due = loop.time()
                continue
            # A late slot does not make the next ones hurry.
            due = max(due + self.slot_ms / 1000, loop.time())
            if self.slot_ms == 0:
                await asyncio.sleep(0)
            elif await self._wait(due - loop.time()):
                due = loop.time()
                continue
            if not self.paused:
                self._seal()
        raise self.failure

    def let_expire(self) -> None:
        """A transaction was lost: in step, its blockhash would never grow old by itself."""
        self._has_loss = True

    def _seal(self) -> None:
        if not self.bank.depths.in_step:
            self.bank.seal()
        elif self._has_loss:
            self._has_loss = False
            self.bank.advance(MAX_HASH_AGE + self.bank.depths.finality)
        elif self.bank.history.open_records:
            self.bank.advance(self.bank.depths.finality)

    async def _wait(self, seconds: float | None) -> bool:
        """Sleep; True when a setting changed meanwhile."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def fail(self, error: OSError) -> None:
        """End `run`, and with it the process."""
        self.failure = error
        self._changed.set()

    def set_slot_ms(self, slot_ms: int) -> None:
        self.slot_ms = slot_ms
        self._changed.set()

    def pause(self) -> None:
        self.paused = self.bank.gathers = True
        self._changed.set()

    def resume(self) -> None:
        self.paused = self.bank.gathers = False
        self.bank.refresh_time()
        self._changed.set()

    def advance(self, slots: int) -> None:
        """Make `slots` slots now, paused or not."""
        self.bank.advance(slots)
