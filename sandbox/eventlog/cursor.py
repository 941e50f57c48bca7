"""Where a reader of events stands: an epoch and its last number (position, or own sequence)."""

import re
from dataclasses import dataclass

from sandbox.eventlog.errors import BadCursor

_FORM = re.compile(r"(?:([1-9][0-9]{0,8}):)?([0-9]{1,18})")
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next event is the one behind `number`. Positions start at 0, sequences at 1."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.number}"


def first(epoch: int, viewer: str | None) -> Cursor:
    """In front of the first event that `viewer` (a merchant, or None for all) sees."""
    return Cursor(epoch, -1 if viewer is None else 0)


def parse(value: str | None, epoch: int, viewer: str | None) -> Cursor:
    """Read `<number>` or `<epoch>:<number>`; without one, or with one of another epoch, the start.

    A restored world counts anew (CONTRACT 7), so an old epoch's number means nothing in it.
    Raises `BadCursor`.
    """
    if not value:
        return first(epoch, viewer)
    match = _FORM.fullmatch(value)
    if match is None or not value.isascii():
        raise BadCursor(value)
    if match[1] is not None and int(match[1]) != epoch:
        return first(epoch, viewer)
    return Cursor(epoch, int(match[2]))
