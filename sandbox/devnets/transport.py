"""The transport of both devnets: a plain ASGI function for HTTP POST and WebSocket.

Host and Origin are checked before anything else, and faults strike behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import orjson

from sandbox.core.doors import Doors
from sandbox.devnets.faults import Faults
from sandbox.devnets.json_rpc import INTERNAL_ERROR, METHOD_NOT_FOUND, RpcError, failed, parsed

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
# The answer to a body, empty for notifications only; and whether the chain was away.
Answer = Callable[[bytes], Awaitable[tuple[bytes, bool]]]

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
# A client that writes its whole body before it reads hears of a 413 only when it is let finish.
_MAX_DRAINED_BYTES: Final = 8 * MAX_BODY_BYTES
_MAX_WAITING_BYTES: Final = 16 * 1024 * 1024  # to a client that does not read
_POLICY_VIOLATION, _SERVICE_RESTART, _TOO_SLOW = 1008, 1012, 1013
_TEXT, _JSON = b"text/plain", b"application/json; charset=utf-8"


class Front(Protocol):
    """What a devnet answers with."""

    cors_headers: bytes  # request headers that a browser may send
    faults: Faults

    def is_up(self) -> bool: ...

    def is_control(self, method: str) -> bool:
        """Whether a method changes the chain as no client of a real one could."""
        ...

    async def answer(self, body: bytes) -> tuple[bytes, bool]: ...

    def join(self, connection: Connection) -> Answer:
        """How the messages of a WebSocket are answered."""
        ...

    def leave(self, connection: Connection) -> None: ...


class Transport:
    """The ASGI application: doors first, then the front."""

    def __init__(self, front: Front, doors: Doors) -> None:
        self._front, self._doors = front, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = dict(scope["headers"])
        origin = found.get(b"origin")

        async def reply(status: int, body: bytes, kind: bytes = _TEXT) -> None:
            headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
            if status == 503:
                headers.append((b"retry-after", b"1"))
            if status == 413:
                headers.append((b"connection", b"close"))  # the rest of the body is not read
            if origin is not None and status != 403:
                headers += [
                    (b"access-control-allow-origin", origin),
                    (b"access-control-allow-methods", b"POST, GET, OPTIONS"),
                    (b"access-control-allow-headers", self._front.cors_headers),
                    (b"access-control-max-age", b"600"),
                    (b"vary", b"origin"),
                ]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        if not self._doors.admit(scope["headers"]):
            await reply(403, b"Host or Origin not allowed: see --allow-host and --cors-origin\n")
        elif scope["method"] == "OPTIONS":
            await reply(204, b"")
        elif scope["method"] == "GET" and scope["path"] == "/health":
            is_up = self._front.is_up()
            await reply(200 if is_up else 503, b"ok" if is_up else b"restoring")
        elif scope["method"] != "POST":
            await reply(405, b"Use POST\n")
        elif _length(found) > _MAX_DRAINED_BYTES or (body := await _body(receive)) is None:
            await reply(413, b"Request too large\n")
        elif origin is not None and self._names_control(body):
            await reply(403, _closed_to_pages(body), _JSON)
        elif (status := await self._refuses(body)) is not None:
            await reply(status, b"Refused by a fault; see sandbox_getFaults\n")
        else:
            out, is_away = await self._front.faults.pass_on(body, self._front.answer)
            await reply(503 if is_away else 200, out, _JSON)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = dict(scope["headers"])
        await receive()  # websocket.connect
        if not self._doors.admit(scope["headers"]):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        await send({"type": "websocket.accept"})
        connection = Connection(self._front.leave)
        answer = self._front.join(connection)
        writer = asyncio.create_task(connection.write(send))
        try:
            while (event := await receive())["type"] == "websocket.receive":
                if connection.is_too_slow:
                    continue
                text = event.get("text")
                body = (event.get("bytes") or b"") if text is None else text.encode()
                if found.get(b"origin") is not None and self._names_control(body):
                    out = _closed_to_pages(body)
                elif await self._refuses(body) is not None:
                    out = _refusal(body, INTERNAL_ERROR, "Refused by a fault")
                else:
                    connection.hold()
                    out, _ = await self._front.faults.pass_on(body, answer)
                connection.answer(out)
        finally:
            self._front.leave(connection)
            writer.cancel()
            # The peer may be gone in the middle of a write.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await writer

    def _names_control(self, body: bytes) -> bool:
        return any(self._front.is_control(method) for method in _methods(body))

    async def _refuses(self, body: bytes) -> int | None:
        """What the RPC's fault says to a body; control methods alone never meet one."""
        if not self._front.faults.is_rpc_faulty:
            return None
        methods = _methods(body)
        if methods and all(map(self._front.is_control, methods)):
            return None
        return await self._front.faults.refuses(methods)


