"""An append-only file of frames (length, CRC-32, payload), the truth of a devnet's chain.

A torn last frame is dropped when it is read; damage with good data behind it never is. What a file
begins with is written with `rewrite`, in one step: a first frame is never torn.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Final, Self

_FRAME: Final = struct.Struct("<II")
_MAX_FRAME: Final = 1 << 30
_SEARCHED_BYTES: Final = 1 << 20
Place = tuple[int, int]  # offset and length of a frame in the file


class JournalCorrupt(Exception):
    """Damage that no torn write leaves, or another chain's file: nothing of it may be dropped."""


def framed(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


class JournalFile:
    """The file. With `sync`, what was appended is on disk at the return, with all before it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        is_new = not path.exists()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._fd).st_size
        self._is_synced = True
        if is_new:
            sync_folder(path.parent)

    @property
    def size(self) -> int:
        return self._end

    @property
    def fd(self) -> int:
        return self._fd

    def payloads(self) -> Iterator[tuple[bytes, Place]]:
        """Every whole frame with its place; cuts a torn tail off.

        Raises JournalCorrupt when the first frame is bad, or one that has data behind it.
        """
        if not self._end:
            return
        at = 0
        with mmap.mmap(self._fd, self._end, prot=mmap.PROT_READ) as file:
            while at < len(file) and (payload := _frame_at(file, at)) is not None:
                length = _FRAME.size + len(payload)
                yield payload, (at, length)
                at += length
            if _is_followed(file, at):
                raise JournalCorrupt(
                    f"{self.path}: the frame at byte {at} is damaged and others follow it"
                )
            if not at:
                raise JournalCorrupt(f"{self.path}: it does not begin as a journal does")
        if at < self._end:
            os.ftruncate(self._fd, at)
            os.fsync(self._fd)
            self._end = at

    def append(self, payloads: Iterable[bytes], *, sync: bool = True) -> list[Place]:
        """Write frames in one piece; gives their places.

        Raises OSError, after which nothing may be answered; also for a frame so large that it
        would be taken for a torn one when it is read.
        """
        places, out = [], bytearray()
        for payload in payloads:
            if len(payload) >= _MAX_FRAME:
                raise OSError(errno.EFBIG, f"{len(payload)} bytes are too large for one frame")
            frame = framed(payload)
            places.append((self._end + len(out), len(frame)))
            out += frame
        _write(self._fd, out, self._end)
        self._end += len(out)
        self._is_synced = False
        if sync:
            self.sync()
        return places

    def sync(self) -> None:
        """Make everything that was appended durable. Raises OSError."""
        if not self._is_synced:
            os.fdatasync(self._fd)
            self._is_synced = True

    def rewrite(self, head: list[bytes], keep: list[Place], tail: list[bytes]) -> list[Place]:
        """Replace the file by `head`, the frames at `keep`, and `tail`.

        Gives the new places of what was kept.
        """
        successor = Successor(self, head, keep, tail)
        successor.write()
        return self.give_way(successor)

    def give_way(self, successor: Successor) -> list[Place]:
        """Become a successor that was written: what was appended meanwhile goes behind it.

        Gives the places of what it kept; frames appended meanwhile moved by its `shift`.
        Raises OSError, after which the file is what it was.
        """
        with successor.opened() as fd:
            _copy(self._fd, successor.follows, self._end, fd, successor.size)
            os.fsync(fd)
        os.replace(successor.path, self.path)
        sync_folder(self.path.parent)
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self._end += successor.shift
        self._is_synced = True
        return successor.places

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)


class Successor:
    """The file that is to follow a journal: written beside it, by whichever thread, while it grows.

    Raises OSError where there is no room; nothing is left of it then.
    """

    def __init__(
        self, journal: JournalFile, head: list[bytes], keep: list[Place], tail: list[bytes]
    ) -> None:
        self.path, self._fd = journal.path.with_suffix(".new"), journal.fd
        self._head, self._tail = b"".join(map(framed, head)), b"".join(map(framed, tail))
        self._keep, self.places = keep, list[Place]()
        self.follows, at = journal.size, len(self._head)
        for _, length in keep:
            self.places.append((at, length))
            at += length
        self.size = at + len(self._tail)
        self.shift = self.size - self.follows  # of what the journal gets from now on

    def write(self) -> None:
        """Everything but what the journal gets from now on, durably."""
        with self.opened(os.O_CREAT | os.O_TRUNC) as fd:
            _write(fd, self._head, 0)
            at = len(self._head)
            for first, last in _ranges(self._keep):
                _copy(self._fd, first, last, fd, at)
                at += last - first
            _write(fd, self._tail, at)
            os.fsync(fd)

    def discard(self) -> None:
        """Take what was written away again."""
        self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def opened(self, flags: int = 0) -> Generator[int]:
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try:
            yield fd
        except OSError:
            self.discard()  # where there is no room, half a file takes it
            raise
        finally:
            os.close(fd)


def _ranges(places: list[Place]) -> Iterator[tuple[int, int]]:
    """First and last byte of frames that lie one behind the other."""
    first = last = 0
    for offset, length in places:
        if offset != last:
            if last > first:
                yield first, last
            first = offset
        last = offset + length
    if last > first:
        yield first, last


def _copy(source: int, first: int, last: int, target: int, at: int) -> None:
    os.lseek(target, at, os.SEEK_SET)
    while first < last:
        first += os.sendfile(target, source, first, last - first)


def _write(fd: int, content: bytes | bytearray, at: int) -> None:
    view, written = memoryview(content), 0
    while written < len(content):
        written += os.pwrite(fd, view[written:], at + written)


def _frame_at(file: mmap.mmap, at: int) -> bytes | None:
    """The payload of a whole and sound frame."""
    body = at + _FRAME.size
    if body > len(file):
        return None
    size, crc = _FRAME.unpack_from(file, at)
    if not 0 < size < _MAX_FRAME or body + size > len(file):
        return None
    payload = file[body : body + size]
    return payload if zlib.crc32(payload) == crc else None


def _is_followed(file: mmap.mmap, at: int) -> bool:
    """Whether there is data behind a bad frame; zeros are what a torn write never filled."""
    body = at + _FRAME.size
    if body > len(file):
        return False
    size, _ = _FRAME.unpack_from(file, at)
    if size < _MAX_FRAME and body + size > len(file):
        # Cut short, or a damaged length: then sound frames are among what it would swallow.
        last = min(len(file), at + _SEARCHED_BYTES)
        return any(_frame_at(file, start) is not None for start in range(at + 1, last))
    return any(file[body + size if size < _MAX_FRAME else body :])


def write_whole(path: Path, content: bytes | bytearray) -> None:
    """Replace a file in one step: after a kill it is the former one or this one."""
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write(fd, content, 0)
        os.fsync(fd)
    except OSError:
        fresh.unlink(missing_ok=True)  # where there is no room, half a file takes it
        raise
    finally:
        os.close(fd)
    os.replace(fresh, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a new name in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
