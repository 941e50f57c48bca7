"""Merchants and API keys: making, finding, revoking."""

import base64
import secrets
from typing import Any, Literal, cast

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.errors import NotFound
from sandbox.core.http import KeyRecord
from sandbox.core.http.auth import secret_hash
from sandbox.core.http.roles import Role
from sandbox.core.ids import new_id
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import NewEvent
from sandbox.parties.models import ApiKey, Merchant
from sandbox.parties.numbers import check_kbe, iban, tax_kind

DEFAULT_FEE_BPS = 100
DEFAULT_CUT_OFF = "18:00"
_SECRET_BYTES = 20  # 32 characters of base32, none of them an underscore

ConfirmPolicy = Literal["detected", "confirmed", "final"]


def merchant_object(row: Merchant) -> dict[str, Any]:
    """The merchant as the API shows it."""
    return {
        "object": "merchant",
        "id": row.id,
        "name": row.name,
        "bin": row.bin,
        "iban": row.iban,
        "knp": row.knp,
        "kbe": row.kbe,
        "fee_bps": row.fee_bps,
        "confirm_policy": row.confirm_policy,
        "settlement_mode": row.settlement_mode,
        "cut_off": row.cut_off,
        "status": row.status,
        "created_at": clock.iso(row.created_at),
    }


def key_object(row: ApiKey) -> dict[str, Any]:
    """The key as the API shows it, without anything that could be used to call."""
    return {
        "object": "api_key",
        "id": row.id,
        "role": row.role,
        "party": row.party,
        "seeded": row.seeded,
        "created_at": clock.iso(row.created_at),
        "revoked_at": None if row.revoked_at is None else clock.iso(row.revoked_at),
    }


async def merchant(db: AsyncSession, merchant_id: str) -> Merchant:
    """The merchant, or `NotFound`."""
    found = await db.get(Merchant, merchant_id)
    if found is None:
        raise NotFound("merchant", merchant_id)
    return found


async def create_merchant(
    db: AsyncSession,
    *,
    name: str,
    tax_number: str,
    account_iban: str,
    knp: str,
    kbe: str,
    fee_bps: int = DEFAULT_FEE_BPS,
    confirm_policy: ConfirmPolicy = "confirmed",
) -> Merchant:
    """A new merchant, settled by payout at 18:00 Asia/Almaty (CONTRACT 6).

    `tax_number` is a BIN, or the IIN of a sole proprietor. `fee_bps` is the fee plan, in
    hundredths of a percent. Raises `TaxNumberInvalid`, `IbanInvalid`, `KbeContradictsPayee`.
    """
    check_kbe(kbe, tax_kind(tax_number))
    at = await clock.now(db)
    row = Merchant(
        id=new_id("mch", at),
        name=name,
        bin=tax_number,
        iban=iban(account_iban),
        knp=knp,
        kbe=kbe,
        fee_bps=fee_bps,
        confirm_policy=confirm_policy,
        settlement_mode="payout",
        cut_off=DEFAULT_CUT_OFF,
        status="active",
        created_at=at,
    )
    db.add(row)
    await db.flush()
    event = NewEvent(
        new_id("evt", at), "merchant.created", at, merchant_object(row), merchant=row.id
    )
    await eventlog.append_many(db, [event], {})
    return row


async def create_key(
    db: AsyncSession, role: Role, party: str, *, seeded: bool = False
) -> tuple[ApiKey, str]:
    """A new key and its text `sk_sbx_<id>_<secret>`, which is kept nowhere (CONTRACT 1)."""
    at = await clock.now(db)
    secret = base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode().lower()
    row = ApiKey(
        id=new_id("k", at).removeprefix("k_"),
        secret_sha256=secret_hash(secret),
        role=role,
        party=party,
        seeded=seeded,
        created_at=at,
    )
    db.add(row)
    await db.flush()
    owner = party if role in ("merchant", "developer") else None
    event = NewEvent(new_id("evt", at), "api_key.created", at, key_object(row), merchant=owner)
    await eventlog.append_many(db, [event], {})
    return row, f"sk_sbx_{row.id}_{secret}"


_KEY = text(
    "SELECT id, secret_sha256, role, party, seeded FROM api_key"
    " WHERE id = :id AND revoked_at IS NULL"
)


async def find_key(db: AsyncSession, key_id: str) -> KeyRecord | None:
    """The live key with this id. One plain statement: it is asked on every request."""
    row = (await db.execute(_KEY, {"id": key_id})).one_or_none()
    if row is None:
        return None
    return KeyRecord(row.id, row.secret_sha256, cast(Role, row.role), row.party, row.seeded)


async def revoke_key(db: AsyncSession, key_id: str, *, owner: str | None) -> ApiKey:
    """End a key at once; ending it again changes nothing. `owner` limits it to one party."""
    found = select(ApiKey).where(col(ApiKey.id) == key_id).with_for_update(key_share=True)
    row = (await db.exec(found)).one_or_none()
    if row is None or (owner is not None and row.party != owner):
        raise NotFound("api_key", key_id)
    if row.revoked_at is None:
        row.revoked_at = await clock.now(db)
        await db.flush()
    return row
