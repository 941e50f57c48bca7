"""Bearer keys: who calls, and what the role table lets them do."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import Database
from sandbox.core.errors import SandboxError
from sandbox.core.http.roles import RULES, Access, Role


class Unauthenticated(SandboxError):
    """No key, or one that is unknown or revoked; the answer does not say which."""

    status, code = 401, "unauthenticated"

    def __init__(self) -> None:
        super().__init__("send a valid key: Authorization: Bearer sk_sbx_…")


class Forbidden(SandboxError):
    """The key is good, its role may not call this route."""

    status, code = 403, "role_may_not"

    def __init__(self, role: str, route: str) -> None:
        super().__init__(f"the role {role} may not call {route}", role=role)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A stored API key: only the SHA-256 of its secret is kept."""

    id: str
    secret_sha256: str
    role: Role
    party: str
    seeded: bool


KeyLookup = Callable[[AsyncSession, str], Awaitable[KeyRecord | None]]
"""Finds a live key by its id; bound by wiring to `parties`."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a route. `party` is the tenant (a merchant's id, or the role's own name)."""

    role: Role
    party: str
    access: Access
    seeded: bool = False

    @property
    def merchant(self) -> str | None:
        """The merchant whose objects may be seen; None when all may be."""
        return self.party if self.access == "own" else None


_NOBODY = KeyRecord("", "0" * 64, "public", "", False)


def secret_hash(secret: str) -> str:
    """How a key's secret is kept: it has 160 random bits, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


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
    expected = (found or _NOBODY).secret_sha256
    if not hmac.compare_digest(secret_hash(parts[3]), expected) or found is None:
        raise Unauthenticated
    return found


def rule_of(request: Request) -> tuple[str, dict[Role, Access]]:
    """The route's template path and its row of the role table."""
    path = cast(str, request.scope["route"].path)
    method = "GET" if request.method == "HEAD" else request.method
    return path, RULES[(method, path)]


async def authorize(request: Request, db: AsyncSession) -> Principal:
    """Who calls this route, or `Unauthenticated` (401) or `Forbidden` (403)."""
    path, rule = rule_of(request)
    record = await _caller(request, db)
    if record is None:
        if "public" not in rule:
            raise Unauthenticated
        return Principal("public", "", rule["public"])
    access = rule.get(record.role)
    if access is None or (access == "seeded" and not record.seeded):
        raise Forbidden(record.role, f"{request.method} {path}")
    return Principal(record.role, record.party, access, record.seeded)


async def authorize_as(request: Request, db: AsyncSession, method: str, path: str) -> None:
    """Refuse who may not call another route than this one, as that route would."""
    record = await _caller(request, db)
    if record is None:
        raise Unauthenticated
    access = RULES[(method, path)].get(record.role)
    if access is None or (access == "seeded" and not record.seeded):
        raise Forbidden(record.role, f"{method} {path}")


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
