"""The live stream of events (server-sent events), woken by one LISTEN connection per process.

New events are read once for all streams (`tail`). A stream that begins further back reads the log
page by page as its client takes it, so a slow client costs no memory; one that takes nothing for
`SLOW_S` is cut off and resumes with `Last-Event-ID`.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

import asyncpg
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.core.db import Database
from sandbox.core.errors import Unavailable
from sandbox.eventlog import resends, service, tail
from sandbox.eventlog.cursor import Cursor, first
from sandbox.eventlog.errors import TooManyStreams
from sandbox.eventlog.sequencer import CHANNEL
from sandbox.eventlog.tail import Entry, Tail

PAGE = 100
POLL_S = 1.0
HEARTBEAT_S = 10.0
SLOW_S = 30.0
KEY_S = 1.0
"""A key that has ended is told no more events after so long."""
RECONNECT_MS = 1_000
MAX_STREAMS = 1_000
"""Each costs a socket and some 50 kB; none costs a connection to the database while it waits."""

log = structlog.get_logger()


class Feed:
    """What the streams of one process wait on. Start it and stop it with the application."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.closing = False
        self.streams = 0
        self._none = asyncio.Event()
        self._none.set()
        self.tail = Tail()
        self._wake = asyncio.Event()
        self._heard = asyncio.Event()
        self._resent: list[str] = []
        self._keys: dict[str, tuple[float, asyncio.Future[bool]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._handlers: dict[signal.Signals, Any] = {}

    def start(self, *, signals: bool = False) -> None:
        """Listen from now on. With `signals`, SIGTERM and SIGINT end the streams first.

        A server that stops gracefully waits for its connections before it says so to the
        application; without the signals, open streams would hold it up until it gives up.
        """
        self._tasks = [
            asyncio.create_task(self._listen(), name="event feed"),
            asyncio.create_task(self._follow(), name="event tail"),
        ]
        if signals:
            self._end_on_signals()

    async def stop(self) -> None:
        """End every stream and the LISTEN connection."""
        self.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def close(self) -> None:
        """End every stream; new ones end at once."""
        self.closing = True
        self._wake_all()

    def joined(self) -> None:
        self.streams += 1
        self._none.clear()

    def left(self) -> None:
        self.streams -= 1
        if not self.streams:
            self._none.set()

    async def ended(self, timeout_s: float) -> None:
        """After `close`: wait until no stream is left, or `timeout_s`: some clients are slow."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), timeout_s)

    async def holds(self, key: str, is_good: Callable[[], Awaitable[bool]]) -> bool:
        """Whether a key is still good; all its streams ask together. Raises as `is_good` does."""
        now = asyncio.get_running_loop().time()
        if key not in self._keys or now - self._keys[key][0] > KEY_S:
            self._keys = {k: one for k, one in self._keys.items() if now - one[0] <= KEY_S}
            self._keys[key] = now, asyncio.ensure_future(is_good())
        # Who leaves meanwhile does not take the answer from the others.
        return await asyncio.shield(self._keys[key][1])

    def token(self) -> asyncio.Event:
        """Take it before reading: it is set by whatever comes afterwards."""
        return self._wake

    def hear(self) -> None:
        """Something may have come: look for it now."""
        self._heard.set()

    def _wake_all(self) -> None:
        woken, self._wake = self._wake, asyncio.Event()
        woken.set()

    def _end_on_signals(self) -> None:
        loop = asyncio.get_running_loop()

        def chained(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.close)
            before = self._handlers.get(signal.Signals(number))
            if callable(before):
                before(number, frame)

        for number in (signal.SIGTERM, signal.SIGINT):
            self._handlers[number] = signal.getsignal(number)
            signal.signal(number, chained)

    async def _listen(self) -> None:
        while not self.closing:
            try:
                await self._listen_once()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                # The streams go on by polling meanwhile.
                log.warning("event_feed_reconnects", error=repr(error))
                await asyncio.sleep(POLL_S)

    async def _listen_once(self) -> None:
        connection = await asyncpg.connect(self.database.url)
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, lambda *_: self.hear())
            await connection.add_listener(resends.CHANNEL, self._hear_resent)
            await lost.wait()
        finally:
            connection.terminate()

    def _hear_resent(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        self._resent.append(str(payload))
        self.hear()

    async def _follow(self) -> None:
        """Read what comes while there are streams, and wake them."""
        while not self.closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), POLL_S)
            self._heard.clear()
            asked, self._resent = self._resent, []
            if not self.streams:
                self.tail.forget()
                continue
            try:
                await self._read(asked)
            except Unavailable as error:
                log.warning("event_tail_waits", error=error.detail)
            except Exception:
                # The streams would wait for ever: the next turn tries again.
                log.exception("event_tail_broke")

    async def _read(self, resent: Sequence[str]) -> None:
        was = self.tail.epoch
        async with self.database.transaction() as db:
            for resend_id in resent:
                await self.tail.read_resent(db, resend_id)
            count = await self.tail.read(db)
        if count == tail.PAGE:
            self.hear()
        if count or resent or was != self.tail.epoch:
            self._wake_all()


class EventStream(Response):
    """One client's stream, from a cursor on, until it leaves or the feed closes."""

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: Feed,
        start: Cursor,
        viewer: str | None,
        types: Sequence[str],
        is_welcome: Callable[[], Awaitable[bool]],
    ) -> None:
        if feed.streams >= MAX_STREAMS:
            raise TooManyStreams
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed, self._cursor, self._viewer, self._types = feed, start, viewer, types
        self._is_welcome = is_welcome
        self._chosen = service.Chosen(types=[service.like_pattern(one) for one in types])
        # Up to here, in the numbers of the whole log, everything was looked at.
        self._position = -2
        self._resent = feed.tail.resent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._feed.joined()
        self._feed.hear()
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._feed.left()
            for task in (sending, leaving):
                task.cancel()
            ended = await asyncio.gather(sending, leaving, return_exceptions=True)
        for outcome in ended:
            # A client that went away is no error of ours; anything else is.
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError | TimeoutError):
                raise outcome

    async def _send(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        async for chunk in self._chunks():
            async with asyncio.timeout(SLOW_S):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield f"retry: {RECONNECT_MS}\n".encode() + _standing(self._cursor)
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while not self._feed.closing:
            token = self._feed.token()
            again_s = HEARTBEAT_S
            try:
                if not await self._is_welcome():
                    return
                chunk, more = await self._page()
            except Unavailable:
                chunk, more, again_s = b"", False, POLL_S
            if chunk:
                quiet_since = loop.time()
                yield chunk
            if more:
                continue
            if loop.time() - quiet_since >= HEARTBEAT_S:
                quiet_since = loop.time()
                yield b": the stream is alive\n\n"
            left_s = quiet_since + HEARTBEAT_S - loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(again_s, max(left_s, 0.0))):
                    await token.wait()
        # What the log has said by now is told before the stream ends.
        more = True
        with suppress(Unavailable):
            while more and await self._is_welcome():
                chunk, more = await self._page()
                if chunk:
                    yield chunk

    async def _page(self) -> tuple[bytes, bool]:
        """The next events as text, and whether more may follow at once."""
        log_tail = self._feed.tail
        resent = [
            entry.chunk(self._viewer, is_resent=True)
            for entry in log_tail.resent_behind(self._resent)
            if entry.is_for(self._viewer, self._types)
        ]
        self._resent = log_tail.resent
        chunks = []
        # What comes while the feed closes, its tail does not read any more.
        if not self._feed.closing and log_tail.covers(self._cursor.epoch, self._position):
            entries = list(log_tail.behind(self._position, PAGE))
            more = len(entries) == PAGE
            if entries:
                self._position = entries[-1].position
        else:
            epoch = self._cursor.epoch
            entries, more = await self._read()
            if epoch != self._cursor.epoch:
                chunks.append(_standing(self._cursor))
        for entry in entries:
            if entry.is_for(self._viewer, self._types):
                self._cursor = Cursor(self._cursor.epoch, entry.number(self._viewer))
                chunks.append(entry.chunk(self._viewer))
        return b"".join((*resent, *chunks)), more

    async def _read(self) -> tuple[list[Entry], bool]:
        """The next page from the log itself."""
        async with self._feed.database.transaction() as db:
            epoch = await service.current_epoch(db)
            if epoch != self._cursor.epoch:
                self._cursor = first(epoch, self._viewer)
            newest = await service.newest(db, epoch, None)
            rows = await service.after(
                db, epoch, self._cursor.number, PAGE, self._viewer, self._chosen
            )
        more = len(rows) == PAGE
        # The newest was read before the rows: none up to it can be missing behind the last of them.
        known = rows[-1].position if rows else -1
        self._position = known if more else max(known, newest)
        return [Entry(row) for row in rows], more


def _standing(cursor: Cursor) -> bytes:
    """An id without data: no event, but a client knows where it stands before one comes."""
    return b"id: %b\n\n" % str(cursor).encode() if cursor.number >= 0 else b"\n"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
