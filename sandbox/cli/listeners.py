"""What `sandbox listen` remembers: one secret and one place in the log for each listener, as files
(mode 0600) in the data directory.
"""

import base64
import fcntl
import glob
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sandbox.core.errors import SandboxError
from sandbox.devnets import datadir

FOLDER: Final = "listeners"
SECRET_BYTES: Final = 32
SYNC_S: Final = 1.0
# The longest place: nine digits, a colon, eighteen digits.
_LINE_BYTES: Final = 32
_PLACE = re.compile(r"([1-9][0-9]{0,8}):([0-9]{1,18})")
_NAME = re.compile(r"[\w-][\w.-]{0,79}")


class BadListenerName(SandboxError):
    """The name is a file's, and must not lead anywhere else."""

    code = "bad_listener_name"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} names no listener: 1 to 80 letters, digits, - _ and . (not first)"
        )


class ListenerTaken(SandboxError):
    """Two processes that forward the same events would move one cursor."""

    code = "listener_taken"

    def __init__(self, name: str, pid: str) -> None:
        super().__init__(
            f"listener {name} runs already (pid {pid or 'not known yet'}): stop it, or give this"
            " one another --name"
        )


class ListenerUnreadable(SandboxError):
    """What a listener remembers cannot be read."""

    code = "listener_unreadable"

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}; remove it, and say with --since where to begin")


@dataclass(frozen=True, slots=True)
class Place:
    """The last event that was read, as the stream's ids have it: an epoch, and in it the event's
    position or, of a merchant, its sequence.
    """

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`<epoch>:<number>`, or None."""
        found = _PLACE.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None


def default_name(forward_to: str, viewer: str) -> str:
    """A name for who forwards what `viewer` sees to this URL: readable, and no two the same."""
    told = re.sub(r"[^a-z0-9]+", "-", forward_to.lower().partition("://")[2]).strip("-")[:40]
    digest = hashlib.sha256(f"{viewer} {forward_to}".encode()).hexdigest()[:8]
    return f"{told}-{digest}"


class Listener:
    """One listener's files. The cursor is moved only by the process that holds it (`held`)."""

    def __init__(self, data_dir: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise BadListenerName(name)
        self.name = name
        self._folder = data_dir / FOLDER
        self._cursor = self._folder / f"{name}.cursor"
        self._file: int | None = None
        self._synced_at = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only process of this name. Raises `ListenerTaken`; a killed holder holds none."""
        self._make_folder()
        # Never unlinked: whoever opened the old file would hold a lock on nothing.
        descriptor = os.open(self._folder / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        with open(descriptor, "r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ListenerTaken(self.name, file.read(20).strip()) from None
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            for part in self._folder.glob(f"{glob.escape(self.name)}.cursor.*.new"):
                part.unlink()  # of a holder that was killed while it wrote
            try:
                yield
            finally:
                self._close()

    def secret(self) -> str:
        """Its `whsec_` secret (Standard Webhooks 1.0.0), made on first use and kept."""
        path = self._folder / f"{self.name}.json"
        self._make_folder()
        if not path.exists():
            fresh = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
            datadir.write_private(path, json.dumps({"secret": fresh}) + "\n")
        try:
            # Read back: of two processes that make it at once, both use the one that stays.
            found = json.loads(path.read_text(encoding="utf-8"))["secret"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ListenerUnreadable(path, str(error)) from None
        return str(found)

    def place(self) -> Place | None:
        """Where it stood when it ended, however it ended; None for a new one."""
        try:
            text = self._cursor.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ListenerUnreadable(self._cursor, str(error)) from None
        if (found := Place.parse(text)) is None:
            raise ListenerUnreadable(self._cursor, f"{text[:40]!r} is no place in the log")
        return found

    def stand_at(self, place: Place) -> None:
        """Everything up to `place` is dealt with.

        A kill loses nothing of it, a power cut up to a second: those events come again.
        """
        line = str(place).ljust(_LINE_BYTES - 1).encode() + b"\n"
        now = time.monotonic()
        if self._file is None:
            # Whole or not at all: an empty file would be a place that was lost.
            datadir.write_private(self._cursor, line.decode())
            self._file = os.open(self._cursor, os.O_WRONLY)
            self._synced_at = now
        # In place: a new file for each event costs ten times what sending the event does.
        os.pwrite(self._file, line, 0)
        if now - self._synced_at >= SYNC_S:
            os.fsync(self._file)
            self._synced_at = now

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ListenerUnreadable(self._folder, str(error)) from None

    def _close(self) -> None:
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None
