"""Fee plans: offered by the operator, shown to the merchant, in force when it has consented."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.core.shapes import plain
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import NewEvent
from sandbox.parties import shapes
from sandbox.parties.errors import FeePlanReplaced, MerchantClosed
from sandbox.parties.models import FeePlan, Merchant


def plan_object(row: FeePlan) -> dict[str, Any]:
    """The plan as the API and the log show it; amounts in tiyn include VAT."""
    shown: shapes.FeePlan = {
        "object": "fee_plan",
        "merchant": row.merchant,
        "version": row.version,
        "fee_bps": row.fee_bps,
        "fixed_tiyn": row.fixed_tiyn,
        "minimum_tiyn": row.minimum_tiyn,
        "from_at": clock.iso(row.from_at),
        "offered_at": clock.iso(row.offered_at),
        "consented_at": None if row.consented_at is None else clock.iso(row.consented_at),
        "in_force_at": None if row.in_force_at is None else clock.iso(row.in_force_at),
    }
    return plain(shown)


async def begin(db: AsyncSession, merchant: Merchant) -> None:
    """Version 1, which a merchant consents to by signing up."""
    at = merchant.created_at
    row = FeePlan(
        merchant=merchant.id,
        version=1,
        fee_bps=merchant.fee_bps,
        fixed_tiyn=0,
        minimum_tiyn=0,
        from_at=at,
        offered_at=at,
        consented_at=at,
        in_force_at=at,
    )
    await _tell(db, row, "merchant.fee_plan_consented")


async def offer(
    db: AsyncSession,
    merchant_id: str,
    *,
    fee_bps: int,
    fixed_tiyn: int,
    minimum_tiyn: int,
    from_at: datetime | None,
) -> FeePlan:
    """A new version, in force from `from_at` at the earliest and only with consent.

    Raises `NotFound`, `MerchantClosed`.
    """
    merchant = await _locked(db, merchant_id)
    if merchant.status == "closed":
        raise MerchantClosed(merchant_id)
    known = await plans_of(db, merchant_id)
    at = await clock.now(db)
    row = FeePlan(
        merchant=merchant_id,
        version=known[0].version + 1,
        fee_bps=fee_bps,
        fixed_tiyn=fixed_tiyn,
        minimum_tiyn=minimum_tiyn,
        from_at=max(at, from_at or at),
        offered_at=at,
    )
    await _tell(db, row, "merchant.fee_plan_offered")
    return row


async def consent(db: AsyncSession, merchant_id: str, version: int) -> FeePlan:
    """Put an offered plan in force: from now, or from its `from_at`. Again changes nothing.

    Raises `NotFound`, and `FeePlanReplaced` when a newer one was offered since.
    """
    await _locked(db, merchant_id)
    known = {row.version: row for row in await plans_of(db, merchant_id)}
    row = known.get(version)
    if row is None:
        raise NotFound("fee_plan", f"{merchant_id}/{version}")
    if row.consented_at is not None:
        return row
    if version != max(known):
        raise FeePlanReplaced(version, max(known))
    at = await clock.now(db)
    row.consented_at, row.in_force_at = at, max(at, row.from_at)
    await _tell(db, row, "merchant.fee_plan_consented")
    return row


async def plans_of(db: AsyncSession, merchant_id: str) -> list[FeePlan]:
    """All versions, newest first."""
    found = select(FeePlan).where(col(FeePlan.merchant) == merchant_id)
    fresh = found.order_by(col(FeePlan.version).desc()).execution_options(populate_existing=True)
    return list(await db.exec(fresh))


async def in_force(
    db: AsyncSession, merchants: Collection[str], at: datetime
) -> dict[str, FeePlan]:
    """The plan of each merchant at a moment: of those in force by then, the newest version.

    The first one holds from ever: a wall clock that goes back leaves nobody without a plan.
    """
    is_in_force = or_(col(FeePlan.in_force_at) <= at, col(FeePlan.version) == 1)
    found = select(FeePlan).where(col(FeePlan.merchant).in_(merchants), is_in_force)
    rows = await db.exec(found.order_by(col(FeePlan.version)))
    return {row.merchant: row for row in rows}


async def _locked(db: AsyncSession, merchant_id: str) -> Merchant:
    found = select(Merchant).where(col(Merchant.id) == merchant_id)
    found = found.with_for_update(key_share=True).execution_options(populate_existing=True)
    row = (await db.exec(found)).one_or_none()
    if row is None:
        raise NotFound("merchant", merchant_id)
    return row


async def _tell(db: AsyncSession, row: FeePlan, type_: str) -> None:
    db.add(row)
    await db.flush()
    at = row.consented_at or row.offered_at
    event = NewEvent(new_id("evt", at), type_, at, plan_object(row), merchant=row.merchant)
    await eventlog.append_many(db, [event], {})
