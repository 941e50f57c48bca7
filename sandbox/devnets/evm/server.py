"""The transport: a plain ASGI function for HTTP POST and WebSocket on one port."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from sandbox.devnets.evm.doors import Doors
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.rpc import Rpc
from sandbox.devnets.evm.subscriptions import Hub

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_MAX_WAITING_BYTES: Final = 16 * 1024 * 1024  # to a client that does not read
_POLICY_VIOLATION, _TOO_SLOW = 1008, 1013
_JSON: Final = b"application/json"


class Server:
    """Doors first, then `Rpc`."""

    def __init__(self, node: Node, rpc: Rpc, hub: Hub, doors: Doors) -> None:
        self._node, self._rpc, self._hub, self._doors = node, rpc, hub, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    def _door(self, scope: Scope) -> tuple[bool, bytes | None]:
        found = dict(scope["headers"])
        origin = found.get(b"origin")
        admitted = self._doors.admit_host(found.get(b"host")) and self._doors.admit_origin(origin)
        return admitted, origin

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        admitted, origin = self._door(scope)
        if not admitted:
            await _reply(send, 403, b"Host or Origin not allowed\n", None)
        elif scope["method"] == "OPTIONS":
            await _reply(send, 204, b"", origin)
        elif scope["method"] == "GET" and scope["path"] == "/health":
            up = self._node.up
            await _reply(send, 200 if up else 503, b"ok" if up else b"restoring", origin)
        elif scope["method"] != "POST":
            await _reply(send, 405, b"Use POST\n", origin)
        elif (body := await _body(receive)) is None:
            await _reply(send, 413, b"Request too large\n", origin)
        else:
            out, is_away = await self._rpc.answer(body)
            await _reply(send, 503 if is_away else 200, out, origin, _JSON)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if not self._door(scope)[0]:
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        await send({"type": "websocket.accept"})
        connection = Connection()
        extra = self._hub.methods_for(connection.push)
        writer = asyncio.create_task(connection.write(send))
        try:
            while (event := await receive())["type"] == "websocket.receive":
                text = event.get("text")
                message = (event.get("bytes") or b"") if text is None else text.encode()
                out, _ = await self._rpc.answer(message, extra)
                if out:
                    connection.push_bytes(out)
        finally:
            self._hub.leave(connection.push)
            writer.cancel()
            # The peer may be gone in the middle of a write.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await writer


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
    if status == 503:
        headers.append((b"retry-after", b"1"))
    if origin is not None:
        headers += [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", b"POST, GET, OPTIONS"),
            (b"access-control-allow-headers", b"content-type"),
            (b"access-control-max-age", b"600"),
            (b"vary", b"origin"),
        ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Connection:
    """One WebSocket: answers and notifications leave in the order they were made.

    A client that does not read is given up, and told so when it reads.
    """

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._is_too_slow = False

    def push(self, message: dict[str, Any]) -> None:
        self.push_bytes(orjson.dumps(message))

    def push_bytes(self, message: bytes) -> None:
        if self._is_too_slow:
            return
        self._waiting.append(message)
        self._waiting_bytes += len(message)
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            self._is_too_slow = True
            self._waiting.clear()
        self._wake.set()

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
