"""What is refused at the door, whatever the route: bodies too large, text nobody can store."""

import re
from urllib.parse import unquote_to_bytes

import orjson
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.core.errors import SandboxError
from sandbox.core.http.problems import refusal

MAX_BODY_BYTES = 1 << 20
# `\u0000` behind an even number of backslashes: an escape, and not text about one.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class BodyTooLarge(SandboxError):
    """No request of ours needs that much."""

    status, code = 413, "body_too_large"

    def __init__(self) -> None:
        super().__init__(f"a body has at most {MAX_BODY_BYTES} bytes", max_bytes=MAX_BODY_BYTES)


class Unreadable(SandboxError):
    """Not JSON as RFC 8259 has it, or text that PostgreSQL cannot hold."""

    status, code = 422, "invalid_request"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(
            "the request does not fit the schema", errors=[{"param": param, "message": message}]
        )


def check_json(body: bytes) -> None:
    """Refuse what the framework's own parser lets through: halves of characters, NaN, U+0000.

    Raises `Unreadable`; an empty body is none.
    """
    if not body:
        return
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable("/body", f"not valid JSON: {error}") from error
    if _ESCAPED_NUL.search(body):
        raise Unreadable("/body", "must not contain U+0000")


class LimitsMiddleware:
    """Plain ASGI, inside `RequestIdMiddleware`; a body without a length is counted as it comes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            _check_head(scope)
        except SandboxError as error:
            await refusal(Request(scope), error)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise BodyTooLarge
            return message

        await self.app(scope, counted, send)


def _check_head(scope: Scope) -> None:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if any(int(length) > MAX_BODY_BYTES for length in lengths if length.isdigit()):
        raise BodyTooLarge
    if "\0" in scope["path"]:
        raise Unreadable("/path", "must not contain U+0000")
    if b"\0" in unquote_to_bytes(scope.get("query_string", b"")):
        raise Unreadable("/query", "must not contain U+0000")
