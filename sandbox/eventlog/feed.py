"""The live stream of events (server-sent events), woken by one LISTEN connection per process.

A stream reads the log page by page as its client takes it, so a slow client costs no memory;
one that takes nothing for `SLOW_S` is cut off and resumes with `Last-Event-ID`.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

import asyncpg
import orjson
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.core.db import Database
from sandbox.core.errors import Unavailable
from sandbox.eventlog import service
from sandbox.eventlog.cursor import Cursor, first
from sandbox.eventlog.errors import TooManyStreams
from sandbox.eventlog.sequencer import CHANNEL

PAGE = 100
POLL_S = 1.0
HEARTBEAT_S = 10.0
SLOW_S = 30.0
RECONNECT_MS = 1_000
MAX_STREAMS = 200

log = structlog.get_logger()


class Feed:
    """What the streams of one process wait on. Start it and stop it with the application."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.closing = False
        self.streams = 0
        self._none = asyncio.Event()
        self._none.set()
        self._wake = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def start(self, *, signals: bool = False) -> None:
        """Listen from now on. With `signals`, SIGTERM and SIGINT end the streams first.

        A server that stops gracefully waits for its connections before it says so to the
        application; without the signals, open streams would hold it up until it gives up.
        """
        self._listening = asyncio.create_task(self._listen(), name="event feed")
        if signals:
            self._end_on_signals()

    async def stop(self) -> None:
        """End every stream and the LISTEN connection."""
        self.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None

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

    def token(self) -> asyncio.Event:
        """Take it before reading the log: it is set by whatever comes afterwards."""
        return self._wake

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
            await connection.add_listener(CHANNEL, lambda *_: self._wake_all())
            await lost.wait()
        finally:
            connection.terminate()


class EventStream(Response):
    """One client's stream, from a cursor on, until it leaves or the feed closes."""

    media_type = "text/event-stream"

    def __init__(
        self, feed: Feed, start: Cursor, viewer: str | None, types: Sequence[str] = ()
    ) -> None:
        if feed.streams >= MAX_STREAMS:
            raise TooManyStreams
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed, self._cursor, self._viewer, self._types = feed, start, viewer, types

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._feed.joined()
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
            message = {"type": "http.response.body", "body": chunk, "more_body": True}
            await asyncio.wait_for(send(message), SLOW_S)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield f"retry: {RECONNECT_MS}\n".encode() + _standing(self._cursor)
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while not self._feed.closing:
            token = self._feed.token()
            chunk, more = await self._page()
            if chunk:
                quiet_since = loop.time()
                yield chunk
            if more:
                continue
            if loop.time() - quiet_since >= HEARTBEAT_S:
                quiet_since = loop.time()
                yield b": the stream is alive\n\n"
            with suppress(TimeoutError):
                await asyncio.wait_for(token.wait(), POLL_S)
        # What the log has said by now is told before the stream ends.
        more = True
        while more:
            chunk, more = await self._page()
            if chunk:
                yield chunk

    async def _page(self) -> tuple[bytes, bool]:
        """The next events as text, and whether more may follow at once."""
        chunks = []
        try:
            async with self._feed.database.transaction() as db:
                epoch = await service.current_epoch(db)
                if epoch != self._cursor.epoch:
                    self._cursor = first(epoch, self._viewer)
                    chunks.append(_standing(self._cursor))
                rows = await service.after(
                    db, epoch, self._cursor.number, PAGE, self._viewer, self._types
                )
        except Unavailable:
            return b"", False
        for row in rows:
            number = row.position if self._viewer is None else row.sequence
            self._cursor = Cursor(row.epoch, number)
            data = orjson.dumps(service.api_event(row, viewer=self._viewer))
            chunks.append(b"id: %b\ndata: %b\n\n" % (str(self._cursor).encode(), data))
        return b"".join(chunks), len(rows) == PAGE


def _standing(cursor: Cursor) -> bytes:
    """An id without data: no event, but a client knows where it stands before one comes."""
    return b"id: %b\n\n" % str(cursor).encode() if cursor.number >= 0 else b"\n"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
