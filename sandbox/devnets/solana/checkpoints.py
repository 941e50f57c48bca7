"""What is final moves from memory and journal to the archive while the chain goes on.

Files are written by a thread of their own, a few thousand transactions at a time; what it needs is
handed over when it starts, and only the chain's own thread looks at what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final

from sandbox.core import failpoints
from sandbox.devnets.journal_file import Place, Successor
from sandbox.devnets.solana.archive import Archive
from sandbox.devnets.solana.history import History
from sandbox.devnets.solana.journal import Journal
from sandbox.devnets.solana.records import Block
from sandbox.devnets.solana.state import Accounts

CHECKPOINT_BLOCKS: Final = 1_000
_MOST_WAITING: Final = (
    16  # times the records of a checkpoint: beyond it the chain waits for the disk
)
_FORGET: Final = 500  # evicted records that leave memory at a slot, besides those at each new one


@dataclass(frozen=True, slots=True)
class Standing:
    """The chain when a checkpoint begins: facts for the archive, and a journal's last frames."""

    genesis: bytes
    settled: int  # the newest slot that nothing can undo
    facts: Mapping[str, int | bytes | None]
    tail: list[bytes]


@dataclass(slots=True)
class _Saving:
    work: Future[None]
    slot: int
    blocks: list[Block]
    records: int


@dataclass(slots=True)
class _Cutting:
    work: Future[None]
    successor: Successor
    keep: list[Place]


class Checkpoints:
    """Of one chain. Every method is called by the chain's thread.

    Raises OSError and ArchiveUnusable where the files could not be written, at the latest when the
    next slot is sealed.
    """

    def __init__(self, archive: Archive, journal: Journal, history: History, accounts: Accounts):
        self.archive, self.journal = archive, journal
        self._history, self._accounts = history, accounts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._saving: _Saving | None = None
        self._cutting: _Cutting | None = None
        self.saved_slot = self._cut_slot = 0
        self._unsaved = self._dead = 0  # records: not archived yet; archived, in the journal

    def begin(self, saved: int) -> None:
        """What the archive of an opened chain has."""
        self.saved_slot = self._cut_slot = saved
        self._history.begin(saved + 1)

    def resume(self, cut: int) -> None:
        """Where an opened journal was cut: what the archive got since then is dead in it."""
        block = self.archive.block(cut)
        if block is not None:
            self._cut_slot, self._dead = cut, self._history.tip.tx_total - block.tx_total

    def finalized(self, records: int) -> None:
        """Nothing can undo so many more transactions."""
        self._unsaved += records

    def step(self, settled: int, worth: int, standing: Callable[[], Standing]) -> None:
        """At each slot: end what is done, begin what is due. `worth` is a checkpoint in records."""
        self._history.forget(_FORGET)
        if self._saving is not None and (
            self._saving.work.done() or self._unsaved > _MOST_WAITING * worth
        ):
            self._saved(self._saving)
        if self._cutting is not None and self._cutting.work.done():
            self._was_cut(self._cutting)
        if self._saving is None and (
            self._unsaved > worth or settled - self.saved_slot >= CHECKPOINT_BLOCKS
        ):
            self._save(standing())
        # Cutting the journal copies what is not final yet, so it must be worth it.
        if self._cutting is None and (
            self._dead > max(worth, self._history.live_records)
            or self.saved_slot - self._cut_slot >= CHECKPOINT_BLOCKS
        ):
            self._cut(standing())

    def run(self, standing: Standing) -> None:
        """Archive everything final and cut the journal, and be done with it."""
        self.wait()
        self._save(standing)
        self.wait()
        self._cut(standing)
        self.wait()

    def wait(self) -> None:
        """Until nothing is going on."""
        if self._saving is not None:
            self._saved(self._saving)
        if self._cutting is not None:
            self._was_cut(self._cutting)

    def drop(self) -> None:
        """Let what is going on end, and do nothing with it."""
        wait([each.work for each in (self._saving, self._cutting) if each is not None])
        if self._cutting is not None:
            self._cutting.successor.discard()
        self._saving = self._cutting = None

    def _save(self, standing: Standing) -> None:
        slot, unsaved = standing.settled, self._accounts.unsaved
        blocks = [b for b in self._history.blocks if b.slot <= slot and b.records is not None]
        changed = [(key, self._accounts.at(key, slot)) for key in unsaved]
        unsaved.clear()
        self.journal.sync()  # it must reach what the archive says
        work = self._thread.submit(self.archive.write, standing.facts, blocks, changed)
        records = sum(len(block.records or ()) for block in blocks)
        self._saving = _Saving(work, slot, blocks, records)

    def _saved(self, saving: _Saving) -> None:
        saving.work.result()
        failpoints.passed("solana.archived")
        self._saving, self.saved_slot = None, saving.slot
        self._unsaved -= saving.records
        self._dead += saving.records
        for block in saving.blocks:
            self._history.evict(block)

    def _cut(self, standing: Standing) -> None:
        live = [b for b in self._history.blocks if b.slot > self.saved_slot]
        keep = [b.frame for b in live if b.frame is not None]
        made = self.journal.successor(standing.genesis, self.saved_slot, keep, standing.tail)
        self._cutting = _Cutting(self._thread.submit(made.write), made, keep)
        self._cut_slot, self._dead = self.saved_slot, 0

    def _was_cut(self, cutting: _Cutting) -> None:
        cutting.work.result()
        places = self.journal.give_way(cutting.successor)
        moved: dict[Any, Place] = dict(zip(cutting.keep, places, strict=True))
        for block in self._history.blocks:
            if block.frame is not None:
                offset, length = block.frame
                block.frame = moved.get(block.frame, (offset + cutting.successor.shift, length))
        self._cutting = None
