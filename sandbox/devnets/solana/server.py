"""The transport: a plain ASGI function for HTTP POST and WebSocket, on both ports alike.

Host and Origin are checked: with an open door any web page could drive this chain.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import orjson

from sandbox.devnets.solana import rpc
from sandbox.devnets.solana.errors import RpcError
from sandbox.devnets.solana.node import Node
from sandbox.devnets.solana.subscriptions import Hub, methods_for

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_WAITING_BYTES = 16 * 1024 * 1024  # notifications to a client that does not read
_BATCH_TURN = 50  # requests of a batch between two looks at other connections
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_POLICY_VIOLATION, _TOO_SLOW = 1008, 1013


class Doors:
    """Which Host and Origin headers may come in: loopback names, and those given at start."""

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._hosts = _LOOPBACK | set(hosts)
        self._origins = set(origins)

    def admit_host(self, host: bytes | None) -> bool:
        return host is not None and _hostname("//" + host.decode("latin-1")) in self._hosts

    def admit_origin(self, origin: bytes | None) -> bool:
        if origin is None:
            return True
        text = origin.decode("latin-1")
        if text in self._origins:
            return True
        return text.startswith(("http://", "https://")) and _hostname(text) in _LOOPBACK


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def create(node: Node, hub: Hub, doors: Doors) -> App:
    """The ASGI application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _http(node, doors, scope, receive, send)
        elif scope["type"] == "websocket":
            await _websocket(node, hub, doors, scope, receive, send)

    return app


def _door(doors: Doors, scope: Scope) -> tuple[bool, bytes | None]:
    found = dict(scope["headers"])
    origin = found.get(b"origin")
    return doors.admit_host(found.get(b"host")) and doors.admit_origin(origin), origin


async def _http(node: Node, doors: Doors, scope: Scope, receive: Receive, send: Send) -> None:
    admitted, origin = _door(doors, scope)
    if not admitted:
        await _reply(send, 403, b"Host or Origin not allowed\n", None)
        return
    method = scope["method"]
    if method == "OPTIONS":
        await _reply(send, 204, b"", origin)
    elif method == "GET" and scope["path"] == "/health":
        await _reply(send, 200, b"ok", origin)
    elif method != "POST":
        await _reply(send, 405, b"Use POST\n", origin)
    elif (body := await _body(receive)) is None:
        await _reply(send, 413, b"Request too large\n", origin)
    else:
        out = await _answer(node, body)
        await _reply(send, 200, out, origin, b"application/json; charset=utf-8")


async def _answer(node: Node, body: bytes) -> bytes:
    """Like `rpc.answer`, but a long batch lets others have a turn."""
    if body.lstrip()[:1] != b"[":
        return rpc.answer(node, body) or b""
    try:
        batch = rpc.parse(body)
    except RpcError:
        batch = None
    if not isinstance(batch, list) or not _BATCH_TURN < len(batch) <= rpc.MAX_BATCH:
        return rpc.answer(node, body) or b""
    answers = []
    for index, request in enumerate(batch):
        if index % _BATCH_TURN == _BATCH_TURN - 1:
            await asyncio.sleep(0)
        if (given := rpc.one(node, request)) is not None:
            answers.append(given)
    return rpc.dump(answers) if answers else b""


async def _body(receive: Receive) -> bytes | None:
    """The request's body, or None when it is too long."""
    parts, size = [], 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return b""
        part = event.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
        if not event.get("more_body"):
            return b"".join(parts)


async def _reply(
    send: Send, status: int, body: bytes, origin: bytes | None, kind: bytes = b"text/plain"
) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if origin is not None:
        headers += [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", b"POST, GET, OPTIONS"),
            (b"access-control-allow-headers", b"content-type, solana-client"),
            (b"access-control-max-age", b"600"),
            (b"vary", b"origin"),
        ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Connection:
    """One WebSocket: answers and notifications leave in the order they were made.

    A client that does not read is given up: its subscriptions end, and it is told when it reads.
    """

    def __init__(self, give_up: Callable[[Connection], None]) -> None:
        self._give_up = give_up
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._deferred: list[dict[str, Any]] = []
        self._wake = asyncio.Event()
        self._is_too_slow = False

    def push(self, message: dict[str, Any]) -> None:
        self.push_bytes(orjson.dumps(message))

    def push_bytes(self, message: bytes) -> None:
        if self._is_too_slow:
            return
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._is_too_slow = True
            self._waiting.clear()
            self._give_up(self)
        self._wake.set()

    def defer(self, message: dict[str, Any]) -> None:
        """Send it right behind the answer that is being made."""
        self._deferred.append(message)

    def flush(self) -> None:
        deferred, self._deferred = self._deferred, []
        for message in deferred:
            self.push(message)

    async def write(self, send: Send) -> None:
        while not self._is_too_slow:
            while self._waiting:
                message = self._waiting.popleft()
                self._waiting_bytes -= len(message)
                await send({"type": "websocket.send", "text": message.decode()})
            if not self._is_too_slow:
                self._wake.clear()
                await self._wake.wait()
        await send({"type": "websocket.close", "code": _TOO_SLOW, "reason": "reads too slowly"})


async def _websocket(
    node: Node, hub: Hub, doors: Doors, scope: Scope, receive: Receive, send: Send
) -> None:
    await receive()  # websocket.connect
    if not _door(doors, scope)[0]:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    await send({"type": "websocket.accept"})
    connection = Connection(hub.drop_sink)
    extra = methods_for(hub, node, connection)
    writer = asyncio.create_task(connection.write(send))
    try:
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            message = event.get("bytes") if text is None else text
            out = rpc.answer(node, message or b"", extra)
            if out is not None:
                connection.push_bytes(out)
            connection.flush()
    finally:
        hub.drop_sink(connection)
        writer.cancel()
        # The peer may be gone in the middle of a write.
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await writer