def _methods(body: bytes) -> list[str]:
    try:
        asked = parsed(body)
    except RpcError:
        return []
    requests = asked if isinstance(asked, list) else [asked]
    return [str(one.get("method")) for one in requests if isinstance(one, dict)]


def _closed_to_pages(body: bytes) -> bytes:
    return _refusal(
        body,
        METHOD_NOT_FOUND,
        "control methods are not for web pages: this request carries an Origin",
    )


def _refusal(body: bytes, code: int, message: str) -> bytes:
    try:
        asked = parsed(body)
    except RpcError as error:
        return orjson.dumps(failed(None, error))
    refusal = RpcError(code, message)
    if not isinstance(asked, list):
        return orjson.dumps(failed(_id(asked), refusal))
    return orjson.dumps([failed(_id(one), refusal) for one in asked])


def _id(asked: Any) -> Any:
    return asked.get("id") if isinstance(asked, dict) else None


def _length(headers: dict[bytes, bytes]) -> int:
    """The length that a request announces; 0 when it is sent in chunks."""
    return int(headers.get(b"content-length", b"0"))  # the parser lets nothing else through


async def _body(receive: Receive) -> bytes | None:
    """The request's body, or None when it is too long."""
    parts, size = [], 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return b""
        part = event.get("body", b"")
        size += len(part)
        if size <= MAX_BODY_BYTES:
            parts.append(part)
        else:
            parts.clear()
        if not event.get("more_body") or size > _MAX_DRAINED_BYTES:
            return b"".join(parts) if size <= MAX_BODY_BYTES else None


class Connection:
    """One WebSocket: notifications leave in their order, behind the answer that causes them.

    A client that does not read is given up: its subscriptions end, and it is told when it reads.
    """

    def __init__(self, give_up: Callable[[Connection], None]) -> None:
        self._give_up = give_up
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._held: list[bytes] = []  # made while an answer is made
        self._is_holding = False
        self._wake = asyncio.Event()
        self.is_too_slow = False
        self._ends_with: str | None = None

    def push(self, message: dict[str, Any]) -> None:
        self.push_bytes(orjson.dumps(message))

    def push_bytes(self, message: bytes) -> None:
        if self.is_too_slow:
            return
        (self._held if self._is_holding else self._waiting).append(message)
        self._waiting_bytes += len(message)
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            self.is_too_slow = True
            self._waiting.clear()
            self._held.clear()
            self._give_up(self)
        self._wake.set()

    def hold(self) -> None:
        """From here to `answer`, notifications wait for it."""
        self._is_holding = True

    def end(self, why: str) -> None:
        """Close it as a node does that starts again, once what waits has been sent."""
        self._ends_with = why
        self._wake.set()

    def answer(self, out: bytes) -> None:
        """Send an answer, empty when none was asked for, and what was held for it."""
        self._is_holding = False
        if out:
            self.push_bytes(out)
        if not self.is_too_slow:
            self._waiting.extend(self._held)
        self._held.clear()
        self._wake.set()

    async def write(self, send: Send) -> None:
        while not self.is_too_slow:
            while self._waiting:
                message = self._waiting.popleft()
                self._waiting_bytes -= len(message)
                await send({"type": "websocket.send", "text": message.decode()})
            if self._ends_with is not None:
                reason = {"code": _SERVICE_RESTART, "reason": self._ends_with}
                await send({"type": "websocket.close", **reason})
                return
            if not self.is_too_slow:
                self._wake.clear()
                await self._wake.wait()
        await send({"type": "websocket.close", "code": _TOO_SLOW, "reason": "reads too slowly"})
