"""Named copies of the whole chain, and going back to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.devnets.journal_file import JournalCorrupt
from sandbox.devnets.snapshot_folder import Named, SnapshotFolder, SnapshotRefused
from sandbox.devnets.solana.archive import ArchiveUnusable
from sandbox.devnets.solana.bank import FILES, Bank, Depths
from sandbox.devnets.solana.encode import key_text

# What SQLite left is of the other chain.
_OF_SQLITE: Final = tuple(f"{file}{end}" for file in FILES for end in ("-journal", "-wal", "-shm"))


@dataclass(frozen=True, slots=True)
class About(Named):
    """What a snapshot holds: its newest block, and all transactions up to it."""

    slot: int
    blockhash: str
    transactions: int
    time: int  # of the block, Unix seconds


class Snapshots:
    """The snapshots of one data directory. Blocking: a copy takes as long as the chain is big."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = SnapshotFolder(data_dir, About, FILES, _OF_SQLITE)

    def tidy(self) -> None:
        """At the start, before the chain is opened. Raises OSError."""
        self._folder.tidy()

    def listed(self) -> list[About]:
        """By name."""
        return self._folder.listed()

    def take(self, bank: Bank, name: str) -> About:
        """Copy the chain as it is; what is processed is sealed first.

        Raises SnapshotRefused, and OSError when the slot cannot be written.
        """
        self._folder.refuse_taken(name)
        bank.seal_processed()

        def write(folder: Path) -> About:
            tip = bank.tip
            try:
                bank.copy_to(folder)
            except ArchiveUnusable as error:
                raise OSError(str(error)) from None
            return About(name, tip.slot, key_text(tip.hash), tip.tx_total, tip.time)

        return self._folder.keep(name, write)

    def restore(self, name: str, current: Bank | None, depths: Depths, records: int) -> Bank:
        """The chain as it was; `current`, if there is one, is let go of.

        Raises SnapshotRefused, and OSError after which only a start can go on.
        """
        try:
            loading = self._folder.load(name)
            bank = Bank.open(loading, depths, max_memory_records=records)
        except (OSError, JournalCorrupt, ArchiveUnusable) as error:
            self._folder.unload()
            raise SnapshotRefused(f"snapshot {name} cannot be used: {error}") from None
        bank.shut()
        if current is not None:
            current.shut()
        self._folder.choose()
        bank.reopen(self._data_dir)
        return bank

    def delete(self, name: str) -> None:
        """Raises SnapshotRefused, OSError."""
        self._folder.delete(name)
