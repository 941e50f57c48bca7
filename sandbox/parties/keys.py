"""API keys: making, finding, rotating, revoking. Of a secret only its SHA-256 is kept."""

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import api_version, chance, clock
from sandbox.core.driver import Statement
from sandbox.core.errors import NotFound
from sandbox.core.http import KeyRecord, Principal, permissions
from sandbox.core.http.auth import secret_hash
from sandbox.core.http.rate_limits import Limit
from sandbox.core.http.roles import Role
from sandbox.core.ids import new_id
from sandbox.core.shapes import plain
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import NewEvent
from sandbox.parties import shapes
from sandbox.parties.errors import KeyEnded, KeyOutlivesItsMaker, RoleNotGrantable
from sandbox.parties.models import ApiKey

GRANTS: Final[dict[Role, tuple[Role, ...]]] = {
    "merchant": ("merchant",),
    "developer": ("merchant", "developer"),
    "operator": ("merchant", "developer", "issuer", "operator", "regulator", "fund_officer"),
}
"""Which keys a key may make: never one with more rights than itself, but for the operator."""
_SECRET_BYTES = 20  # 32 characters of base32, none of them an underscore


def key_object(row: ApiKey) -> dict[str, Any]:
    """The key as the API shows it, without anything that could be used to call."""
    shown: shapes.ApiKey = {
        "object": "api_key",
        "id": row.id,
        "prefix": f"sk_sbx_{row.id}",
        "name": row.name,
        "role": row.role,
        "party": row.party,
        "permissions": row.permissions,
        "api_version": row.api_version,
        "seeded": row.seeded,
        "created_at": clock.iso(row.created_at),
        "expires_at": _iso(row.expires_at),
        "rotated_at": _iso(row.rotated_at),
        "previous_until": _iso(row.previous_until),
        "last_used_at": _iso(row.last_used_at),
        "revoked_at": _iso(row.revoked_at),
    }
    return plain(shown)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else clock.iso(moment)


def check_may_hand_out(
    caller: Principal,
    role: Role,
    held: Sequence[str] | None,
    expires_at: datetime | None,
) -> None:
    """Refuse to put a secret into the caller's hands that can do more than its own key.

    Raises `RoleNotGrantable`, `PermissionNotGrantable`, `KeyOutlivesItsMaker`.
    """
    if role not in GRANTS.get(caller.role, ()):
        raise RoleNotGrantable(role)
    if caller.key is None:
        return
    missing = permissions.missing(held, caller.key.permissions)
    if missing:
        raise permissions.PermissionNotGrantable(missing)
    ends = caller.key.expires_at
    if ends is not None and (expires_at is None or expires_at > ends):
        raise KeyOutlivesItsMaker(clock.iso(ends))


def _new_secret() -> str:
    return base64.b32encode(chance.token_bytes(_SECRET_BYTES)).decode().lower()


async def create_key(
    db: AsyncSession,
    role: Role,
    party: str,
    *,
    seeded: bool = False,
    name: str | None = None,
    held: list[str] | None = None,
    expires_at: datetime | None = None,
    version: str = api_version.LATEST,
) -> tuple[ApiKey, str]:
    """A new key and its text `sk_sbx_<id>_<secret>`, which is kept nowhere (CONTRACT 1).

    `held`: its permissions, None for all that its role has.
    """
    at = await clock.now(db)
    secret = _new_secret()
    row = ApiKey(
        id=new_id("k", at).removeprefix("k_"),
        secret_sha256=secret_hash(secret),
        role=role,
        party=party,
        seeded=seeded,
        name=name,
        permissions=held,
        api_version=version,
        expires_at=expires_at,
        created_at=at,
    )
    db.add(row)
    await db.flush()
    await _tell(db, row, "api_key.created", at)
    return row, f"sk_sbx_{row.id}_{secret}"


async def _tell(db: AsyncSession, row: ApiKey, type_: str, at: datetime) -> None:
    owner = row.party if row.role in ("merchant", "developer") else None
    event = NewEvent(
        new_id("evt", at), type_, at, key_object(row), merchant=owner, private=("name",)
    )
    await eventlog.append_many(db, [event], {})


_KEY = Statement(
    f"""
    SELECT k.id, k.secret_sha256, k.role, k.party, k.seeded, k.permissions, k.api_version,
        CASE WHEN k.previous_until > {clock.INLINE_NOW} THEN k.previous_sha256 END
            AS previous_sha256,
        k.expires_at, k.expires_at <= {clock.INLINE_NOW} AS is_expired, {clock.INLINE_NOW} AS at,
        r.requests_per_s, r.burst
    FROM api_key k
    CROSS JOIN clock
    LEFT JOIN rate_limit r ON r.party = k.party
    WHERE k.id = :id AND k.revoked_at IS NULL
    """  # noqa: S608 - SQL of our own
)


async def find_key(db: AsyncSession, key_id: str) -> KeyRecord | None:
    """The key with this id, unless revoked. One plain statement: it is asked on every request."""
    found = await _KEY.fetch(db, {"id": key_id})
    if not found:
        return None
    row = found[0]
    rate = row["requests_per_s"]
    return KeyRecord(
        row["id"],
        row["secret_sha256"],
        row["role"],
        row["party"],
        row["seeded"],
        row["previous_sha256"],
        row["permissions"],
        row["expires_at"],
        row["is_expired"] is True,
        row["api_version"],
        row["at"],
        None if rate is None else Limit(rate, row["burst"]),
    )


async def one(db: AsyncSession, key_id: str, *, owner: str | None, lock: bool = False) -> ApiKey:
    """The key, or `NotFound`. `owner` limits it to one party."""
    found = select(ApiKey).where(col(ApiKey.id) == key_id)
    if lock:
        found = found.with_for_update(key_share=True).execution_options(populate_existing=True)
    row = (await db.exec(found)).one_or_none()
    if row is None or (owner is not None and row.party != owner):
        raise NotFound("api_key", key_id)
    return row


async def rotate_key(db: AsyncSession, row: ApiKey, overlap_s: int) -> str:
    """Give a locked key a new secret and answer its text; the one before works for `overlap_s` more
    (sandbox time). One older than that ends at once. Raises `KeyEnded`.
    """
    at = await clock.now(db)
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= at):
        raise KeyEnded(row.id)
    secret = _new_secret()
    row.previous_sha256 = row.secret_sha256 if overlap_s else None
    row.previous_until = at + timedelta(seconds=overlap_s) if overlap_s else None
    row.secret_sha256, row.rotated_at = secret_hash(secret), at
    db.add(row)
    await db.flush()
    await _tell(db, row, "api_key.rotated", at)
    return f"sk_sbx_{row.id}_{secret}"


async def revoke_key(db: AsyncSession, key_id: str, *, owner: str | None) -> ApiKey:
    """End a key at once; ending it again changes nothing. `owner` limits it to one party."""
    row = await one(db, key_id, owner=owner, lock=True)
    if row.revoked_at is None:
        row.revoked_at = at = await clock.now(db)
        db.add(row)
        await db.flush()
        await _tell(db, row, "api_key.revoked", at)
    return row
