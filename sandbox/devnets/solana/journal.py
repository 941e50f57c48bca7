"""The journal of slots: one frame per slot, synced once per slot.

It holds what is newer than the last checkpoint, and begins with a head that says whose it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from solders.account import Account

from sandbox.devnets.journal_file import JournalCorrupt, JournalFile, Place, Successor, framed
from sandbox.devnets.solana.records import Block, Record, decode_account, encode_account

_HEAD = struct.Struct("<B32sQQ")
_SLOT = struct.Struct("<BQQQqII")
_CLOCK = struct.Struct("<BqqB")
_ROLLBACK = struct.Struct("<BQQQ")
_SIZE = struct.Struct("<I")
_KIND_HEAD, _KIND_SLOT, _KIND_CLOCK, _KIND_ROLLBACK = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Head:
    """Whose journal it is, the checkpoint that it follows, and how long it was when it was cut."""

    genesis: bytes
    since: int
    size: int


@dataclass(frozen=True, slots=True)
class SlotFrame:
    slot: int
    parent: int
    height: int
    time: int
    records: list[Record]
    images: list[tuple[bytes, Account | None]]


@dataclass(frozen=True, slots=True)
class ClockFrame:
    offset_ms: int
    frozen_at_ms: int | None


@dataclass(frozen=True, slots=True)
class RollbackFrame:
    """Every block above `to_slot` is gone; the next open slot is `next_slot`, the final `final`."""

    to_slot: int
    next_slot: int
    final: int


Frame = Head | SlotFrame | ClockFrame | RollbackFrame


def encode_slot(block: Block, images: Iterable[tuple[bytes, Account | None]]) -> bytes:
    """The payload of a sealed slot. Its hash is left out: it follows from what is in."""
    records = block.records or []
    packed_images = [encode_account(key, account) for key, account in images]
    parts = [
        _SLOT.pack(
            _KIND_SLOT,
            block.slot,
            block.parent,
            block.height,
            block.time,
            len(records),
            len(packed_images),
        )
    ]
    for record in records:
        parts += (_SIZE.pack(len(record)), record)
    return b"".join(parts + packed_images)


def encode_clock(frame: ClockFrame) -> bytes:
    frozen = frame.frozen_at_ms
    return _CLOCK.pack(_KIND_CLOCK, frame.offset_ms, frozen or 0, frozen is not None)


def encode_rollback(frame: RollbackFrame) -> bytes:
    return _ROLLBACK.pack(_KIND_ROLLBACK, frame.to_slot, frame.next_slot, frame.final)


def decode(payload: bytes, above: int = -1) -> Frame:
    """A frame; of slots that are not above `above` only what their header says."""
    kind = payload[0]
    if kind == _KIND_HEAD:
        _, genesis, since, size = _HEAD.unpack(payload)
        return Head(genesis, since, size)
    if kind == _KIND_CLOCK:
        _, offset_ms, frozen, is_frozen = _CLOCK.unpack(payload)
        return ClockFrame(offset_ms, frozen if is_frozen else None)
    if kind == _KIND_ROLLBACK:
        _, to_slot, next_slot, final = _ROLLBACK.unpack(payload)
        return RollbackFrame(to_slot, next_slot, final)
    if kind != _KIND_SLOT:
        raise ValueError(f"kind {kind}")
    _, slot, parent, height, time_s, n_records, n_images = _SLOT.unpack_from(payload)
    if slot <= above:
        return SlotFrame(slot, parent, height, time_s, [], [])
    at = _SLOT.size
    records = []
    for _ in range(n_records):
        (size,) = _SIZE.unpack_from(payload, at)
        at += _SIZE.size
        records.append(Record(payload[at : at + size]))
        at += size
    images = []
    for _ in range(n_images):
        key, account, at = decode_account(payload, at)
        images.append((key, account))
    return SlotFrame(slot, parent, height, time_s, records, images)


class Journal(JournalFile):
    """The journal of a bank."""

    def frames(self, above: int = -1) -> Iterator[tuple[Frame, Place]]:
        """Every whole frame with its place, as `decode` gives it; cuts a torn tail off.

        Raises JournalCorrupt.
        """
        found = self.size
        for payload, place in self.payloads():
            try:
                frame = decode(payload, above)
            except (ValueError, IndexError, struct.error):
                raise JournalCorrupt(
                    f"{self.path}: the frame at byte {place[0]} is of another version"
                ) from None
            if isinstance(frame, Head) and found < frame.size:
                raise JournalCorrupt(
                    f"{self.path}: it is cut short, {found} bytes of at least {frame.size}"
                )
            yield frame, place

    def is_bare(self) -> bool:
        """Whether nothing has happened yet: no head, or a head alone. Raises JournalCorrupt."""
        return all(isinstance(frame, Head) for frame, _ in self.frames())

    def successor(
        self, genesis: bytes, since: int, keep: list[Place], tail: Iterable[bytes] = ()
    ) -> Successor:
        """A journal that follows the checkpoint of slot `since`: a head, `keep`, and `tail`."""
        tail = list(tail)
        lengths = [length for _, length in keep] + [len(framed(each)) for each in tail]
        size = len(framed(bytes(_HEAD.size))) + sum(lengths)
        return Successor(self, [_HEAD.pack(_KIND_HEAD, genesis, since, size)], keep, tail)

    def begin(self, genesis: bytes) -> None:
        """Become the journal of a new chain. Raises OSError."""
        successor = self.successor(genesis, 0, [])
        successor.write()
        self.give_way(successor)
