"""Merchants: making, finding, changing; what others need of API keys is here too."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import ARRAY, String, any_, literal
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.errors import NotFound
from sandbox.core.http.expand import Reader
from sandbox.core.ids import new_id
from sandbox.core.shapes import plain
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import NewEvent
from sandbox.parties import plans, shapes
from sandbox.parties.errors import MerchantClosed, MerchantStatusFixed, MerchantSuspended
from sandbox.parties.keys import create_key as create_key
from sandbox.parties.keys import find_key as find_key
from sandbox.parties.keys import revoke_key as revoke_key
from sandbox.parties.models import Merchant
from sandbox.parties.numbers import check_kbe, iban, tax_kind
from sandbox.parties.signs import Schedule

DEFAULT_FEE_BPS = 100
DEFAULT_CUT_OFF = "18:00"
DEFAULT_CATEGORY = "5999"
STATUS_EDGES: Final[Mapping[str, tuple[str, ...]]] = {
    "unverified": ("active", "closed"),
    "active": ("suspended", "closed"),
    "suspended": ("active", "closed"),
    "closed": (),
}
NO_PAYOUT: Final = ("unverified", "suspended")
"""Statuses in which a merchant's money is carried from batch to batch."""

ConfirmPolicy = Literal["detected", "confirmed", "final"]


def merchant_object(row: Merchant) -> dict[str, Any]:
    """The merchant as the API shows it."""
    shown: shapes.Merchant = {
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
        "split_bps": row.split_bps,
        "wallets": row.wallets,
        "refund_reserve_tiyn": row.refund_reserve_tiyn,
        "cut_off": row.cut_off,
        "schedule": row.schedule,
        "category": row.category,
        "district": row.district,
        "zone": row.zone,
        "languages": row.languages,
        "status": row.status,
        "status_reason": row.status_reason,
        "created_at": clock.iso(row.created_at),
    }
    return plain(shown)


async def merchant(db: AsyncSession, merchant_id: str, *, steady: bool = False) -> Merchant:
    """The merchant, or `NotFound`; `steady`: as it stays until the commit."""
    lock = {"read": True} if steady else None
    found = await db.get(Merchant, merchant_id, with_for_update=lock, populate_existing=steady)
    if found is None:
        raise NotFound("merchant", merchant_id)
    return found


async def merchants(db: AsyncSession, ids: list[str], reader: Reader) -> dict[str, dict[str, Any]]:
    """Merchants that the reader may see, by id (`expand[]`)."""
    mine = [one for one in ids if reader.merchant in (None, one)]
    found = select(Merchant).where(col(Merchant.id) == any_(literal(mine, ARRAY(String))))
    return {row.id: merchant_object(row) for row in await db.exec(found)}


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
    category: str = DEFAULT_CATEGORY,
    district: str | None = None,
    zone: bool = False,
    languages: Sequence[str] = ("kk", "ru"),
    cut_off: str = DEFAULT_CUT_OFF,
    schedule: Schedule = "each_business_day",
    status: Literal["unverified", "active"] = "active",
) -> Merchant:
    """A new merchant, settled by payout at its cut-off in Asia/Almaty (CONTRACT 6).

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
        cut_off=cut_off,
        schedule=schedule,
        category=category,
        district=district,
        zone=zone,
        languages=list(languages),
        status=status,
        created_at=at,
    )
    db.add(row)
    await db.flush()
    event = NewEvent(
        new_id("evt", at),
        "merchant.created",
        at,
        merchant_object(row),
        merchant=row.id,
        private=("status_reason",),
    )
    await eventlog.append_many(db, [event], {})
    await plans.begin(db, row)
    return row


async def _locked(db: AsyncSession, merchant_id: str) -> Merchant:
    found = select(Merchant).where(col(Merchant.id) == merchant_id)
    found = found.with_for_update(key_share=True).execution_options(populate_existing=True)
    row = (await db.exec(found)).one_or_none()
    if row is None:
        raise NotFound("merchant", merchant_id)
    return row


async def _tell(db: AsyncSession, row: Merchant, type_: str) -> None:
    await db.flush()
    at = await clock.now(db)
    event = NewEvent(
        new_id("evt", at), type_, at, merchant_object(row), row.id, private=("status_reason",)
    )
    await eventlog.append_many(db, [event], {})


async def update_merchant(
    db: AsyncSession, merchant_id: str, changes: Mapping[str, Any]
) -> Merchant:
    """Set these columns; a new `iban` ends the hold of payouts that came back from the old one.

    Changing nothing tells nothing. Raises `NotFound`, `IbanInvalid`, `KbeContradictsPayee`,
    `MerchantClosed` (but a closed one may still say where its last tenge goes).
    """
    row = await _locked(db, merchant_id)
    if row.status == "closed" and changes.keys() - {"iban", "knp", "kbe"}:
        raise MerchantClosed(merchant_id)
    wanted = dict(changes)
    if "iban" in wanted:
        wanted["iban"] = iban(wanted["iban"])
    if "kbe" in wanted:
        check_kbe(wanted["kbe"], tax_kind(row.bin))
    changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(row, name, value)
        db.add(row)
        await _tell(db, row, "merchant.updated")
    return row


async def set_status(
    db: AsyncSession, merchant_id: str, status: str, reason: str | None
) -> Merchant:
    """Verify (`active`), suspend or close a merchant; the status it has already changes nothing.

    Raises `NotFound`, `MerchantStatusFixed`.
    """
    row = await _locked(db, merchant_id)
    if row.status == status:
        return row
    if status not in STATUS_EDGES[row.status]:
        raise MerchantStatusFixed(merchant_id, row.status, status)
    row.status, row.status_reason = status, reason
    db.add(row)
    await _tell(db, row, "merchant.status_changed")
    return row


def check_may_sell(merchant_id: str, status: str) -> None:
    """Refuse new sessions of who may not sell: `MerchantSuspended`, `MerchantClosed`."""
    if status == "suspended":
        raise MerchantSuspended(merchant_id)
    if status == "closed":
        raise MerchantClosed(merchant_id)
