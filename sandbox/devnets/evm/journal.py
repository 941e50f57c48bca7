"""The journal of what was done, one frame per fact, from which the chain grows again.

It is the truth; anvil is a cache of it.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from sandbox.devnets.journal_file import JournalCorrupt, JournalFile

_BLOCK = struct.Struct("<QQ32s")
_HASH = 32


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


class NoRecordThere(Exception):
    """Whoever named the place means another journal."""


class Journal(JournalFile):
    """The journal of a chain."""

    reached = 0  # where the record ends that `read` gave last

    def read(self, offset: int = 0) -> Generator[Record]:
        """Every whole record from `offset` on; cuts a torn tail off. What is before is checked.

        Raises JournalCorrupt, and NoRecordThere when none begins at `offset`.
        """
        is_there = False
        for payload, (at, length) in self.payloads():
            if at < offset:
                continue
            is_there = is_there or at == offset
            if not is_there:
                break
            self.reached = at + length
            try:
                yield decode(payload)
            except (KeyError, TypeError, ValueError, struct.error):
                raise JournalCorrupt(
                    f"{self.path}: the frame at byte {at} is of another version"
                ) from None
        if not is_there and offset not in (0, self.size):
            raise NoRecordThere(f"no record begins at byte {offset} of {self.path}")

    def begin(self, records: Iterable[Record]) -> None:
        """Write the first records, all or none of them. Raises OSError."""
        self.rewrite(list(map(encode, records)), [], [])

    def write(self, records: Iterable[Record], *, sync: bool = True) -> None:
        """Append the records in one piece. Raises OSError, after which nothing may be answered."""
        self.append(map(encode, records), sync=sync)

    def genesis(self) -> Genesis | None:
        """The first record; None when there is none yet. Raises JournalCorrupt."""
        with contextlib.closing(self.read()) as records:
            first = next(records, None)
        return first if isinstance(first, Genesis) else None
