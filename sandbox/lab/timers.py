"""What a move of the clock makes due, asked of the slices' own due times."""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.bank.models import PaymentOrder
from sandbox.core import clock
from sandbox.lab.clockwork import Timer
from sandbox.parties.models import Merchant
from sandbox.payments.models import CheckoutSession
from sandbox.reserve.models import Intake
from sandbox.webhooks.models import WebhookDelivery

EACH_BUSINESS_DAY = "each_business_day"
USUAL = f"{calendar.CUT_OFF:%H:%M}"
MOST = 1000
"""So many of each kind are told; a year's move may make more due than anyone reads."""


async def session_expiries(
    db: AsyncSession, before: datetime, after: datetime
) -> list[dict[str, Any]]:
    """Open sessions whose time ends."""
    return await _due(
        db,
        "session_expiry",
        (col(CheckoutSession.id), col(CheckoutSession.expires_at)),
        col(CheckoutSession.status) == "open",
        (before, after),
    )


async def intake_expiries(
    db: AsyncSession, before: datetime, after: datetime
) -> list[dict[str, Any]]:
    """Redemptions and moves whose units did not come in time."""
    return await _due(
        db,
        "intake_expiry",
        (col(Intake.id), col(Intake.expires_at)),
        col(Intake.state) == "open",
        (before, after),
    )


async def payout_bookings(
    db: AsyncSession, before: datetime, after: datetime
) -> list[dict[str, Any]]:
    """Payment orders that the bank books; `id` is the end-to-end id."""
    return await _due(
        db,
        "payout_booking",
        (col(PaymentOrder.end_to_end_id), col(PaymentOrder.due_at)),
        col(PaymentOrder.status) == "accepted",
        (before, after),
    )


async def webhook_retries(
    db: AsyncSession, before: datetime, after: datetime
) -> list[dict[str, Any]]:
    """Webhook deliveries whose next attempt comes."""
    return await _due(
        db,
        "webhook_attempt",
        (col(WebhookDelivery.id), col(WebhookDelivery.next_attempt_at)),
        col(WebhookDelivery.status) == "pending",
        (before, after),
    )


async def cut_offs(db: AsyncSession, before: datetime, after: datetime) -> list[dict[str, Any]]:
    """The newest cut-offs that were passed; each takes all before it (CONTRACT 6, Settlement).

    18:00 is every sandbox's; merchants have others of their own.
    """
    chosen = select(Merchant.cut_off, Merchant.schedule).where(
        col(Merchant.schedule) != "on_demand"
    )
    passed = set()
    for at, schedule in {(USUAL, EACH_BUSINESS_DAY), *(await db.exec(chosen.distinct()))}:
        days = [calendar.last_cut_off(moment, time.fromisoformat(at)) for moment in (before, after)]
        if schedule == EACH_BUSINESS_DAY:
            days = [calendar.banking_day_until(day) for day in days]
        if days[1] > days[0]:
            passed.add((days[1], at))
    items = [
        _item(
            "settlement_cut_off",
            day.isoformat() + ("" if at == USUAL else f"T{at}"),
            calendar.cut_off_of(day, time.fromisoformat(at)),
        )
        for day, at in passed
    ]
    return sorted(items, key=lambda item: str(item["due_at"]))


async def attestations(db: AsyncSession, before: datetime, after: datetime) -> list[dict[str, Any]]:
    """The attestation of the newest cut-off that was passed, which tells how things are then."""
    day = calendar.last_cut_off(after)
    if day <= calendar.last_cut_off(before):
        return []
    return [_item("attestation", day.isoformat(), calendar.cut_off_of(day))]


async def _due(
    db: AsyncSession,
    type_: str,
    columns: tuple[Any, Any],
    condition: ColumnElement[bool],
    span: tuple[datetime, datetime],
) -> list[dict[str, Any]]:
    id_, due = columns
    rows = await db.exec(
        select(id_, due)
        .where(condition, due > span[0], due <= span[1])
        .order_by(due, id_)
        .limit(MOST)
    )
    return [_item(type_, found, moment) for found, moment in rows.all()]


def _item(type_: str, id_: str, due_at: datetime) -> dict[str, Any]:
    return {"type": type_, "id": id_, "due_at": clock.iso(due_at)}


ALL: Sequence[Timer] = (
    session_expiries,
    intake_expiries,
    cut_offs,
    attestations,
    payout_bookings,
    webhook_retries,
)
"""Every timer of the sandbox; wiring hands them to `app.state.timers`."""
