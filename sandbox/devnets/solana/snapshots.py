"""Named copies of the whole chain, kept beside it, and going back to one of them.

A folder appears under its name when it is whole, and a chain is exchanged by one rename: a kill in
the middle leaves no half of either.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from sandbox.devnets.journal_file import JournalCorrupt, sync_folder, write_whole
from sandbox.devnets.solana.archive import ArchiveUnusable
from sandbox.devnets.solana.bank import FILES, Bank, Depths
from sandbox.devnets.solana.encode import key_text

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ABOUT: Final = "about.json"
_MAKING: Final = ".making"  # no name of a snapshot begins with a dot
_LOADING, _CHOSEN = "restoring.new", "restoring"


class SnapshotRefused(Exception):
    """There is none of that name, there is one already, or it cannot be used; the text says which.

    The chain is as it was.
    """


@dataclass(frozen=True, slots=True)
class About:
    """What a snapshot holds: its newest block, and all transactions up to it."""

    name: str
    slot: int
    blockhash: str
    transactions: int
    time: int  # of the block, Unix seconds


class Snapshots:
    """The snapshots of one data directory. Blocking: a copy takes as long as the chain is big."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir, self._folder = data_dir, data_dir / "snapshots"

    def tidy(self) -> None:
        """At the start, before the chain is opened: end a restore that was chosen, forget the rest.

        Raises OSError.
        """
        shutil.rmtree(self._folder / _MAKING, ignore_errors=True)
        shutil.rmtree(self._data_dir / _LOADING, ignore_errors=True)
        if (self._data_dir / _CHOSEN).exists():
            self._move_in()

    def listed(self) -> list[About]:
        """By name."""
        if not self._folder.exists():
            return []
        found = (self._about(folder.name) for folder in self._folder.iterdir())
        return sorted((each for each in found if each is not None), key=lambda each: each.name)

    def take(self, bank: Bank, name: str) -> About:
        """Copy the chain as it is; what is processed is sealed first.

        Raises SnapshotRefused, and OSError when the slot cannot be written.
        """
        target = self._named(name)
        if target.exists():
            raise SnapshotRefused(f"there is a snapshot {name} already: delete it first")
        bank.seal_processed()
        tip, making = bank.tip, self._folder / _MAKING
        about = About(name, tip.slot, key_text(tip.hash), tip.tx_total, tip.time)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(mode=0o700)
            bank.copy_to(making)
            write_whole(making / _ABOUT, json.dumps(asdict(about)).encode())
            os.rename(making, target)
            sync_folder(self._folder)
        except (OSError, ArchiveUnusable) as error:
            shutil.rmtree(making, ignore_errors=True)
            raise SnapshotRefused(f"the snapshot cannot be written: {error}") from None
        return about

    def restore(self, name: str, current: Bank | None, depths: Depths, records: int) -> Bank:
        """The chain as it was; `current`, if there is one, is let go of.

        Raises SnapshotRefused, and OSError after which only a start can go on.
        """
        source, loading = self._existing(name), self._data_dir / _LOADING
        try:
            shutil.rmtree(loading, ignore_errors=True)
            loading.mkdir(mode=0o700)
            for file in FILES:
                _copy(source / file, loading / file)
            bank = Bank.open(loading, depths, max_memory_records=records)
        except (OSError, JournalCorrupt, ArchiveUnusable) as error:
            shutil.rmtree(loading, ignore_errors=True)
            raise SnapshotRefused(f"snapshot {name} cannot be used: {error}") from None
        bank.shut()
        if current is not None:
            current.shut()
        os.rename(loading, self._data_dir / _CHOSEN)
        sync_folder(self._data_dir)
        self._move_in()
        bank.reopen(self._data_dir)
        return bank

    def delete(self, name: str) -> None:
        """Raises SnapshotRefused, OSError."""
        gone = self._folder / _MAKING
        shutil.rmtree(gone, ignore_errors=True)
        os.rename(self._existing(name), gone)  # at once, however long the rest takes
        shutil.rmtree(gone)

    def _move_in(self) -> None:
        chosen = self._data_dir / _CHOSEN
        for file in FILES:
            for suffix in ("-journal", "-wal", "-shm"):  # what SQLite left is of the other chain
                (self._data_dir / f"{file}{suffix}").unlink(missing_ok=True)
            if (chosen / file).exists():
                os.replace(chosen / file, self._data_dir / file)
        sync_folder(self._data_dir)
        shutil.rmtree(chosen)

    def _named(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise SnapshotRefused(
                "a snapshot's name is 1 to 64 letters, digits, - and _, and begins with neither"
            )
        return self._folder / name

    def _existing(self, name: str) -> Path:
        folder = self._named(name)
        if self._about(name) is None:
            raise SnapshotRefused(f"there is no snapshot {name}")
        return folder

    def _about(self, name: str) -> About | None:
        if not _NAME.fullmatch(name):
            return None
        try:
            return About(**json.loads((self._folder / name / _ABOUT).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    fd = os.open(target, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
