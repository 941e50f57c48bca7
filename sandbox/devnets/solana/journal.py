"""The append-only journal: one frame (length, CRC-32, payload) per slot, synced once per slot.

It holds what is newer than the last checkpoint; a torn last frame is dropped at start.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from solders.account import Account

from sandbox.devnets.solana.records import Block, Record, decode_account, encode_account

_FRAME = struct.Struct("<II")
_SLOT = struct.Struct("<BQQQqII")
_CLOCK = struct.Struct("<BqqB")
_ROLLBACK = struct.Struct("<BQQ")
_SIZE = struct.Struct("<I")
_KIND_SLOT, _KIND_CLOCK, _KIND_ROLLBACK = 1, 2, 3
_MAX_FRAME = 1 << 30


class JournalCorrupt(Exception):
    """A damaged frame with good data behind it: not a torn write, so nothing may be dropped."""


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
    """Every block above `to_slot` is gone; the next open slot is `next_slot`."""

    to_slot: int
    next_slot: int


Frame = SlotFrame | ClockFrame | RollbackFrame


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
        blob = record.encode()
        parts += (_SIZE.pack(len(blob)), blob)
    return b"".join(parts + packed_images)


def encode_clock(frame: ClockFrame) -> bytes:
    frozen = frame.frozen_at_ms
    return _CLOCK.pack(_KIND_CLOCK, frame.offset_ms, frozen or 0, frozen is not None)


def encode_rollback(frame: RollbackFrame) -> bytes:
    return _ROLLBACK.pack(_KIND_ROLLBACK, frame.to_slot, frame.next_slot)


def decode(payload: bytes) -> Frame:
    kind = payload[0]
    if kind == _KIND_CLOCK:
        _, offset_ms, frozen, is_frozen = _CLOCK.unpack(payload)
        return ClockFrame(offset_ms, frozen if is_frozen else None)
    if kind == _KIND_ROLLBACK:
        _, to_slot, next_slot = _ROLLBACK.unpack(payload)
        return RollbackFrame(to_slot, next_slot)
    _, slot, parent, height, time_s, n_records, n_images = _SLOT.unpack_from(payload)
    at = _SLOT.size
    records = []
    for _ in range(n_records):
        (size,) = _SIZE.unpack_from(payload, at)
        at += _SIZE.size
        records.append(Record.decode(payload[at : at + size]))
        at += size
    images = []
    for _ in range(n_images):
        key, account, at = decode_account(payload, at)
        images.append((key, account))
    return SlotFrame(slot, parent, height, time_s, records, images)


class Journal:
    """The file. What `append` wrote is on disk when it returns, with all that came before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._fd).st_size

    @property
    def size(self) -> int:
        return self._end

    def read(self) -> Iterator[tuple[Frame, tuple[int, int]]]:
        """Every whole frame with its place; cuts a torn tail off.

        Raises JournalCorrupt when a bad frame has data behind it.
        """
        at = 0
        while at < self._end:
            body = at + _FRAME.size
            if body > self._end:
                self._cut(at, self._end)
                return
            size, crc = _FRAME.unpack(os.pread(self._fd, _FRAME.size, at))
            payload = os.pread(self._fd, size, body) if 0 < size < _MAX_FRAME else b""
            stop = body + len(payload)
            if not payload or len(payload) < size or zlib.crc32(payload) != crc:
                self._cut(at, stop)
                return
            yield decode(payload), (at, stop - at)
            at = stop

    def _cut(self, at: int, stop: int) -> None:
        if stop < self._end and any(os.pread(self._fd, self._end - stop, stop)):
            raise JournalCorrupt(
                f"{self._path}: the frame at byte {at} is damaged and others follow it"
            )
        os.ftruncate(self._fd, at)
        os.fsync(self._fd)
        self._end = at

    def append(self, payload: bytes, *, sync: bool = True) -> tuple[int, int]:
        """Write one frame; gives its offset and length. Synced unless the caller goes on to."""
        frame = _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        place = (self._end, len(frame))
        written = 0
        while written < len(frame):
            written += os.pwrite(self._fd, frame[written:], self._end + written)
        if sync:
            os.fdatasync(self._fd)
        self._end += len(frame)
        return place

    def rewrite(
        self, head: list[bytes], keep: list[tuple[int, int]], tail: list[bytes]
    ) -> list[tuple[int, int]]:
        """Replace the file by `head`, the frames at `keep`, and `tail`; gives the new places."""
        fresh = self._path.with_suffix(".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        out = bytearray()
        for payload in head:
            out += _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        places = []
        for offset, length in keep:
            places.append((len(out), length))
            out += os.pread(self._fd, length, offset)
        for payload in tail:
            out += _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        view = memoryview(out)
        written = 0
        while written < len(out):
            written += os.write(fd, view[written:])
        os.fsync(fd)
        os.replace(fresh, self._path)
        sync_folder(self._path.parent)
        os.close(self._fd)
        self._fd, self._end = fd, len(out)
        return places

    def close(self) -> None:
        os.close(self._fd)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
