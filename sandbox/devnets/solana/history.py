"""Blocks and transactions, from memory where they are recent and from the archive where not."""

from __future__ import annotations

import bisect
import itertools
from collections import deque

from sandbox.devnets.solana.archive import Archive
from sandbox.devnets.solana.records import INDEX_BITS, Block, Listed, Record

_TRIM_STEP = 256


class History:
    """The chain as it stands: sealed blocks, plus the open slot's transactions."""

    def __init__(self, archive: Archive, window: int) -> None:
        self.archive = archive
        self._window = window
        self.blocks: list[Block] = []  # newest last; at least `window` of them when there are
        self._by_slot: dict[int, Block] = {}
        self._by_hash: dict[bytes, Block] = {}
        self._by_signature: dict[bytes, Record] = {}
        # One record where there is one: most addresses here are references, named once.
        self._by_address: dict[bytes, Record | deque[Record]] = {}
        self._leaving: deque[Record] = deque()  # archived, and still found in memory
        self._floor = 0  # every record from this position on is in memory
        self.open_records: list[Record] = []
        self.live_records = 0  # sealed and not archived

    @property
    def tip(self) -> Block:
        return self.blocks[-1]

    def append(self, block: Block) -> None:
        """A sealed block; its records were added while they ran (or are, at replay, by `add`)."""
        self.blocks.append(block)
        self._by_slot[block.slot] = block
        self._by_hash[block.hash] = block
        self.live_records += len(block.records or ())
        self._trim()

    def _trim(self) -> None:
        surplus = len(self.blocks) - self._window
        if surplus < _TRIM_STEP:
            return
        while surplus and self.blocks[surplus - 1].records is not None:
            surplus -= 1  # not archived yet
        for block in self.blocks[:surplus]:
            del self._by_slot[block.slot]
            del self._by_hash[block.hash]
        del self.blocks[:surplus]

    def begin(self, slot: int) -> None:
        """What the archive has ends below `slot`."""
        self._floor = first_position(slot)

    def add(self, record: Record) -> None:
        """Index a transaction of the open slot."""
        self._by_signature[record.signature] = record
        by_address = self._by_address
        for key in dict.fromkeys(record.all_keys()):
            found = by_address.get(key)
            if found is None:
                by_address[key] = record
            elif isinstance(found, deque):
                found.append(record)
            else:
                by_address[key] = deque((found, record))
        self.forget(2)  # as many leave as come, and nobody waits for thousands

    def evict(self, block: Block) -> None:
        """A block's records are in the archive and leave memory; called in chain order."""
        self._leaving.extend(block.records or ())
        self.live_records -= len(block.records or ())
        block.records = None

    def forget(self, most: int) -> None:
        """Let at most so many of the evicted records go."""
        for _ in range(min(most, len(self._leaving))):
            record = self._leaving.popleft()
            self._floor = record.position + 1
            del self._by_signature[record.signature]
            for key in dict.fromkeys(record.all_keys()):
                found = self._by_address[key]
                if isinstance(found, deque):
                    left = found.popleft()
                    if not found:
                        del self._by_address[key]
                else:
                    left = self._by_address.pop(key)  # type: ignore[assignment]  # one record, as it is no deque
                assert left is record

    def roll_back(self, slot: int) -> list[Record]:
        """Drop the open slot and every block above `slot`; gives what was in them, in order."""
        dropped: list[Record] = []
        while self.tip.slot > slot:
            block = self.blocks.pop()
            assert block.records is not None, "a final block cannot be rolled back"
            del self._by_slot[block.slot]
            del self._by_hash[block.hash]
            self.live_records -= len(block.records)
            dropped[:0] = block.records
        dropped += self.open_records
        self.open_records = []
        for record in reversed(dropped):
            del self._by_signature[record.signature]
            for key in dict.fromkeys(record.all_keys()):
                found = self._by_address[key]
                if isinstance(found, deque):
                    last = found.pop()
                    if not found:
                        del self._by_address[key]
                else:
                    last = self._by_address.pop(key)  # type: ignore[assignment]  # one record, as it is no deque
                assert last is record
        return dropped

    def block(self, slot: int) -> Block | None:
        if (found := self._by_slot.get(slot)) is not None:
            return found
        if slot >= self.blocks[0].slot or slot < 0:
            return None
        return self.archive.block(slot)

    def block_of_hash(self, block_hash: bytes) -> Block | None:
        """A recent block by its hash; old ones are not found (their hashes have expired)."""
        return self._by_hash.get(block_hash)

    def records_of(self, block: Block) -> list[Record]:
        if block.records is not None:
            return block.records
        return self.archive.records_of(block.slot)

    def slots(self, first: int, last: int, limit: int) -> list[int]:
        """Slots with a block in first..last, ascending, at most `limit`."""
        found: list[int] = []
        oldest = self.blocks[0].slot
        if first < oldest:
            found = self.archive.slots(first, min(last, oldest - 1), limit)
        for block in self.blocks:
            if len(found) >= limit or block.slot > last:
                break
            if block.slot >= first:
                found.append(block.slot)
        return found

    def record(self, signature: bytes) -> Record | None:
        return self._by_signature.get(signature) or self.archive.record(signature)

    def recent_record(self, signature: bytes) -> Record | None:
        """Like `record`, without the look on disk."""
        return self._by_signature.get(signature)

    def listed(self, key: bytes, below: int, limit: int) -> list[Listed]:
        """Transactions of sealed blocks that name `key`, newest first, below position `below`."""
        found = self._by_address.get(key, ())
        records = found if isinstance(found, deque | tuple) else (found,)
        below = min(below, first_position(self.tip.slot + 1))
        newer = len(records) - bisect.bisect_left(records, below, key=lambda each: each.position)
        out = [
            Listed.of(record, self._by_slot[record.slot].time)
            for record in itertools.islice(reversed(records), newer, newer + limit)
        ]
        if len(out) < limit:
            out += self.archive.listed(key, min(below, self._floor), limit - len(out))
        return out


def first_position(slot: int) -> int:
    """The position of a slot's first transaction."""
    return slot << INDEX_BITS
