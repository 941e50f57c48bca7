"""One answer per `Idempotency-Key`, tenant and route (CONTRACT 6).

The lock, the handler's own writes and the stored answer share one transaction, which commits
before the answer leaves: whoever got an answer can rely on it, and a repeat cannot double it.
"""

import hashlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import failpoints
from sandbox.core.canonical import canonical
from sandbox.core.db import Database
from sandbox.core.errors import SandboxError
from sandbox.core.http.auth import authorize
from sandbox.core.http.limits import check_json
from sandbox.core.http.problems import refusal

EXEMPT = frozenset({"/v1/sandbox/clock", "/v1/sandbox/quiesce", "/v1/sandbox/faults"})
KEPT_HOURS = 24
MAX_KEY_LENGTH = 255


class IdempotencyKeyMissing(SandboxError):
    """Every POST that moves something needs a key, before its body is looked at."""

    status, code = 400, "idempotency_key_missing"

    def __init__(self) -> None:
        super().__init__("send an Idempotency-Key header, a new one for each new intention")


class IdempotencyKeyInvalid(SandboxError):
    """1 to 255 printable ASCII characters, bare or as a quoted structured-field string."""

    status, code = 400, "idempotency_key_invalid"

    def __init__(self) -> None:
        super().__init__(f"an Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable characters")


class IdempotencyKeyReused(SandboxError):
    """The key was used for another request; it names that one."""

    status, code = 422, "idempotency_key_reused"

    def __init__(self, key: str, first_request: str) -> None:
        super().__init__(
            "this Idempotency-Key belongs to a request with another body",
            key=key,
            first_request_id=first_request,
        )


class RequestInProgress(SandboxError):
    """The first request with this key is still running; ask again."""

    status, code = 409, "request_in_progress"

    def __init__(self, key: str) -> None:
        super().__init__(
            "the first request with this key is still running", key=key, retryable=True
        )


def key_of(request: Request) -> str:
    """The key of the request; a bare and a quoted key are the same."""
    key = request.headers.get("idempotency-key")
    if key is None:
        raise IdempotencyKeyMissing
    key = key.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid
    return key


def fingerprint(method: str, path: str, body: bytes) -> str:
    """SHA-256 over method, concrete path and the RFC 8785 form of the body."""
    # What holds numbers that RFC 8785 cannot is identified by its own bytes.
    with suppress(ValueError):
        body = canonical(orjson.loads(body)) if body else b""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).hexdigest()


async def _stored(db: AsyncSession, tenant: str, path: str, key: str) -> Any:
    locked = await db.scalar(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"idem\n{tenant}\n{path}\n{key}"},
    )
    if not locked:
        raise RequestInProgress(key)
    found = await db.execute(
        text(
            "SELECT fingerprint, status, body, request_id,"
            " created_at <= sandbox_now() - :hours * interval '1 hour' AS expired"
            " FROM idempotency_key WHERE tenant = :tenant AND route = :route AND key = :key"
        ),
        {"tenant": tenant, "route": path, "key": key, "hours": KEPT_HOURS},
    )
    row = found.one_or_none()
    if row is not None and row.expired:
        await db.execute(
            text(
                "DELETE FROM idempotency_key"
                " WHERE tenant = :tenant AND route = :route AND key = :key"
            ),
            {"tenant": tenant, "route": path, "key": key},
        )
        return None
    return row


def show_once(request: Request, *fields: str) -> None:
    """Keep these members of the answer out of the stored copy: a repeat shows null instead."""
    request.state.shown_once = fields


def _without_secrets(request: Request, body: bytes) -> bytes:
    fields: tuple[str, ...] = getattr(request.state, "shown_once", ())
    if not fields:
        return body
    return orjson.dumps({**orjson.loads(body), **dict.fromkeys(fields)})


class IdempotentRoute(APIRoute):
    """A route whose POST answers once per key. Use as `route_class` of a slice's router."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            if request.method != "POST":
                return await handle(request)
            if request.url.path in EXEMPT:
                check_json(await request.body())
                return await handle(request)
            database: Database = request.app.state.database
            what = request.url.path.rpartition("/")[2]
            async with database.transaction() as db:
                request.state.db = db
                answer = await self._answer(request, db, handle)
                failpoints.passed("post.uncommitted", what)
            failpoints.passed("post.committed", what)
            return answer

        return once

    async def _answer(
        self,
        request: Request,
        db: AsyncSession,
        handle: Callable[[Request], Coroutine[Any, Any, Response]],
    ) -> Response:
        principal = request.state.principal = await authorize(request, db)
        key, path = key_of(request), request.url.path
        tenant = principal.party or principal.role
        body = await request.body()
        check_json(body)
        print_ = fingerprint(request.method, path, body)
        first = await _stored(db, tenant, path, key)
        if first is not None:
            if first.fingerprint != print_:
                raise IdempotencyKeyReused(key, first.request_id)
            media = "application/json" if first.status < 400 else "application/problem+json"
            return Response(
                first.body,
                first.status,
                {"Idempotency-Replayed": "true", "Original-Request-Id": first.request_id},
                media_type=media,
            )
        try:
            async with db.begin_nested():
                response = await handle(request)
        except SandboxError as error:
            if error.status >= 500 or error.status in (401, 403):
                raise
            response = refusal(request, error)
        await db.execute(
            text(
                "INSERT INTO idempotency_key"
                " (tenant, route, key, fingerprint, status, body, request_id, created_at)"
                " VALUES (:tenant, :route, :key, :fingerprint, :status, :body, :request_id,"
                " sandbox_now())"
            ),
            {
                "tenant": tenant,
                "route": path,
                "key": key,
                "fingerprint": print_,
                "status": response.status_code,
                "body": _without_secrets(request, bytes(response.body)),
                "request_id": getattr(request.state, "request_id", ""),
            },
        )
        return response
