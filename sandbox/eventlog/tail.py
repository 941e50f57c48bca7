"""The newest events of the log in memory: read once for all streams, rendered once per audience."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.eventlog import resends, service

PAGE = 500
MOST_EVENTS, MOST_BYTES = 2_000, 8_000_000
MOST_RESENT = 2_000


class Entry:
    """One event for streams."""

    __slots__ = ("_forms", "_row", "merchant", "position", "type")

    def __init__(self, row: Any) -> None:
        self._row = row
        self._forms: dict[tuple[bool, bool], bytes] = {}
        self.position: int = row.position
        self.merchant: str | None = row.merchant
        self.type: str = row.type

    @property
    def size(self) -> int:
        return len(self._row.leaf)

    def number(self, viewer: str | None) -> int:
        """Its number in the list of `viewer`, who may see it."""
        number: int = self.position if viewer is None else self._row.sequence
        return number

    def is_for(self, viewer: str | None, types: Sequence[str]) -> bool:
        """Whether a viewer may see it and asked for it."""
        if viewer is not None and self.merchant != viewer:
            return False
        return not types or service.wants(types, self.type)

    def chunk(self, viewer: str | None, *, is_resent: bool = False) -> bytes:
        """The event as a stream carries it. One that is sent again has no id: cursors stay."""
        form = viewer is None, is_resent
        if form not in self._forms:
            data = orjson.dumps(service.api_event(self._row, viewer=viewer))
            head = b"event: resend" if is_resent else self._id(viewer)
            self._forms[form] = b"%b\ndata: %b\n\n" % (head, data)
        return self._forms[form]

    def _id(self, viewer: str | None) -> bytes:
        return b"id: %d:%d" % (self._row.epoch, self.number(viewer))


class Tail:
    """What the log got while somebody was listening, as far back as there is room."""

    def __init__(self) -> None:
        self.epoch = 0
        self.first = self.next = 0
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._resent: deque[Entry] = deque(maxlen=MOST_RESENT)
        self.resent = 0
        """How many were sent again since this process began."""

    def forget(self) -> None:
        """Nobody listens any more."""
        self.epoch = 0
        self._entries.clear()
        self._bytes = 0

    async def read(self, db: AsyncSession) -> int:
        """Take what the log has behind the newest event here; returns how many that were."""
        epoch = await service.current_epoch(db)
        if epoch != self.epoch:
            newest = await service.newest(db, epoch, None)
            # A restored world begins its log anew, and all of it is news to who listened before.
            first = newest + 1 if not self.epoch else 0
            self.forget()
            self.epoch, self.first, self.next = epoch, first, first
        rows = await service.after(db, epoch, self.next - 1, PAGE, None)
        for row in rows:
            entry = Entry(row)
            self._entries.append(entry)
            self._bytes += entry.size
            self.next = entry.position + 1
        while len(self._entries) > MOST_EVENTS or self._bytes > MOST_BYTES:
            gone = self._entries.popleft()
            self._bytes -= gone.size
            self.first = gone.position + 1
        return len(rows)

    async def read_resent(self, db: AsyncSession, resend_id: str) -> None:
        """Take the events of one resend."""
        for row in await resends.events(db, resend_id):
            self._resent.append(Entry(row))
            self.resent += 1

    def covers(self, epoch: int, position: int) -> bool:
        """Whether everything behind `position` is here."""
        return epoch == self.epoch and self.first <= position + 1 <= self.next

    def behind(self, position: int, most: int) -> Iterator[Entry]:
        """Up to `most` events behind a position that `covers` says is here."""
        skipped = position + 1 - self.first
        for index in range(skipped, min(skipped + most, len(self._entries))):
            yield self._entries[index]

    def resent_behind(self, count: int) -> Iterator[Entry]:
        """What was sent again after the first `count`, as far as it is still here."""
        new = min(self.resent - count, len(self._resent))
        for index in range(len(self._resent) - new, len(self._resent)):
            yield self._resent[index]
