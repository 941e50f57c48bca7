"""One answer per `Idempotency-Key`, tenant and route (CONTRACT 6).

The lock, the handler's own writes and the stored answer share one transaction, which commits
before the answer leaves: whoever got an answer can rely on it, and a repeat cannot double it.
"""

import hashlib
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import api_version, chance, clock, failpoints
from sandbox.core.canonical import canonical
from sandbox.core.db import Database
from sandbox.core.driver import Statement
from sandbox.core.errors import SandboxError
from sandbox.core.http import expand
from sandbox.core.http.auth import Principal, authorize, key_id
from sandbox.core.http.limits import check_json
from sandbox.core.http.problems import refusal
from sandbox.core.http.rate_limits import SWITCH
from sandbox.core.http.request_id import say
from sandbox.core.http.simulating import before_commit

# What changes the world itself is forgotten by the world that comes after it.
EXEMPT = frozenset(
    {
        "/v1/sandbox/clock",
        "/v1/sandbox/faults",
        "/v1/sandbox/quiesce",
        "/v1/sandbox/snapshots",
        "/v1/sandbox/snapshots/{name}/restore",
        "/v1/sandbox/reset",
        "/v1/sandbox/forks",
        SWITCH,
        "/v1/sandbox/triggers",
    }
)
KEPT_HOURS = 24
MAX_KEY_LENGTH = 255
_ESCAPED = re.compile(r"\\([\"\\])")


class IdempotencyKeyMissing(SandboxError):
    """Every POST that moves something needs a key, before its body is looked at."""

    status, code = 400, "idempotency_key_missing"
    fields = ("/header/idempotency-key",)

    def __init__(self) -> None:
        super().__init__("send an Idempotency-Key header, a new one for each new intention")


class IdempotencyKeyInvalid(SandboxError):
    """1 to 255 printable ASCII characters, bare or as a quoted structured-field string."""

    status, code = 400, "idempotency_key_invalid"
    fields = ("/header/idempotency-key",)

    def __init__(self) -> None:
        super().__init__(f"an Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable characters")


class IdempotencyKeyReused(SandboxError):
    """The key was used for another request; it names that one."""

    status, code = 422, "idempotency_key_reused"
    fields = ("/header/idempotency-key",)

    def __init__(self, key: str, first: Mapping[str, Any]) -> None:
        super().__init__(
            f"this Idempotency-Key belongs to POST {first['path']} of {first['age_s']} s ago, which"
            " had another body",
            key=key,
            why="other_body",
            first_request_id=first["request_id"],
            first_request=dict(first),
        )


class RequestInProgress(SandboxError):
    """The first request with this key is still running; ask again."""

    status, code = 409, "request_in_progress"
    again = True
    fields = ("/header/idempotency-key",)

    def __init__(self, key: str) -> None:
        super().__init__("the first request with this key is still running", key=key)


def key_of(request: Request) -> str:
    """The key of the request; a bare and a quoted key are the same."""
    key = request.headers.get("idempotency-key")
    if key is None:
        raise IdempotencyKeyMissing
    return plain_key(key)


def plain_key(key: str) -> str:
    """The key without the quotes of a structured-field string (RFC 8941, 3.3.3).

    Raises `IdempotencyKeyInvalid`.
    """
    key = key.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = _ESCAPED.sub(r"\1", key[1:-1])
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyInvalid
    return key


