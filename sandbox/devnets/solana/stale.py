"""The chain as a node sees it that is some slots behind: one view for every method.

A transaction that it is given still reaches the chain itself, once. Simulation, and so preflight,
runs on the newest state.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from solders.account import Account

from sandbox.devnets.solana.bank import Bank
from sandbox.devnets.solana.execution import Failure, Incoming
from sandbox.devnets.solana.history import History, first_position
from sandbox.devnets.solana.records import Block, Listed, Record
from sandbox.devnets.solana.state import Accounts


class _Accounts(Accounts):
    """Accounts after a slot; nothing newer is there."""

    def __init__(self, real: Accounts, slot: int) -> None:
        self._real, self._slot, self.tokens = real, slot, real.tokens

    def current(self, key: bytes) -> Account | None:
        return self._real.at(key, self._slot)

    def at(self, key: bytes, slot: int | None) -> Account | None:
        return self._real.at(key, self._slot if slot is None else min(slot, self._slot))

    def layered(self) -> Iterable[bytes]:
        return self._real.layered()

    def is_layered(self, key: bytes) -> bool:
        return self._real.is_layered(key)


class _History(History):
    """History up to a block, whose transactions are those of the open slot."""

    def __init__(self, real: History, behind: int) -> None:
        newest = real.blocks[-behind]
        self._real, self._slot = real, newest.slot
        self.blocks = real.blocks[:-behind]
        self.open_records = real.records_of(newest)

    def block(self, slot: int) -> Block | None:
        return self._real.block(slot) if slot < self._slot else None

    def block_of_hash(self, block_hash: bytes) -> Block | None:
        found = self._real.block_of_hash(block_hash)
        return found if found is not None and found.slot < self._slot else None

    def records_of(self, block: Block) -> list[Record]:
        return self._real.records_of(block)

    def slots(self, first: int, last: int, limit: int) -> list[int]:
        return self._real.slots(first, min(last, self._slot - 1), limit)

    def record(self, signature: bytes) -> Record | None:
        return self._seen(self._real.record(signature))

    def recent_record(self, signature: bytes) -> Record | None:
        return self._seen(self._real.recent_record(signature))

    def _seen(self, record: Record | None) -> Record | None:
        return record if record is not None and record.slot <= self._slot else None

    def listed(self, key: bytes, below: int, limit: int) -> list[Listed]:
        return self._real.listed(key, min(below, first_position(self._slot + 1)), limit)


class StaleBank(Bank):
    """A bank as it was when the block `behind` blocks ago was its open slot.

    What it inherits reads the shorter chain; it cannot make slots.
    """

    def __init__(self, real: Bank, behind: int) -> None:
        newest = real.history.blocks[-behind]
        self._real = real
        self.depths, self.svm, self.clock = real.depths, real.svm, real.clock
        self.genesis_hash, self.faucets = real.genesis_hash, real.faucets
        self.history = _History(real.history, behind)
        self.accounts = _Accounts(real.accounts, newest.slot)
        self.open_slot, self.open_time = newest.slot, newest.time
        self._held = real.final_block if real.is_finality_held else None
        # Nothing older can be read, so finality stands still until the lag has caught up with it.
        self._final_slot = min(real.settled_slot, self.tip.slot)

    def is_known(self, signature: bytes) -> bool:
        return self._real.is_known(signature) and self.history.record(signature) is not None

    def execute(self, incoming: Incoming, *, keep_failed: bool) -> Record | Failure:
        if not self._real.is_current(incoming):
            return Failure("BlockhashNotFound", None)
        if self._real.is_known(incoming.signature):
            return Failure("AlreadyProcessed", None)
        return self._real.execute(incoming, keep_failed=keep_failed)


def most_behind(bank: Bank) -> int:
    """How old a view can be: its newest sealed block must still be readable."""
    slots = [block.slot for block in bank.history.blocks]
    return max(0, len(slots) - 1 - bisect.bisect_left(slots, bank.settled_slot))
