"""Standard output as commands write to it: what it does not take is named, and never ignored."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT: Final = 1


class OutputLost(Exception):
    """Standard output takes no more: a full disk, or nothing is there to write to."""

    exit_status = 1

    def __init__(self, why: OSError) -> None:
        super().__init__(f"cannot write to standard output: {why.strerror}")


class ReaderGone(OutputLost):
    """Whoever read standard output has seen enough, as `head` does."""

    # What a shell says of a program that SIGPIPE ended. The signal itself stays ignored: it comes
    # of sockets, too, and commands live through the end of those.
    exit_status = 141


class _Stdout(io.BufferedWriter):
    """Its errors are no `OSError`: libraries keep some of those to themselves.

    Not a raw file: a Ctrl-C between a write and its caller's account of it would write twice.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        with _named():
            return super().write(data)

    def flush(self) -> None:
        with _named():
            super().flush()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What buffers still hold goes nowhere, or Python would complain of it at its end.
        _lead_nowhere(os.O_WRONLY)
        raise (ReaderGone if error.errno == errno.EPIPE else OutputLost)(error) from None


def guard() -> None:
    """From now on what standard output does not take raises `OutputLost` or `ReaderGone`."""
    if sys.stdout is None:
        # It was closed. Each write must fail, and none reach a file that is opened later.
        _lead_nowhere(os.O_RDONLY)
        closed = io.FileIO(STDOUT, "w", closefd=False)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(closed), encoding="utf-8")
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout = io.TextIOWrapper(
        _Stdout(io.FileIO(STDOUT, "w", closefd=False)),
        encoding=sys.stdout.encoding,
        errors=sys.stdout.errors,
        line_buffering=sys.stdout.line_buffering,
        write_through=sys.stdout.write_through,
    )


def _lead_nowhere(mode: int) -> None:
    nowhere = os.open(os.devnull, mode)
    os.dup2(nowhere, STDOUT)
