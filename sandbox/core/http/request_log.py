"""What was asked and answered, for whoever asked it: written in batches, beside the requests.

A request only puts a note into a queue; one INSERT every quarter of a second writes what is there.
What a kill loses is only log. Secrets are taken out before anything is written.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson
import structlog
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.core import api_version
from sandbox.core.db import Database, DatabaseUnavailable
from sandbox.core.driver import Statement
from sandbox.core.http.auth import KeyRecord

log = structlog.get_logger()

MAX_BODY_BYTES: Final = 16_384
MAX_QUEUED: Final = 5_000
MAX_QUEUED_BYTES: Final = 16 << 20
_FLUSH_S: Final = 0.25
_USED_AGAIN_S: Final = 5.0
_MAX_HEAD: Final = 2_000
# Reading the log is not written into it: who follows it would see only itself.
_UNLOGGED: Final = "/v1/request_logs"

_SECRETS: Final = re.compile(r"(sk_sbx_[0-9a-z]+_|wh(?:sec|sk)_)[0-9A-Za-z+/=]+")
# JSON may write any character of a secret as an escape.
_ESCAPE: Final = re.compile(r"\\u00([2-7][0-9a-fA-F])")


@dataclass(slots=True)
class Note:
    """One request as the middleware saw it; `state` is what the routes left about it."""

    method: str
    path: str
    query: str
    state: Mapping[str, Any]
    request: bytearray = field(default_factory=bytearray)
    response: bytearray = field(default_factory=bytearray)
    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    seconds: float = 0.0

    def size(self) -> int:
        """Bytes that it keeps alive, about."""
        return len(self.request) + len(self.response) + len(self.path) + len(self.query) + 500


class RequestLog:
    """The queue of this process, and what empties it into the table. `kept`: rows, 0 for none."""

    def __init__(self, database: Database, kept: int) -> None:
        self._database, self._kept = database, kept
        self._waiting: deque[Note] = deque()
        self._bytes = self._unpruned = 0
        self._wakes = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._used: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def add(self, note: Note) -> None:
        """Keep a note for the next batch; with too many waiting, it is dropped and counted."""
        if not self._kept:
            return
        if len(self._waiting) >= MAX_QUEUED or self._bytes >= MAX_QUEUED_BYTES:
            self.dropped += 1
            return
        self._waiting.append(note)
        self._bytes += note.size()
        self._wakes.set()

    def start(self) -> None:
        """Write batches in the background until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what still waits, if the database takes it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    async def _run(self) -> None:
        while True:
            await self._wakes.wait()
            await asyncio.sleep(_FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Write all that waits, in one statement; what the database does not take is lost."""
        async with self._flushing:
            self._wakes.clear()
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._bytes = 0
            if not batch:
                return
            try:
                await self._write(batch)
            except (DatabaseUnavailable, DBAPIError, OSError) as error:
                self.dropped += len(batch)
                log.warning("request log lost", requests=len(batch), error=repr(error))

    async def _write(self, batch: list[Note]) -> None:
        rows = [_row(note) for note in batch]
        self._unpruned += len(rows)
        async with self._database.transaction() as db:
            await _INSERT.fetch(db, {name: [row[name] for row in rows] for name in _COLUMNS})
            used = self._uses(batch)
            if used:
                await _USED.fetch(db, {"ids": list(used), "ats": list(used.values())})
            if self._unpruned * 10 >= self._kept:
                self._unpruned = 0
                await _PRUNE.fetch(db, {"kept": self._kept})

    def _uses(self, batch: list[Note]) -> dict[str, datetime]:
        """The keys whose last use shall be written: not each time, a row would be written anew."""
        found: dict[str, datetime] = {}
        now = time.monotonic()
        for note in batch:
            key: KeyRecord | None = note.state.get("key")
            if key is None or key.at is None:
                continue
            if key.id in found or now - self._used.get(key.id, -_USED_AGAIN_S) >= _USED_AGAIN_S:
                self._used[key.id] = now
                found[key.id] = key.at
        return found


_COLUMNS: Final = {
    "id": "text",
    "tenant": "text",
    "method": "text",
    "path": "text",
    "query": "text",
    "status": "int",
    "code": "text",
    "duration_ms": "int",
    "role": "text",
    "api_key": "text",
    "api_version": "text",
    "idempotency_key": "text",
    "replayed": "bool",
    "request_body": "text",
    "response_body": "text",
    "at": "timestamptz",
}
_NAMES = ", ".join("created_at" if name == "at" else name for name in _COLUMNS)
_GIVEN = ", ".join(f"CAST(:{name} AS {type_}[])" for name, type_ in _COLUMNS.items())
_TAKEN = ", ".join("coalesce(at, sandbox_now())" if n == "at" else n for n in _COLUMNS)
_INSERT = Statement(
    f"INSERT INTO request_log ({_NAMES})"  # noqa: S608 - names of our own columns
    f" SELECT {_TAKEN} FROM unnest({_GIVEN}) AS given({', '.join(_COLUMNS)})"
)
_USED = Statement(
    "UPDATE api_key k SET last_used_at = greatest(k.last_used_at, given.at)"
    " FROM unnest(CAST(:ids AS text[]), CAST(:ats AS timestamptz[])) AS given(id, at)"
    " WHERE k.id = given.id"
)
_PRUNE = Statement(
    "DELETE FROM request_log WHERE number <= (SELECT max(number) FROM request_log) - :kept"
)


def _row(note: Note) -> dict[str, Any]:
    state, headers = note.state, dict(note.headers)
    key: KeyRecord | None = state.get("key")
    response = _body(note.response, state.get("shown_once", ()))
    return {
        "id": state.get("request_id", ""),
        "tenant": None if key is None else key.party,
        "method": note.method,
        "path": _text(note.path)[:_MAX_HEAD],
        "query": _text(note.query)[:_MAX_HEAD],
        "status": note.status,
        "code": _code(note, headers),
        "duration_ms": round(note.seconds * 1_000),
        "role": "public" if key is None else key.role,
        "api_key": None if key is None else key.id,
        "api_version": state.get("api_version", api_version.LATEST),
        "idempotency_key": _optional(state.get("idempotency_key")),
        "replayed": b"idempotency-replayed" in headers,
        "request_body": _body(note.request),
        "response_body": response,
        "at": None if key is None else key.at,
    }


def _code(note: Note, headers: Mapping[bytes, bytes]) -> str | None:
    if not headers:
        return "internal_error"  # that answer is made outside of all middleware
    if not headers.get(b"content-type", b"").startswith(b"application/problem+json"):
        return None
    try:
        return str(orjson.loads(note.response)["code"])
    except (ValueError, KeyError):
        return None


def _optional(text: str | None) -> str | None:
    return None if text is None else _text(text)


def _body(body: bytearray, secret_fields: tuple[str, ...] = ()) -> str | None:
    """The body as it may be kept: cut off, and without secrets."""
    if not body:
        return None
    if secret_fields:
        try:
            body = bytearray(orjson.dumps(orjson.loads(body) | dict.fromkeys(secret_fields)))
        except (ValueError, TypeError):
            return None
    return _text(bytes(body[:MAX_BODY_BYTES]).decode("utf-8", "replace"))


def _text(text: str) -> str:
    """Without secrets, and as PostgreSQL can hold it."""
    text = text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    plain = text
    if "\\" in text:
        plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text.replace("\\/", "/"))
    # Escapes stay as they came, unless they hid a secret.
    return _SECRETS.sub(r"\1…", plain if _SECRETS.search(plain) else text)


class RequestLogMiddleware:
    """Plain ASGI, inside `RequestIdMiddleware` and outside what refuses at the door.

    Of a stream, and of a body that is no text, only the head is noted.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if (
            scope["type"] != "http"
            or not path.startswith("/v1/")
            or path.startswith(_UNLOGGED)
            or (requests := getattr(scope["app"].state, "request_log", None)) is None
        ):
            await self.app(scope, receive, send)
            return
        query = scope.get("query_string", b"").decode("latin-1")
        note = Note(scope["method"], path, query, scope.setdefault("state", {}))
        began, takes_body = time.perf_counter(), False

        async def heard() -> Message:
            message = await receive()
            body = message.get("body")
            # One byte more than is kept: what was cut off does not pass for JSON.
            if body and len(note.request) <= MAX_BODY_BYTES:
                note.request += body[: MAX_BODY_BYTES + 1 - len(note.request)]
            return message

        async def said(message: Message) -> None:
            nonlocal takes_body
            if message["type"] == "http.response.start":
                note.status, note.headers = message["status"], message["headers"]
                kind = dict(note.headers).get(b"content-type", b"")
                takes_body = kind.startswith((b"application/json", b"application/problem+json"))
            elif takes_body and len(note.response) <= MAX_BODY_BYTES:
                body = message.get("body", b"")
                note.response += body[: MAX_BODY_BYTES + 1 - len(note.response)]
            await send(message)

        try:
            await self.app(scope, heard, said)
        finally:
            note.seconds = time.perf_counter() - began
            requests.add(note)
