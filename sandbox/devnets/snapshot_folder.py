"""Named copies of a chain's files, kept beside it, and going back to one of them.

A folder appears under its name when it is whole, and a chain is exchanged by one rename: a kill in
the middle leaves no half of either.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from sandbox.devnets.journal_file import sync_folder, write_whole

FOLDER: Final = "snapshots"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ABOUT: Final = "about.json"
_MAKING: Final = ".making"  # no name of a snapshot begins with a dot
_LOADING, _CHOSEN = "restoring.new", "restoring"


class SnapshotRefused(Exception):
    """There is none of that name, there is one already, or it cannot be used; the text says which.

    The chain is as it was.
    """


@dataclass(frozen=True, slots=True)
class Named:
    """What is known of a snapshot without opening it: a chain adds what it likes to say."""

    name: str


A = TypeVar("A", bound=Named)


class SnapshotFolder(Generic[A]):
    """The snapshots of one data directory: `files` are the whole chain, `leftovers` what must not
    stay of another one. Blocking: a copy takes as long as the chain is big.
    """

    def __init__(
        self, data_dir: Path, about: type[A], files: tuple[str, ...], leftovers: tuple[str, ...]
    ) -> None:
        self._data_dir, self._folder = data_dir, data_dir / FOLDER
        self._about_type, self._files, self._leftovers = about, files, leftovers

    def tidy(self) -> None:
        """At the start, before the chain is opened: end a restore that was chosen, forget the rest.

        Raises OSError.
        """
        shutil.rmtree(self._folder / _MAKING, ignore_errors=True)
        self.unload()
        if (self._data_dir / _CHOSEN).exists():
            self._move_in()

    def listed(self) -> list[A]:
        """By name."""
        if not self._folder.exists():
            return []
        found = (self.about(folder.name) for folder in self._folder.iterdir())
        return sorted((each for each in found if each is not None), key=lambda each: each.name)

    def about(self, name: str) -> A | None:
        if not _NAME.fullmatch(name):
            return None
        try:
            return self._about_type(**json.loads((self._folder / name / _ABOUT).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def refuse_taken(self, name: str) -> None:
        """Raises SnapshotRefused for what is no name, and for one that is taken."""
        if self._named(name).exists():
            raise SnapshotRefused(f"there is a snapshot {name} already: delete it first")

    def keep(self, name: str, write: Callable[[Path], A]) -> A:
        """A snapshot of the files that `write` puts into a folder. Raises SnapshotRefused."""
        self.refuse_taken(name)
        making = self._folder / _MAKING
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(mode=0o700)
            about = write(making)
            write_whole(making / _ABOUT, json.dumps(asdict(about)).encode())
            os.rename(making, self._folder / name)
            sync_folder(self._folder)
        except OSError as error:
            shutil.rmtree(making, ignore_errors=True)
            raise SnapshotRefused(f"the snapshot cannot be written: {error}") from None
        return about

    def existing(self, name: str) -> Path:
        """Its folder. Raises SnapshotRefused."""
        folder = self._named(name)
        if self.about(name) is None:
            raise SnapshotRefused(f"there is no snapshot {name}")
        return folder

    def load(self, name: str) -> Path:
        """A copy of its files beside the chain, not yet chosen. Raises SnapshotRefused, OSError."""
        source, loading = self.existing(name), self._data_dir / _LOADING
        self.unload()
        loading.mkdir(mode=0o700)
        for file in self._files:
            copy(source / file, loading / file)
        return loading

    def unload(self) -> None:
        """Forget what was loaded."""
        shutil.rmtree(self._data_dir / _LOADING, ignore_errors=True)

    def choose(self) -> None:
        """What was loaded is the chain from now on, whatever ends this process.

        Raises OSError, after which only a start can go on.
        """
        os.rename(self._data_dir / _LOADING, self._data_dir / _CHOSEN)
        sync_folder(self._data_dir)
        self._move_in()

    def delete(self, name: str) -> None:
        """Raises SnapshotRefused, OSError."""
        gone = self._folder / _MAKING
        shutil.rmtree(gone, ignore_errors=True)
        os.rename(self.existing(name), gone)  # at once, however long the rest takes
        shutil.rmtree(gone)

    def _move_in(self) -> None:
        chosen = self._data_dir / _CHOSEN
        for leftover in self._leftovers:
            (self._data_dir / leftover).unlink(missing_ok=True)
        for file in self._files:
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


def copy(source: Path, target: Path, size: int | None = None) -> None:
    """A durable copy of a file, or of its first `size` bytes. Raises OSError."""
    with source.open("rb") as read, target.open("xb") as written:
        left = os.fstat(read.fileno()).st_size if size is None else size
        while left:
            sent = os.sendfile(written.fileno(), read.fileno(), None, left)
            if not sent:
                raise OSError(f"{source} ends {left} bytes too early")
            left -= sent
        os.fsync(written.fileno())
