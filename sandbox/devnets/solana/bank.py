"""The chain's state machine: LiteSVM, an open slot, sealed blocks, commitments, reorgs, restart.

One thread owns it. A slot is on disk before it can be shown as confirmed.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from solders.clock import Clock
from solders.epoch_schedule import EpochSchedule
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM

from sandbox.core import failpoints
from sandbox.devnets.chain_clock import ChainClock
from sandbox.devnets.journal_file import JournalCorrupt, write_whole
from sandbox.devnets.solana import durable_nonces, execution, genesis, journal, opening
from sandbox.devnets.solana.archive import Archive, ArchiveUnusable
from sandbox.devnets.solana.checkpoints import Checkpoints, Standing
from sandbox.devnets.solana.execution import AnyMessage, Failure, Incoming
from sandbox.devnets.solana.history import History, first_position
from sandbox.devnets.solana.recent import RecentSignatures
from sandbox.devnets.solana.records import INDEX_BITS, Block, Record
from sandbox.devnets.solana.state import Accounts

MAX_HASH_AGE = 150  # blocks, agave MAX_PROCESSING_AGE
SLOT_HASHES = 512
SLOTS_PER_EPOCH = 432_000
MAX_IN_SLOT = 1 << INDEX_BITS  # transactions: their positions have no room for more
FILES = ("chain.db", "journal.bin")  # the whole chain

Level = Literal["processed", "confirmed", "finalized"]


@dataclass(frozen=True, slots=True)
class Depths:
    """How many blocks above a block make it confirmed and final.

    In step with transactions, each has a slot of its own and is final at once.
    """

    confirmed: int = 1
    finality: int = 32
    in_step: bool = False


class Observer:
    """What transports hear; the default hears nothing."""

    def executed(self, record: Record, changed: list[bytes]) -> None: ...

    def slot_opened(self, slot: int, parent: int, root: int) -> None: ...

    def reached(self, level: Level, block: Block) -> None: ...

    def replaced(self, why: str) -> None:
        """The chain is another one now; nothing that was told of it holds."""


class Bank:
    """Create with `Bank.open`; every method is synchronous and leaves the chain consistent."""

    def __init__(self, data_dir: Path, depths: Depths, max_memory_records: int) -> None:
        self.depths = depths
        self.max_memory_records = max_memory_records
        self.svm = (
            LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        )
        self.svm.set_epoch_schedule(EpochSchedule.without_warmup())  # as getEpochSchedule says
        self.accounts = Accounts(self.svm)
        self.clock = ChainClock()
        self.observer = Observer()
        self._archive = Archive(data_dir / "chain.db")
        self.history = History(self._archive, SLOT_HASHES + depths.finality)
        self._journal = journal.Journal(data_dir / "journal.bin")
        self._checkpoints = Checkpoints(self._archive, self._journal, self.history, self.accounts)
        self._recent = RecentSignatures()
        self._final_slot = 0
        self._settled_slot = 0  # at and below it nothing can be undone: at most what is final
        self._settled_height = 0
        self.keep_undo = 0  # blocks below the final one whose undo is kept, for drills
        self._held: Block | None = None
        self.gathers = False  # in step, but production is paused
        self._confirmed_seen = self._final_seen = 0
        self.open_slot = self.open_time = 0
        self.genesis_hash, self.faucets = b"", list[Keypair]()

    @classmethod
    def open(
        cls,
        data_dir: Path,
        depths: Depths = Depths(),
        *,
        max_memory_records: int = 2_000,
        seed: int | None = None,
    ) -> Bank:
        """The chain of `data_dir`, new or continued. Raises JournalCorrupt, ArchiveUnusable.

        A new one with a `seed` is always the same, and its time stands.
        """
        bank = cls(data_dir, depths, max_memory_records)
        try:
            if bank._archive.fact("genesis_hash") is None:
                if not bank._journal.is_bare():
                    path = bank._journal.path
                    raise JournalCorrupt(f"{path}: the chain.db beside it is gone")
                bank._found(seed)
            bank._load()
        except BaseException:
            bank.shut()
            raise
        return bank

    # --- commitments -------------------------------------------------------------------------

    @property
    def tip(self) -> Block:
        return self.history.tip

    @property
    def open_height(self) -> int:
        return self.tip.height + 1

    @property
    def confirmed_block(self) -> Block:
        blocks = self.history.blocks
        return blocks[max(-self.depths.confirmed, -len(blocks))]

    @property
    def final_block(self) -> Block:
        if self._held is not None:
            return self._held
        blocks = self.history.blocks
        block = blocks[max(-self.depths.finality, -len(blocks))]
        if block.slot >= self._final_slot:
            return block
        return next(b for b in reversed(blocks) if b.slot <= self._final_slot)

    @property
    def is_finality_held(self) -> bool:
        return self._held is not None

    @property
    def settled_slot(self) -> int:
        """The oldest slot that accounts can still be read at."""
        return self._settled_slot

    def hold_finality(self, *, hold: bool) -> None:
        """Keep the final block where it is, or let it follow from the next slot on."""
        if not hold:
            self._held = None
        elif self._held is None:
            self._held = self.final_block

    def slot_at(self, level: Level) -> int:
        """The newest slot of a commitment; processed is the open one."""
        if level == "processed":
            is_open = self.history.open_records or not self.depths.in_step
            return self.open_slot if is_open else self.tip.slot
        return (self.confirmed_block if level == "confirmed" else self.final_block).slot

    def sealed_at(self, level: Level) -> Block:
        """The newest sealed block of a commitment."""
        if level == "processed":
            return self.tip
        return self.confirmed_block if level == "confirmed" else self.final_block

    def level_of(self, slot: int) -> Level:
        if slot <= self.final_block.slot:
            return "finalized"
        return "confirmed" if slot <= self.confirmed_block.slot else "processed"

    # --- transactions ------------------------------------------------------------------------

    def hash_block(self, blockhash: bytes) -> Block | None:
        """The block of a blockhash that transactions may still use, else None."""
        block = self.history.block_of_hash(blockhash)
        if block is None or self.open_height - block.height > MAX_HASH_AGE:
            return None
        return block

    def is_current(self, incoming: Incoming) -> bool:
        """Whether a transaction may run now: its hash is still valid, or a nonce to use up."""
        if self.hash_block(incoming.blockhash) is not None:
            return True
        return self.has_nonce(incoming.tx.message)

    def has_nonce(self, message: AnyMessage) -> bool:
        """Whether the message's hash is the value of the nonce account that it advances."""
        nonce = durable_nonces.account_of(message)
        return nonce is not None and durable_nonces.is_usable(
            message, self.accounts.current(bytes(nonce)), self.tip.hash
        )

    def is_known(self, signature: bytes) -> bool:
        """Whether a transaction with a hash that may still be valid has landed."""
        return signature in self._recent

    def execute(self, incoming: Incoming, *, keep_failed: bool) -> Record | Failure:
        """Run a transaction on the open slot; the caller checked its hash and signature."""
        if len(self.history.open_records) >= MAX_IN_SLOT:
            return Failure("WouldExceedMaxBlockCostLimit", None)
        position = first_position(self.open_slot) + len(self.history.open_records)
        done = execution.execute(
            self.svm,
            self.accounts,
            incoming,
            position,
            self.tip.hash,
            keep_failed=keep_failed,
        )
        if isinstance(done, Failure):
            return done
        record, changed = done
        self._recent.landed(record.signature)
        self.history.open_records.append(record)
        self.history.add(record)
        self.observer.executed(record, changed)
        if self.depths.in_step and not self.gathers:
            self.advance(self.depths.finality)
        return record

    # --- slots -------------------------------------------------------------------------------

    def advance(self, slots: int) -> None:
        """Seal `slots` slots with one sync: nobody can look before this returns."""
        self.refresh_time()
        for left in range(slots, 0, -1):
            self.seal(sync=left == 1)

    def seal(self, *, sync: bool = True) -> Block:
        """Close the open slot: journal it, sync, then show it, and open the next."""
        records, parent = self.history.open_records, self.tip
        block = self._block(self.open_slot, parent, self.open_time, records)
        images = [
            (key, self.accounts.current(key)) for key in self.accounts.keys_of(self.open_slot)
        ]
        if records:
            failpoints.passed("solana.unwritten")
        (block.frame,) = self._journal.append([journal.encode_slot(block, images)], sync=sync)
        if records:
            failpoints.passed("solana.written")
        self.history.open_records = []
        self._append(block)
        self._open(block.slot + 1)
        self._publish()
        self._finalize()
        self._checkpoints.step(self._settled_slot, self.max_memory_records, self._standing)
        return block

    def _block(self, slot: int, parent: Block, time: int, records: list[Record]) -> Block:
        digest = hashlib.sha256(parent.hash + slot.to_bytes(8, "little"))
        for record in records:
            digest.update(record.signature)
        return Block(
            slot=slot,
            parent=parent.slot,
            height=parent.height + 1,
            time=time,
            hash=digest.digest(),
            previous=parent.hash,
            tx_total=parent.tx_total + len(records),
            records=records,
        )

    def _append(self, block: Block) -> None:
        self.history.append(block)
        self._recent.sealed(block.height, [record.signature for record in block.records or ()])
        # Counted from what no reorg can take: a lower tip makes older hashes good again.
        self._recent.forget_below(self._settled_height - MAX_HASH_AGE)

    def _above(self, slot: int) -> list[Block]:
        """The sealed blocks above a slot, oldest first; many only after finality was held."""
        newer = itertools.takewhile(lambda block: block.slot > slot, reversed(self.history.blocks))
        return list(newer)[::-1]

    def _finalize(self) -> None:
        final = self.final_block
        settled = self._block_at(final.height - self.keep_undo)
        if settled is not None and settled.slot > self._settled_slot:
            for finished in self._above(self._settled_slot):
                if finished.slot <= settled.slot:
                    self.accounts.finalize(finished.slot)
                    self._checkpoints.finalized(len(finished.records or ()))
            self._settled_slot, self._settled_height = settled.slot, settled.height
        self._final_slot = max(self._final_slot, final.slot)

    def _block_at(self, height: int) -> Block | None:
        """One of the blocks in memory."""
        index = height - self.history.blocks[0].height
        return self.history.blocks[index] if index >= 0 else None

    def _publish(self) -> None:
        final, confirmed = self.final_block, self.confirmed_block
        for block in self._above(self._confirmed_seen):
            if block.slot <= confirmed.slot:
                self.observer.reached("confirmed", block)
        for block in self._above(self._final_seen):
            if block.slot <= final.slot:
                self.observer.reached("finalized", block)
        self._confirmed_seen = max(self._confirmed_seen, confirmed.slot)
        self._final_seen = final.slot
        self.observer.slot_opened(self.open_slot, self.tip.slot, final.slot)

    def _open(self, slot: int) -> None:
        self.open_slot = slot
        self.refresh_time()
        newest = self.history.blocks[: -SLOT_HASHES - 1 : -1]
        self.svm._inner.set_slot_hashes([(b.slot, Hash(b.hash)) for b in newest])

    def refresh_time(self) -> None:
        """Give the open slot its time: chain time, but never below its parent's."""
        self.open_time = max(self.tip.time, self.clock.now_s())
        epoch = self.open_slot // SLOTS_PER_EPOCH
        self.svm.set_clock(Clock(self.open_slot, 0, epoch, epoch + 1, self.open_time))

    def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> int:
        """Move or freeze chain time, durably; gives the new chain time in Unix milliseconds."""
        self._journal.append([journal.encode_clock(journal.ClockFrame(offset_ms, frozen_at_ms))])
        self.clock.offset_ms, self.clock.frozen_at_ms = offset_ms, frozen_at_ms
        self.refresh_time()
        return self.clock.now_ms()

    def most_reorg(self, *, force: bool = False) -> int:
        """How many blocks can be rolled back; by force final ones too, while their undo is kept."""
        settled = next(b for b in reversed(self.history.blocks) if b.slot <= self._settled_slot)
        return self.tip.height - (settled if force else self.final_block).height

    def reorg(self, slots: int, *, force: bool = False) -> list[Record]:
        """Roll back the newest `slots` sealed blocks and the open slot; gives what they held.

        At most `most_reorg`. The chain goes on at a higher slot. Raises OSError.
        """
        assert slots <= self.most_reorg(force=force)
        keep = self.history.blocks[-slots - 1].slot
        next_slot = self.open_slot + 1
        frame = journal.RollbackFrame(keep, next_slot, min(self._final_slot, keep))
        self._journal.append([journal.encode_rollback(frame)])
        dropped = self._roll_back(keep, next_slot)
        self.observer.slot_opened(self.open_slot, self.tip.slot, self.final_block.slot)
        return dropped

    def _roll_back(self, keep: int, next_slot: int) -> list[Record]:
        dropped = self.history.roll_back(keep)
        self.accounts.roll_back(keep)
        self._final_slot = min(self._final_slot, keep)
        if self._held is not None and self._held.slot > keep:
            self._held = self.tip
        self._recent.roll_back(self.tip.height, [record.signature for record in dropped])
        self._open(next_slot)
        return dropped

    # --- disk --------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Move everything final to the archive and cut the journal."""
        self._checkpoints.run(self._standing())

    def _standing(self) -> Standing:
        clock = journal.ClockFrame(self.clock.offset_ms, self.clock.frozen_at_ms)
        rollback = journal.RollbackFrame(self.tip.slot, self.open_slot, self._final_slot)
        return Standing(
            genesis=self.genesis_hash,
            settled=self._settled_slot,
            facts=self._facts(self._settled_slot),
            tail=[journal.encode_rollback(rollback), journal.encode_clock(clock)],
        )

    def _facts(self, final: int) -> dict[str, int | bytes | None]:
        return {
            "final_slot": final,
            "clock_offset_ms": self.clock.offset_ms,
            "clock_frozen_at_ms": self.clock.frozen_at_ms,
        }

    def _found(self, seed: int | None) -> None:
        if seed is not None:
            self.clock.stand()
        made = genesis.make(self.clock.now_s(), seed)
        facts = self._facts(0) | {
            "genesis_hash": made.hash,
            "faucet_seed": made.faucet_seed,
        }
        # First: a journal that is not there, or is another chain's, is refused ever after.
        self._journal.begin(made.hash)
        self._archive.write(facts, [made.block], made.accounts)

    def _load(self) -> None:
        facts = opening.facts_of(self._archive)
        saved = facts.final_slot
        self.genesis_hash = facts.genesis_hash
        self.faucets = genesis.faucet_keys(facts.faucet_seed)
        self.clock.offset_ms = facts.clock_offset_ms
        self.clock.frozen_at_ms = facts.clock_frozen_at_ms
        self._settled_slot = self._final_slot = saved
        self._checkpoints.begin(saved)
        # A program that is loaded under a later clock than the chain's is not deployed yet.
        self.svm.set_clock(Clock(saved, 0, 0, 1, 0))
        self.accounts.put_all(self._archive.accounts())
        for block in self._archive.last_blocks(SLOT_HASHES + self.depths.finality):
            self.history.append(block)
        opening.check_blocks(self._archive, facts, self.history.blocks)
        if self.accounts.current(bytes(self.faucets[0].pubkey())) is None:
            raise ArchiveUnusable(f"{self._archive.path}: its accounts are not this chain's")
        self._settled_height = self.tip.height
        heights = {block.slot: block.height for block in self.history.blocks}
        oldest = self.tip.height - MAX_HASH_AGE
        first = next(b.slot for b in self.history.blocks if b.height >= oldest)
        for slot, signature in self._archive.signatures_since(first):
            self._recent.sealed(heights[slot], [signature])
        next_slot = self.tip.slot + 1
        since: int | None = None
        reached = 0
        self.keep_undo = len(self.history.blocks) + self._journal.size  # all: what is rolled back
        for frame, place in self._journal.frames(above=saved):
            if isinstance(frame, journal.Head):
                opening.check_head(self._journal.path, frame, facts)
                since = reached = frame.since
                self._checkpoints.resume(since)
                continue
            if isinstance(frame, journal.SlotFrame):
                reached = max(reached, frame.slot)
            next_slot = self._replay(frame, place, next_slot)
        if since is None or reached < saved:
            raise JournalCorrupt(f"{self._journal.path}: chain.db ends at slot {saved}, above it")
        self.keep_undo = 0
        self._finalize()
        self._open(next_slot)
        self._confirmed_seen, self._final_seen = self.confirmed_block.slot, self._final_slot

    def _replay(
        self,
        frame: journal.SlotFrame | journal.ClockFrame | journal.RollbackFrame,
        place: tuple[int, int],
        next_slot: int,
    ) -> int:
        if isinstance(frame, journal.ClockFrame):
            self.clock.offset_ms, self.clock.frozen_at_ms = frame.offset_ms, frame.frozen_at_ms
            return next_slot
        if isinstance(frame, journal.RollbackFrame):
            if frame.to_slot >= self._checkpoints.saved_slot:
                self._roll_back(frame.to_slot, frame.next_slot)
                self._check_join(frame.to_slot, frame.to_slot)
                self._final_slot = frame.final
            return max(next_slot, frame.next_slot)
        if frame.slot <= self._checkpoints.saved_slot:
            return next_slot  # a crash between checkpoint and cutting the journal
        self._check_join(frame.parent, frame.slot)
        for key, account in frame.images:
            self.accounts.touched(frame.slot, key, self.accounts.current(key), account)
        self.accounts.put_all(frame.images)
        for record in frame.records:
            self.history.add(record)
        block = self._block(frame.slot, self.tip, frame.time, frame.records)
        block.frame = place
        self._append(block)
        self._finalize()
        return max(next_slot, frame.slot + 1)

    def _check_join(self, parent: int, slot: int) -> None:
        if self.tip.slot != parent:
            raise JournalCorrupt(
                f"{self._journal.path}: slot {slot} does not follow slot {self.tip.slot}"
            )

    def close(self) -> None:
        """Clean stop: what was processed is sealed, so nothing is lost."""
        self.seal_processed()
        self._checkpoints.wait()
        self.shut()

    def seal_processed(self) -> None:
        """Make what was processed part of a block. Raises OSError."""
        if self.history.open_records:
            self.seal()

    def shut(self) -> None:
        """Let go of the files as they are."""
        self._checkpoints.drop()
        self._journal.close()
        self.history.archive.close()

    def copy_to(self, folder: Path) -> None:
        """A copy of the files, durable at the return. Raises OSError."""
        self._checkpoints.wait()
        self._archive.copy_to(folder / self._archive.path.name)
        write_whole(folder / self._journal.path.name, self._journal.path.read_bytes())

    def reopen(self, data_dir: Path) -> None:
        """Go on with the same files, which are in `data_dir` now. Raises OSError."""
        self._archive = self.history.archive = Archive(data_dir / "chain.db")
        self._journal = journal.Journal(data_dir / "journal.bin")
        self._checkpoints.archive, self._checkpoints.journal = self._archive, self._journal