def quoted_key(key: str) -> str:
    """The canonical form of a key: a structured-field string."""
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def fingerprint(method: str, path: str, body: bytes) -> str:
    """SHA-256 over method, concrete path and the RFC 8785 form of the body."""
    # What holds numbers that RFC 8785 cannot is identified by its own bytes.
    with suppress(ValueError):
        body = canonical(orjson.loads(body)) if body else b""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).hexdigest()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request is known by, and what it asks for."""

    tenant: str
    path: str
    key: str
    fingerprint: str

    @property
    def where(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "route": self.path, "key": self.key}


# Lock and look in one statement. Who held the lock may have committed between the two, unseen:
# then `_FORGET` forgets nothing, or `_KEEP` keeps nothing, and the request is told to ask again.
_LOOK = Statement(
    """
    SELECT locked.ok, k.fingerprint, k.status, k.body, k.request_id, k.created_at,
        CASE WHEN k.created_at IS NOT NULL
            THEN extract(epoch FROM sandbox_now() - k.created_at)::bigint END AS age_s,
        CASE WHEN k.created_at IS NOT NULL
            THEN k.created_at <= sandbox_now() - :hours * interval '1 hour' END AS expired
    FROM (SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0)) AS ok OFFSET 0) AS locked
    LEFT JOIN idempotency_key k ON k.tenant = :tenant AND k.route = :route AND k.key = :key
    """
)
_FORGET = Statement(
    "DELETE FROM idempotency_key WHERE tenant = :tenant AND route = :route AND key = :key"
    " AND created_at <= sandbox_now() - :hours * interval '1 hour' RETURNING key"
)
_KEEP = Statement(
    "INSERT INTO idempotency_key"
    " (tenant, route, key, fingerprint, status, body, request_id, created_at)"
    " VALUES (:tenant, :route, :key, :fingerprint, :status, :body, :request_id, sandbox_now())"
    " ON CONFLICT DO NOTHING RETURNING key"
)


async def _first_answer(db: AsyncSession, asked: _Asked) -> Response | None:
    """What the first request with this key was answered; others with it wait until the end."""
    name = f"idem\n{asked.tenant}\n{asked.path}\n{asked.key}"
    [first] = await _LOOK.fetch(db, {**asked.where, "name": name, "hours": KEPT_HOURS})
    if not first["ok"]:
        raise RequestInProgress(asked.key)
    if first["fingerprint"] is None:
        return None
    if first["expired"]:
        await _one_row(db, _FORGET, {**asked.where, "hours": KEPT_HOURS}, asked)
        return None
    if first["fingerprint"] != asked.fingerprint:
        raise IdempotencyKeyReused(asked.key, _told(asked, first))
    return Response(
        first["body"],
        first["status"],
        {
            "Idempotency-Replayed": "true",
            "Idempotency-Age": str(first["age_s"]),
            "Original-Request-Id": first["request_id"],
        },
        media_type="application/json" if first["status"] < 400 else "application/problem+json",
    )


def _told(asked: _Asked, first: Any) -> dict[str, Any]:
    return {
        "request_id": first["request_id"],
        "path": asked.path,
        "status": first["status"],
        "created_at": clock.iso(first["created_at"]),
        "expires_at": clock.iso(first["created_at"] + timedelta(hours=KEPT_HOURS)),
        "age_s": first["age_s"],
    }


async def _keep(db: AsyncSession, asked: _Asked, request: Request, response: Response) -> None:
    values = {
        **asked.where,
        "fingerprint": asked.fingerprint,
        "status": response.status_code,
        "body": _without_secrets(request, bytes(response.body)),
        "request_id": getattr(request.state, "request_id", ""),
    }
    await _one_row(db, _KEEP, values, asked)


async def _one_row(
    db: AsyncSession, statement: Statement, values: dict[str, Any], asked: _Asked
) -> None:
    """Raises `RequestInProgress` when another request with this key was faster."""
    if not await statement.fetch(db, values):
        raise RequestInProgress(asked.key)


class _Refused(Exception):
    """What the handler wrote is undone with its transaction; the refusal is kept in another."""

    def __init__(self, asked: _Asked, error: SandboxError) -> None:
        super().__init__(error.code)
        self.asked, self.error = asked, error


def show_once(request: Request, *fields: str) -> None:
    """Keep these members of the answer out of the stored copy: a repeat shows null instead."""
    request.state.shown_once = fields


def _without_secrets(request: Request, body: bytes) -> bytes:
    fields: tuple[str, ...] = getattr(request.state, "shown_once", ())
    if not fields:
        return body
    return orjson.dumps({**orjson.loads(body), **dict.fromkeys(fields)})


def _in_version(request: Request, answer: Response) -> Response:
    version: str = getattr(request.state, "api_version", api_version.LATEST)
    if version == api_version.LATEST or answer.media_type != "application/json":
        return answer
    kept = {name: text for name, text in answer.headers.items() if name != "content-length"}
    body = api_version.shaped(orjson.loads(answer.body), version)
    return JSONResponse(body, answer.status_code, kept)


class IdempotentRoute(APIRoute):
    """A route whose POST answers once per key. Use as `route_class` of a slice's router.

    Answers are kept as they are by default; what the request wants expanded, and the shape of the
    version that it is pinned to, are made of that each time.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            if request.method in ("GET", "HEAD") or not chance.is_sown():
                return await answered(request)
            with chance.within(f"{request.method} {self.path_format} {key_id(request)}"):
                return await answered(request)

        async def answered(request: Request) -> Response:
            if request.method != "POST":
                return await handle(request)
            if request.url.path in EXEMPT:
                check_json(await request.body())
                before_commit(request)
                return await handle(request)
            # Read before a connection is taken: slow senders would hold all that there are.
            await request.body()
            database: Database = request.app.state.database
            what = request.url.path.rpartition("/")[2]
            try:
                async with database.transaction() as db:
                    request.state.db = db
                    answer = await self._answer(request, db, handle)
                    before_commit(request)
                    failpoints.passed("post.uncommitted", what)
            except _Refused as refused:
                async with database.transaction() as db:
                    answer = await self._refusal(request, db, refused)
            failpoints.passed("post.committed", what)
            return answer

        async def as_asked(request: Request) -> Response:
            steps = request.state.expand = expand.asked(request)
            answer = await once(request)
            caller: Principal | None = getattr(request.state, "principal", None)
            if steps is not None and caller is not None:
                expand.check(steps, caller)
                answer = await expand.expanded(request, caller, answer, steps)
            return _in_version(request, answer)

        return as_asked

    async def _answer(
        self,
        request: Request,
        db: AsyncSession,
        handle: Callable[[Request], Coroutine[Any, Any, Response]],
    ) -> Response:
        principal = request.state.principal = await authorize(request, db)
        if request.state.expand is not None:
            expand.check(request.state.expand, principal)
        key, path = key_of(request), request.url.path
        request.state.idempotency_key = key
        say(request, "Idempotency-Key", quoted_key(key))
        body = await request.body()
        check_json(body)
        print_ = fingerprint(request.method, path, body)
        asked = _Asked(principal.party or principal.role, path, key, print_)
        first = await _first_answer(db, asked)
        if first is not None:
            return first
        try:
            response = await handle(request)
        except SandboxError as error:
            # What may succeed next time is not decided: who asks again is not told the old answer.
            if error.status >= 500 or error.status in (401, 403) or error.retryable is True:
                raise
            raise _Refused(asked, error) from error
        await _keep(db, asked, request, response)
        return response

    async def _refusal(self, request: Request, db: AsyncSession, refused: _Refused) -> Response:
        """The refusal, unless another request with this key was answered meanwhile."""
        first = await _first_answer(db, refused.asked)
        if first is not None:
            return first
        response = refusal(request, refused.error)
        await _keep(db, refused.asked, request, response)
        return response
