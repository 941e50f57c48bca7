"""Named copies of the whole chain: its journal up to a block, and the checkpoint that shortens it.

Going back to one means a fresh node that has grown from the copy, never the running one rewound:
what the running one holds of later blocks (pool, filters, states) would be left in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sandbox.devnets.evm import opening
from sandbox.devnets.evm.backend import Backend
from sandbox.devnets.evm.blocks import hex_of
from sandbox.devnets.evm.checkpoint import Checkpoints
from sandbox.devnets.evm.errors import AnvilGone
from sandbox.devnets.evm.journal import Block, Genesis, Journal, Reorg
from sandbox.devnets.evm.opening import ChainDiffers, Options
from sandbox.devnets.evm.replay import Grown, JournalMismatch
from sandbox.devnets.evm.spare import Spare
from sandbox.devnets.journal_file import JournalCorrupt
from sandbox.devnets.json_rpc import RpcError
from sandbox.devnets.snapshot_folder import Named, SnapshotFolder, SnapshotRefused, copy

JOURNAL, CHECKPOINT = "journal.bin", "checkpoint.bin"
# Blocks and transactions: what grows from so few is there in a tenth of a second.
_LARGE: Final = 300


@dataclass(frozen=True, slots=True)
class About(Named):
    """What a snapshot holds: its newest block, and all transactions up to it."""

    number: int
    hash: str
    transactions: int
    time: int  # of the block, Unix seconds
    followers: int  # blocks that were still to come so that what is mined becomes final

    @property
    def is_large(self) -> bool:
        return self.number + self.transactions > _LARGE

    def shown(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "blockNumber": hex(self.number),
            "blockHash": self.hash,
            "transactions": self.transactions,
            "time": self.time,
        }


@dataclass(frozen=True, slots=True)
class Restored:
    """A chain that is ready to take the place of the running one."""

    about: About
    genesis: Genesis
    anvil: Backend
    grown: Grown
    ready: int  # transactions of the pool that the next block can hold


class Snapshots:
    """The snapshots of one data directory."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._folder = folder_of(options.data_dir)
        self._spare = Spare(self._grow_spare)

    @property
    def spare(self) -> str | None:
        """The snapshot that a second node stands at."""
        return self._spare.ready

    def listed(self) -> list[About]:
        """By name."""
        return self._folder.listed()

    def take(self, name: str, journal_bytes: int, head: Block, followers: int) -> About:
        """Copy the chain as its journal has it so far. Blocking, in any thread. Raises
        SnapshotRefused.
        """
        data_dir = self._options.data_dir

        def write(folder: Path) -> About:
            copy(data_dir / JOURNAL, folder / JOURNAL, journal_bytes)
            checkpoint = data_dir / CHECKPOINT
            if checkpoint.exists():
                copy(checkpoint, folder / CHECKPOINT)
            else:
                (folder / CHECKPOINT).touch()
            count = _transactions(folder / JOURNAL)
            return About(name, head.number, hex_of(head.hash), count, head.timestamp, followers)

        return self._folder.keep(name, write)

    async def load(self, name: str) -> Restored:
        """The chain of a snapshot, running beside the other. Raises SnapshotRefused."""
        self._folder.existing(name)
        try:
            loading = self._folder.load(name)
            about = self._folder.about(name)
            assert about is not None
            genesis = _genesis(loading)
            opening.check(self._options, genesis)
            anvil, grown = await self._spare.take(name) or await self._grow(loading, genesis)
            ready = await _ready(anvil)
        except (*_UNUSABLE, ChainDiffers) as error:
            self._folder.unload()
            raise SnapshotRefused(f"snapshot {name} cannot be used: {error}") from None
        return Restored(about, genesis, anvil, grown, ready)

    def choose(self) -> None:
        """What was loaded is the chain from now on. Raises OSError: only a start can go on."""
        self._folder.choose()

    def prepare(self, about: About) -> None:
        """Have the next restore of a large one wait for nothing."""
        if about.is_large:
            self._spare.prepare(about.name)

    async def delete(self, name: str) -> None:
        """Raises SnapshotRefused, OSError."""
        self._folder.existing(name)
        await self._spare.drop(name)
        self._folder.delete(name)

    async def close(self) -> None:
        await self._spare.drop()

    async def _grow_spare(self, name: str) -> tuple[Backend, Grown]:
        folder = self._folder.existing(name)
        about = self._folder.about(name)
        assert about is not None
        above = about.number - self._options.history
        dump_at = above if above > 0 and not self._is_near(folder) else None
        return await self._grow(folder, _genesis(folder), dump_at)

    def _is_near(self, folder: Path) -> bool:
        """Whether few blocks and transactions lie behind its checkpoint."""
        found = Checkpoints(folder, self._options.history).load()
        if found is None:
            return False
        with Journal(folder / JOURNAL) as journal:
            blocks = [each for each in journal.read(found.mark.offset) if isinstance(each, Block)]
        return len(blocks) <= 2 * self._options.history

    async def _grow(
        self, folder: Path, genesis: Genesis, dump_at: int | None = None
    ) -> tuple[Backend, Grown]:
        checkpoints = Checkpoints(folder, self._options.history)
        with Journal(folder / JOURNAL) as journal:
            return await opening.grow(self._options, genesis, journal, checkpoints, dump_at)


_UNUSABLE: Final = (OSError, JournalCorrupt, JournalMismatch, AnvilGone, RpcError)


async def _ready(anvil: Backend) -> int:
    try:
        return int((await anvil.call("txpool_status"))["pending"], 16)
    except BaseException:
        await anvil.stop()
        raise


def folder_of(data_dir: Path) -> SnapshotFolder[About]:
    """The files of the snapshots of a data directory."""
    leftovers = ("checkpoint.next", CHECKPOINT)  # they are of the other chain
    return SnapshotFolder(data_dir, About, (JOURNAL, CHECKPOINT), leftovers)


def _genesis(folder: Path) -> Genesis:
    with Journal(folder / JOURNAL) as journal:
        found = journal.genesis()
    if found is None:
        raise JournalMismatch("the journal does not begin with a genesis")
    return found


def _transactions(journal: Path) -> int:
    """In blocks that are there still."""
    counts: list[int] = []
    with Journal(journal) as file:
        for record in file.read():
            if isinstance(record, Block):
                counts.append(len(record.txs))
            elif isinstance(record, Reorg):
                del counts[-record.depth :]
    return sum(counts)
