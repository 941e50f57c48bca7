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
    chosen = select(Merchant.cut_off).where(col(Merchant.schedule) == "each_business_day")
    items = []
    for at in {calendar.CUT_OFF, *map(time.fromisoformat, await db.exec(chosen.distinct()))}:
        day = calendar.last_cut_off(after, at)
        if day > calendar.last_cut_off(before, at):
            id_ = day.isoformat() + ("" if at == calendar.CUT_OFF else f"T{at:%H:%M}")
            items.append(_item("settlement_cut_off", id_, calendar.cut_off_of(day, at)))
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
