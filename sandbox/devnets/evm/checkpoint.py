"""A dump of anvil's state beside the journal, so that a start replays the youngest blocks only.

It is a cache: one that is missing, damaged or does not fit costs time, never a block.
"""

from __future__ import annotations

import contextlib
import os
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from sandbox.devnets.evm.journal import Block, Call, Clock, Record, decode, encode
from sandbox.devnets.journal_file import JournalCorrupt, JournalFile, framed, write_whole

_EACH: Final = 2_000  # blocks and transactions between checkpoints, at least,
_SHARE: Final = 50  # and at least this part of all blocks
_PUT_OFF: Final = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """Where in the journal a dump stands, and what the dump does not hold."""

    genesis: str
    offset: int  # of the journal: what follows is replayed
    history: int  # blocks that were made after it before it was used
    clock: Clock
    settings: list[Call]
    funded: list[str]
    waiting: int  # records of the pool


@dataclass(frozen=True, slots=True)
class Saved:
    mark: Mark
    head: Block
    pool: list[Record]
    dump: bytes


class Checkpoints:
    """At most one in use, and one that still lacks blocks on top of it.

    anvil cannot be asked about the state of blocks from before a load, so a dump is not used until
    there are enough blocks above it.
    """

    def __init__(self, folder: Path, history: int) -> None:
        self._used, self._next = folder / "checkpoint.bin", folder / "checkpoint.next"
        self._history = history
        self._unsaved = 0  # blocks and transactions since the last one
        self._next_number: int | None = None
        self._forget_next()

    # -- when

    def started(self, replayed: int) -> None:
        """The chain stands, after so many blocks and transactions were replayed."""
        self._unsaved = replayed
        self._forget_next()

    def made(self, number: int, weight: int) -> None:
        """The chain has grown to block `number`, by `weight` blocks and transactions."""
        self._unsaved += weight
        if self._next_number is not None and number >= self._next_number + self._history:
            os.replace(self._next, self._used)
            self._next_number = None

    def went_back(self, number: int) -> None:
        """After a reorg: a dump of blocks that are gone is of no use."""
        if self._next_number is not None and self._next_number > number:
            self._forget_next()
            self._unsaved += _EACH

    def is_due(self, number: int, *, is_idle: bool) -> bool:
        """Whether it is worth the moment that it holds up changes; a busy chain puts it off."""
        due = max(_EACH, number // _SHARE)
        return self._unsaved >= (due if is_idle else due * _PUT_OFF)

    # -- what

    def write(self, saved: Saved) -> None:
        """Raises OSError."""
        self.put_off()
        write_whole(self._next, _written(saved))
        self._next_number = saved.head.number

    def put(self, saved: Saved) -> None:
        """Use it at once: there are enough blocks above it. Raises OSError."""
        write_whole(self._used, _written(saved))

    def put_off(self) -> None:
        """It cannot be written now: try again after as much more."""
        self._unsaved = 0

    def _forget_next(self) -> None:
        self._next.unlink(missing_ok=True)
        self._next_number = None

    def forget(self) -> None:
        self._used.unlink(missing_ok=True)

    def load(self) -> Saved | None:
        """The one in use; None when there is none that can be read."""
        if not self._used.exists():
            return None
        unreadable = (JournalCorrupt, LookupError, TypeError, ValueError, struct.error)
        with contextlib.suppress(*unreadable), JournalFile(self._used) as file:
            return _saved([payload for payload, _ in file.payloads()])
        self.forget()
        return None


def _written(saved: Saved) -> bytes:
    mark = orjson.dumps(asdict(saved.mark))
    parts = [mark, encode(saved.head), *map(encode, saved.pool), saved.dump]
    return b"".join(map(framed, parts))


def _saved(parts: list[bytes]) -> Saved:
    found: dict[str, Any] = orjson.loads(parts[0])
    found["clock"] = Clock(**found["clock"])
    found["settings"] = [Call(**call) for call in found["settings"]]
    mark = Mark(**found)
    head = decode(parts[1])
    if not isinstance(head, Block) or len(parts) != mark.waiting + 3:
        raise ValueError("parts of the checkpoint are missing")
    return Saved(mark, head, [decode(part) for part in parts[2:-1]], parts[-1])
