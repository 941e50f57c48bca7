"""The append-only journal: one frame (length, CRC-32, payload) per fact, from which the chain grows
again. It is the truth; anvil is a cache of it. A torn last frame is dropped at start.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

_FRAME = struct.Struct("<II")
_BLOCK = struct.Struct("<QQ32s")
_HASH = 32
_MAX_FRAME = 1 << 28


class JournalCorrupt(Exception):
    """A damaged frame with good data behind it: not a torn write, so nothing may be dropped."""


@dataclass(frozen=True, slots=True)
class Genesis:
    """What anvil is started with. `fees_to` is random, so no two chains share a genesis hash."""

    chain_id: int
    hardfork: str
    gas_limit: int
    timestamp: int
    fees_to: str
    dev_accounts: bool
    anvil: str
    hash: str


@dataclass(frozen=True, slots=True)
class Tx:
    """A signed transaction that anvil took into its pool."""

    hash: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A transaction of an impersonated account: sent as a request, as there is no signature."""

    hash: str
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    timestamp: int
    hash: bytes
    txs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A method of anvil that changed state or settings."""

    method: str
    params: list[Any]


@dataclass(frozen=True, slots=True)
class Clock:
    offset_ms: int
    frozen_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Reorg:
    """The `depth` youngest blocks are gone; what follows pays its fees to `fees_to`."""

    depth: int
    fees_to: str


@dataclass(frozen=True, slots=True)
class Drop:
    """A transaction left the pool without being mined."""

    hash: str


Record = Genesis | Tx | Unsigned | Block | Call | Clock | Reorg | Drop

_AS_JSON: dict[bytes, type[Genesis | Unsigned | Call | Clock | Reorg | Drop]] = {
    b"G": Genesis,
    b"U": Unsigned,
    b"C": Call,
    b"O": Clock,
    b"R": Reorg,
    b"D": Drop,
}
_TAGS = {kind: tag for tag, kind in _AS_JSON.items()}


def encode(record: Record) -> bytes:
    if isinstance(record, Tx):
        return b"T" + record.hash + record.raw
    if isinstance(record, Block):
        head = _BLOCK.pack(record.number, record.timestamp, record.hash)
        return b"".join((b"B", head, *record.txs))
    return _TAGS[type(record)] + orjson.dumps(asdict(record))


def decode(payload: bytes) -> Record:
    tag, body = payload[:1], payload[1:]
    if tag == b"T":
        return Tx(body[:_HASH], body[_HASH:])
    if tag == b"B":
        number, timestamp, block_hash = _BLOCK.unpack_from(body)
        hashes = body[_BLOCK.size :]
        txs = tuple(hashes[at : at + _HASH] for at in range(0, len(hashes), _HASH))
        return Block(number, timestamp, block_hash, txs)
    return _AS_JSON[tag](**orjson.loads(body))


class Journal:
    """The file. With `sync`, what was appended is on disk at the return, with all before it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        is_new = not path.exists()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._fd).st_size
        if is_new:
            _sync_folder(path.parent)

    @property
    def size(self) -> int:
        return self._end

    def read(self) -> Iterator[Record]:
        """Every whole record; cuts a torn tail off.

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
            try:
                found = decode(payload)
            except (KeyError, TypeError, ValueError, struct.error):
                raise JournalCorrupt(
                    f"{self._path}: the frame at byte {at} is of another version"
                ) from None
            yield found
            at = stop

    def _cut(self, at: int, stop: int) -> None:
        if stop < self._end and any(os.pread(self._fd, self._end - stop, stop)):
            raise JournalCorrupt(
                f"{self._path}: the frame at byte {at} is damaged and others follow it"
            )
        os.ftruncate(self._fd, at)
        os.fsync(self._fd)
        self._end = at

    def append(self, records: Iterable[Record], *, sync: bool = True) -> None:
        """Write the records in one piece. Raises OSError, after which nothing may be answered."""
        out = bytearray()
        for record in records:
            payload = encode(record)
            out += _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        view, written = memoryview(out), 0
        while written < len(out):
            written += os.pwrite(self._fd, view[written:], self._end + written)
        self._end += len(out)
        if sync:
            os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
