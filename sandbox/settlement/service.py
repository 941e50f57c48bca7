"""Reading batches and payouts, and which cut-offs are due (CONTRACT 6, Settlement)."""

from dataclasses import dataclass
from datetime import date, time
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.core import clock
from sandbox.core.errors import NotFound
from sandbox.core.http import Page
from sandbox.parties import service as parties
from sandbox.settlement.models import Payout, Settlement
from sandbox.settlement.objects import payout_object, settlement_objects


async def settlement_object(
    db: AsyncSession, settlement_id: str, *, merchant: str | None = None
) -> dict[str, Any]:
    """The settlement; raises `NotFound` when it is not that of `merchant` (None: anyone's)."""
    found = select(Settlement).where(col(Settlement.id) == settlement_id)
    row = (await db.exec(found.execution_options(populate_existing=True))).one_or_none()
    if row is None or merchant not in (None, row.merchant):
        raise NotFound("settlement", settlement_id)
    return (await settlement_objects(db, [row]))[0]


async def settlements(
    db: AsyncSession, page: Page, *, merchant: str | None = None
) -> list[dict[str, Any]]:
    """One page of settlements, newest first."""
    ids = await _page_of(db, "settlement", page, merchant)
    found = await db.exec(select(Settlement).where(col(Settlement.id).in_(ids)))
    rows = {row.id: row for row in found}
    return await settlement_objects(db, [rows[id_] for id_ in ids])


async def payout(
    db: AsyncSession, payout_id: str, *, merchant: str | None = None
) -> dict[str, Any]:
    """The payout; raises `NotFound` when it is not that of `merchant` (None: anyone's)."""
    row = await db.get(Payout, payout_id, populate_existing=True)
    if row is None or merchant not in (None, row.merchant):
        raise NotFound("payout", payout_id)
    return payout_object(row)


async def payouts(
    db: AsyncSession, page: Page, *, merchant: str | None = None
) -> list[dict[str, Any]]:
    """One page of payouts, newest first."""
    ids = await _page_of(db, "payout", page, merchant)
    found = await db.exec(select(Payout).where(col(Payout.id).in_(ids)))
    rows = {row.id: row for row in found}
    return [payout_object(rows[id_]) for id_ in ids]


async def _page_of(db: AsyncSession, table: str, page: Page, merchant: str | None) -> list[str]:
    condition, order, values = page.clause()
    whose = "" if merchant is None else " AND merchant = :merchant"
    found = await db.scalars(
        text(f"SELECT id FROM {table} WHERE true{whose}{condition}{order}"),  # noqa: S608 - SQL of our own, no input
        values if merchant is None else {**values, "merchant": merchant},
    )
    return list(found.all())


async def busy(db: AsyncSession) -> list[str]:
    """What settlement has yet to do now (CONTRACT 6, Quiesce); the bank's part is `bank`'s.

    Stuck burns and fees wait for a person, as does a transfer with a reason not to be sent;
    payouts for a later value date wait for the clock.
    """
    counts = await db.execute(
        text(
            "SELECT (SELECT count(*) FROM settlement_burn WHERE status = 'pending') AS burns,"
            " (SELECT count(*) FROM settlement_transfer WHERE status = 'pending') AS transfers,"
            " (SELECT count(*) FROM settlement_burn WHERE status = 'sweeping') AS sweeping,"
            " (SELECT count(*) FROM settlement_transfer WHERE status = 'sweeping'"
            "  AND reason IS NULL) AS not_asked,"
            " (SELECT count(*) FROM payout WHERE status = 'pending'"
            "  AND instructed_at IS NOT NULL) AS payouts"
        )
    )
    row = counts.one()
    left = []
    if row.burns:
        left.append(f"burns not final: {row.burns}")
    if row.transfers:
        left.append(f"transfers to wallets not final: {row.transfers}")
    if row.sweeping:
        left.append(f"burns that wait for sweeps: {row.sweeping}")
    if row.not_asked:
        left.append(f"transfers to wallets that wait for sweeps: {row.not_asked}")
    if row.payouts:
        left.append(f"payouts the bank has not answered: {row.payouts}")
    for due in await due_cut_offs(db):
        if not due.is_new:
            left.append(f"cut-off of {due.day} at {due.at} not run")
    return left


@dataclass(frozen=True, slots=True)
class DueCutOff:
    """A cut-off that was not dealt with; the first one of a new time `is_new`."""

    at: str
    schedule: str
    day: date
    is_new: bool


async def due_cut_offs(db: AsyncSession) -> list[DueCutOff]:
    """Times of day whose newest cut-off was not dealt with, for each schedule that has them.

    `each_business_day` has cut-offs on banking days only (bank calendar), `daily` on all. A new
    time, of a merchant that chose it or of a new sandbox, begins with the one before as done:
    nobody was promised that one.
    """
    now = await clock.now(db)
    rows = await db.execute(
        text(
            "SELECT t.at, t.schedule, max(c.day) AS last FROM (SELECT cut_off AS at, schedule"
            " FROM merchant WHERE schedule <> 'on_demand'"
            " UNION SELECT :usual, 'each_business_day') t"
            " LEFT JOIN settlement_cut_off c ON c.at = t.at AND c.schedule = t.schedule"
            " GROUP BY t.at, t.schedule ORDER BY t.at, t.schedule"
        ),
        {"usual": parties.DEFAULT_CUT_OFF},
    )
    due = []
    for row in rows:
        day = calendar.last_cut_off(now, time.fromisoformat(row.at))
        if row.schedule == "each_business_day":
            day = calendar.banking_day_until(day)
        if row.last is None or row.last < day:
            due.append(DueCutOff(row.at, row.schedule, day, row.last is None))
    return due
