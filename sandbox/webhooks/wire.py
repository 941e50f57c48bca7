"""HTTP/1.1 as far as a webhook needs it: POST to a checked address, read the head of the answer.

A general client costs more than a millisecond of CPU per request. Connections are kept per scheme,
host and port, so that no name is ever served over a connection that was made for another one; the
address of each was checked when it was made.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import httptools
import httpx2

from sandbox.webhooks.egress import Destination, IpAddress

MAX_HEAD_BYTES = 32_768
MAX_BODY_BYTES = 8_192
IDLE_S = 15.0
MAX_AGE_S = 60.0
"""A name that moves to another address is noticed so late at most."""
KEPT_PER_HOST = 64
KEPT = 256

Resolve = Callable[[Destination], Awaitable[IpAddress]]
_Key = tuple[str, str, int]


class BadAnswer(Exception):
    """What came back is not HTTP, or its head has no end."""


class ConnectionLost(Exception):
    """The receiver closed the connection before it had answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and `retry-after` of an answer, and the first bytes of its body."""

    status: int
    retry_after: str | None
    body: bytes


class _Exchange(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.opened = self.used = time.monotonic()
        self._is_lost = False
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self._body = bytearray()
        self._retry_after: str | None = None
        self._status = 0
        self._is_reusable = self._is_begun = self._is_over = False
        loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._is_begun = True
        if not self._status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end()
        except httptools.HttpParserError as error:
            self._fail(BadAnswer(f"the answer is not HTTP: {error}"))
        if not self._status and self._head_bytes > MAX_HEAD_BYTES:
            self._fail(BadAnswer(f"the answer's head is longer than {MAX_HEAD_BYTES} bytes"))

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        if self._status:
            # A body without a length ends with its connection.
            self._end()
        else:
            self._fail(ConnectionLost("the connection was closed without an answer"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._is_over:
            self._is_reusable = False  # what comes unasked is no answer to anything

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status and name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._is_over:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._retry_after = None  # an interim answer says nothing about the final one
            return
        self._status = status
        if not self._answered.done():
            self._answered.set_result(None)

    def on_body(self, data: bytes) -> None:
        if self._is_over:
            return
        self._body += data
        if len(self._body) >= MAX_BODY_BYTES:
            self._end()

    def on_message_complete(self) -> None:
        if self._status and not self._is_over:
            self._is_over = True
            # Asked later, the parser has forgotten.
            self._is_reusable = self._parser.should_keep_alive()
            self._end()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(error)
            # Whoever asked may have given up.
            self._answered.add_done_callback(lambda answered: answered.exception())
        self._end()

    # What the client calls.

    async def ask(self, request: bytes, body_timeout_s: float) -> Answer:
        """Send and wait. Raises `BadAnswer`, `ConnectionLost`."""
        assert self.transport is not None
        self.transport.write(request)
        await self._answered
        if not self._ended.done():
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._ended), body_timeout_s)
        return Answer(self._status, self._retry_after, bytes(self._body[:MAX_BODY_BYTES]))

    @property
    def is_silent(self) -> bool:
        """Whether nothing at all came back: a kept connection may have been closed before."""
        return not self._is_begun

    def rest(self) -> bool:
        """Get ready for another request; false when the connection is of no more use."""
        now = time.monotonic()
        if self._is_lost or not self._is_reusable or now - self.opened > MAX_AGE_S:
            return False
        self._reset()
        self.used = now
        return True

    def is_usable(self, now: float) -> bool:
        """Whether a request may be tried on it: what came unasked is no answer to it."""
        return (
            not self._is_lost
            and self.transport is not None
            and not self.transport.is_closing()
            and self.is_silent
            and now - self.used < IDLE_S
            and now - self.opened < MAX_AGE_S
        )

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Client:
    """Follows nothing, trusts no environment. `resolve` answers a checked address, or raises.

    Who receives over TLS is vouched for by `tls`, by default the authorities that browsers trust.
    """

    def __init__(self, resolve: Resolve, tls: ssl.SSLContext | None = None) -> None:
        self._resolve = resolve
        self._kept: dict[_Key, deque[_Exchange]] = {}
        self._count = 0
        self._tls = tls

    async def post(
        self, destination: Destination, request: bytes, *, body_timeout_s: float
    ) -> Answer:
        """Send the bytes of one request. Raises what `resolve` does, `OSError`, `BadAnswer` and
        `ConnectionLost`; a cancelled one leaves no connection behind.
        """
        key = destination.scheme, destination.host, destination.port
        kept = self._take(key)
        if kept is not None:
            try:
                return await self._exchange(kept, key, request, body_timeout_s)
            except ConnectionLost:
                if not kept.is_silent:
                    raise
                # Closed while it rested. Had it been read, the receiver drops the repeat by its id.
        fresh = await self._connect(destination)
        return await self._exchange(fresh, key, request, body_timeout_s)

    def close(self) -> None:
        """Close what is kept."""
        for exchanges in self._kept.values():
            for exchange in exchanges:
                exchange.abort()
        self._kept.clear()
        self._count = 0

    async def _exchange(
        self, exchange: _Exchange, key: _Key, request: bytes, body_timeout_s: float
    ) -> Answer:
        is_kept = False
        try:
            answer = await exchange.ask(request, body_timeout_s)
            is_kept = self._keep(exchange, key)
        finally:
            if not is_kept:
                exchange.abort()
        return answer

    def _take(self, key: _Key) -> _Exchange | None:
        resting = self._kept.get(key)
        now = time.monotonic()
        while resting:
            exchange = resting.pop()
            self._count -= 1
            if exchange.is_usable(now):
                return exchange
            exchange.abort()
        self._kept.pop(key, None)
        return None

    def _keep(self, exchange: _Exchange, key: _Key) -> bool:
        if not exchange.rest():
            return False
        if self._count >= KEPT:
            self._sweep(time.monotonic())
        resting = self._kept.setdefault(key, deque())
        if self._count >= KEPT or len(resting) >= KEPT_PER_HOST:
            return False
        resting.append(exchange)
        self._count += 1
        return True

    def _sweep(self, now: float) -> None:
        for key, resting in list(self._kept.items()):
            usable = deque(one for one in resting if one.is_usable(now))
            for exchange in resting:
                if exchange not in usable:
                    exchange.abort()
            self._count -= len(resting) - len(usable)
            if usable:
                self._kept[key] = usable
            else:
                del self._kept[key]

    async def _connect(self, destination: Destination) -> _Exchange:
        address = await self._resolve(destination)
        is_tls = destination.scheme == "https"
        if is_tls and self._tls is None:
            self._tls = httpx2.create_ssl_context(trust_env=False)
        _, exchange = await asyncio.get_running_loop().create_connection(
            _Exchange,
            str(address),
            destination.port,
            ssl=self._tls if is_tls else None,
            server_hostname=destination.host if is_tls else None,
        )
        return exchange


def request_bytes(destination: Destination, headers: dict[str, str], body: bytes) -> bytes:
    """A POST as it goes over the wire. Names and values are ours, or checked by `egress.parse`."""
    lines = [
        f"POST {destination.target} HTTP/1.1",
        f"Host: {destination.authority}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body
