"""Bearer keys: who calls, and what the role table and the key's own restrictions let them do."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import api_version
from sandbox.core.db import Database
from sandbox.core.errors import SandboxError
from sandbox.core.http import permissions
from sandbox.core.http.rate_limits import SWITCH, Buckets, Limit
from sandbox.core.http.request_id import say
from sandbox.core.http.roles import RULES, Access, Role


class Unauthenticated(SandboxError):
    """No key, or one that is unknown or revoked; the answer does not say which."""

    status, code = 401, "unauthenticated"
    fields = ("/header/authorization",)

    def __init__(self) -> None:
        super().__init__("send a valid key: Authorization: Bearer sk_sbx_…")


class KeyExpired(SandboxError):
    """The secret is right, the key's time is over."""

    status, code = 401, "key_expired"
    fields = ("/header/authorization",)

    def __init__(self, key: str) -> None:
        super().__init__("this key has expired: make a new one", key=key)


class Forbidden(SandboxError):
    """The key is good, its role may not call this route."""

    status, code = 403, "role_may_not"

    def __init__(self, role: str, route: str) -> None:
        super().__init__(f"the role {role} may not call {route}", role=role)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A stored API key: only the SHA-256 of its secret is kept.

    `previous_sha256` is that of the secret before a rotation, while both work. `permissions` None
    is no restriction. `at` is the sandbox time of the look-up.
    """

    id: str
    secret_sha256: str
    role: Role
    party: str
    seeded: bool
    previous_sha256: str | None = None
    permissions: list[str] | None = None
    expires_at: datetime | None = None
    is_expired: bool = False
    api_version: str = api_version.LATEST
    at: datetime | None = None
    limit: Limit | None = None


KeyLookup = Callable[[AsyncSession, str], Awaitable[KeyRecord | None]]
"""Finds a live key by its id; bound by wiring to `parties`."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a route. `party` is the tenant (a merchant's id, or the role's own name)."""

    role: Role
    party: str
    access: Access
    seeded: bool = False
    key: KeyRecord | None = None

    @property
    def merchant(self) -> str | None:
        """The merchant whose objects may be seen; None when all may be."""
        return self.party if self.access == "own" else None


_NO_SECRET = "0" * 64
_NOBODY = KeyRecord("", _NO_SECRET, "public", "", False)


def secret_hash(secret: str) -> str:
    """How a key's secret is kept: it has 160 random bits, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def key_id(request: Request) -> str:
    """The part of the caller's key that is no secret; empty for who has none, checked by nobody."""
    parts = request.headers.get("authorization", "").split("_")
    return parts[2] if len(parts) == 4 else ""


async def _caller(request: Request, db: AsyncSession) -> KeyRecord | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    parts = token.strip().split("_")
    if scheme.lower() != "bearer" or len(parts) != 4 or parts[:2] != ["sk", "sbx"]:
        raise Unauthenticated
    lookup: KeyLookup = request.app.state.key_lookup
    found = await lookup(db, parts[2])
    known, given = found or _NOBODY, secret_hash(parts[3])
    # Both are compared whatever the first says, so that the time tells nothing.
    is_current = hmac.compare_digest(given, known.secret_sha256)
    is_previous = hmac.compare_digest(given, known.previous_sha256 or _NO_SECRET)
    if found is None or not (is_current or is_previous):
        raise Unauthenticated
    request.state.key = found
    if found.is_expired:
        raise KeyExpired(found.id)
    return found


def rule_of(request: Request) -> tuple[str, dict[Role, Access]]:
    """The route's template path and its row of the role table."""
    path = cast(str, request.scope["route"].path)
    method = "GET" if request.method == "HEAD" else request.method
    return path, RULES[(method, path)]


async def authorize(request: Request, db: AsyncSession) -> Principal:
    """Who calls this route.

    Raises `Unauthenticated` and `KeyExpired` (401), `Forbidden` and `PermissionMissing` (403),
    `RateLimited` (429), `VersionUnknown` (400).
    """
    path, rule = rule_of(request)
    record = await _caller(request, db)
    _choose_version(request, record)
    if record is None:
        if "public" not in rule:
            raise Unauthenticated
        return Principal("public", "", rule["public"])
    if record.limit is not None and path != SWITCH:
        _count(request, record.id, record.limit)
    access = rule.get(record.role)
    if access is None or (access == "seeded" and not record.seeded):
        raise Forbidden(record.role, f"{request.method} {path}")
    if record.permissions is not None and "public" not in rule:
        # A route for several kinds of object names the kind in its address.
        named = request.url.path if path.startswith("/v1/{") else path
        permission = permissions.needed(request.method, named)
        if not permissions.allows(record.permissions, permission):
            raise permissions.PermissionMissing(permission, record.id)
    return Principal(record.role, record.party, access, record.seeded, record)


def _choose_version(request: Request, record: KeyRecord | None) -> None:
    pinned = api_version.LATEST if record is None else record.api_version
    asked = request.headers.get("sandbox-version")
    version = pinned if asked is None else api_version.known(asked)
    request.state.api_version = version
    say(request, "Sandbox-Version", version)


def _count(request: Request, key: str, limit: Limit) -> None:
    buckets: Buckets = request.app.state.rate_limits
    say(request, "RateLimit-Policy", limit.policy)
    say(request, "RateLimit", f'"key";r=0;t={limit.seconds_to_one}')
    say(request, "RateLimit", buckets.take(key, limit))


async def authorize_as(request: Request, db: AsyncSession, method: str, path: str) -> None:
    """Refuse who may not call another route than this one, as that route would."""
    record = await _caller(request, db)
    if record is None:
        raise Unauthenticated
    access = RULES[(method, path)].get(record.role)
    if access is None or (access == "seeded" and not record.seeded):
        raise Forbidden(record.role, f"{method} {path}")
    permission = permissions.needed(method, path)
    if not permissions.allows(record.permissions, permission):
        raise permissions.PermissionMissing(permission, record.id)


def asking_again(request: Request, database: Database) -> tuple[str, Callable[[], Awaitable[bool]]]:
    """For an answer without end: a name for the key it was asked with, and whether that is good
    still. It is not once it was revoked, has expired, or another secret took its place.
    """

    async def is_good() -> bool:
        try:
            async with database.transaction() as db:
                return await _caller(request, db) is not None
        except (Unauthenticated, KeyExpired):
            return False

    return secret_hash(request.headers.get("authorization", "")), is_good


async def principal(request: Request) -> Principal:
    """The caller, as a dependency; an idempotent route has found it already."""
    known: Principal | None = getattr(request.state, "principal", None)
    if known is None:
        database: Database = request.app.state.database
        async with database.transaction() as db:
            known = await authorize(request, db)
        request.state.principal = known
    return known


PrincipalDep = Annotated[Principal, Depends(principal)]
