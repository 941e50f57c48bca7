"""Stand-ins for the slices above: they write down what the watcher tells them."""

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.watching import IntentDone, IntentFailed, SeenBlock
from sandbox.eventlog.types import NewEvent


class Listener:
    """A block and intent handler. What it was told counts only once it was recorded."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.events: list[NewEvent] = []
        self.records = 0
        self.fail_at: dict[str, int] = {}

    async def on_block(self, db: AsyncSession, block: SeenBlock) -> list[tuple[str, Any]]:
        return self._answer("block", block)

    async def on_final(self, db: AsyncSession, block: SeenBlock) -> list[tuple[str, Any]]:
        return self._answer("final", block)

    async def on_reverted(self, db: AsyncSession, block: SeenBlock) -> list[tuple[str, Any]]:
        return self._answer("reverted", block)

    async def on_done(self, db: AsyncSession, done: IntentDone) -> list[tuple[str, Any]]:
        return self._answer("done", done)

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> list[tuple[str, Any]]:
        return self._answer("not_done", failed)

    async def on_halted(self, db: AsyncSession, chain: str, reason: str) -> list[tuple[str, Any]]:
        return self._answer("halted", reason)

    async def record(self, db: AsyncSession, answers: list[Any], events: list[NewEvent]) -> None:
        self.records += 1
        for answer in answers:
            self.told += answer
        self.events += events

    def of(self, what: str) -> list[Any]:
        return [it for told, it in self.told if told == what]

    def transfers(self, what: str) -> list[tuple[str, int, int]]:
        """(tx, inclusion, units) of every transfer it was told in blocks of the kind `what`."""
        return [
            (seen.transfer.tx, seen.inclusion, seen.transfer.amount_units)
            for block in self.of(what)
            for seen in block.transfers
        ]

    def _answer(self, what: str, it: Any) -> list[tuple[str, Any]]:
        if self.fail_at.get(what, 0) > 0:
            self.fail_at[what] -= 1
            raise ValueError(f"a mistake in {what}")
        return [(what, it)]
