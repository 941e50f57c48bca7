"""An append-only file of frames (length, CRC-32, payload), the truth of a devnet's chain.

A torn last frame is dropped when it is read; damage with good data behind it never is. What a file
begins with is written with `rewrite`, in one step: a first frame is never torn.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
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
        if is_new:
            sync_folder(path.parent)

    @property
    def size(self) -> int:
        return self._end

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
        view, written = memoryview(out), 0
        while written < len(out):
            written += os.pwrite(self._fd, view[written:], self._end + written)
        if sync:
            os.fdatasync(self._fd)
        self._end += len(out)
        return places

    def rewrite(self, head: list[bytes], keep: list[Place], tail: list[bytes]) -> list[Place]:
        """Replace the file by `head`, the frames at `keep`, and `tail`.

        Gives the new places of what was kept.
        """
        out = bytearray().join(map(framed, head))
        places = []
        for offset, length in keep:
            places.append((len(out), length))
            out += os.pread(self._fd, length, offset)
        out += b"".join(map(framed, tail))
        write_whole(self.path, out)
        os.close(self._fd)
        self._fd, self._end = os.open(self.path, os.O_RDWR | os.O_CLOEXEC), len(out)
        return places

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)


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
        view, written = memoryview(content), 0
        while written < len(content):
            written += os.write(fd, view[written:])
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
