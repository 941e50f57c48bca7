"""The simulated bank at work: payment orders are answered, and booked on their value date.

What it has to say goes out as `bank_message` rows.
"""

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import accounts, booking, calendar, faults, rails, registry, service
from sandbox.bank.models import (
    BankAccount,
    BankMessage,
    BankResend,
    Kind,
    PaymentOrder,
)
from sandbox.core import clock, failpoints
from sandbox.core.db import Database
from sandbox.core.errors import NotFound
from sandbox.core.iban import is_electronic
from sandbox.core.zone import ALMATY

# ISO 20022, ExternalStatusReason1Code
INCORRECT_ACCOUNT, CLOSED_ACCOUNT, INSUFFICIENT_FUNDS = "AC01", "AC04", "AM04"
NOT_ALLOWED_AMOUNT, INVALID_DATE, NO_REASON = "AM02", "DT01", "MS03"
FORBIDDEN = "AG01"


async def step(database: Database, *, limit: int = 50) -> int:
    """Read payment orders and answer them, then book what is due; how many of both."""
    async with database.transaction() as db:
        received = await _receive(db, limit)
        if received:
            failpoints.passed("bank-received.uncommitted")
    if received:
        failpoints.passed("bank-received.committed")
    async with database.transaction() as db:
        booked = await _book_due(db, limit)
        if booked:
            failpoints.passed("bank-booked.uncommitted")
    if booked:
        failpoints.passed("bank-booked.committed")
    return received + booked


async def return_payment(
    db: AsyncSession, end_to_end_id: str, *, reason: str = CLOSED_ACCOUNT
) -> None:
    """Send a booked payment back to its payer (pacs.004); raises `NotFound` unless it is booked."""
    found = select(PaymentOrder).where(col(PaymentOrder.end_to_end_id) == end_to_end_id)
    order = (await db.exec(found.with_for_update())).one_or_none()
    if order is None or order.status != "booked":
        raise NotFound("booked payment", end_to_end_id)
    at = await booking.now(db, order.creditor_iban, order.debtor_iban)
    await _return(db, order, reason, at)


async def _return(db: AsyncSession, order: PaymentOrder, reason: str, at: datetime) -> None:
    ref = f"{booking.OWN_PREFIX}{order.id:012d}-R"
    await booking.book_both(db, order, ref, order.creditor_iban, order.debtor_iban, at)
    order.status, order.reason, order.ended_at = "returned", reason, at
    db.add(order)
    body = {
        "end_to_end_id": order.end_to_end_id,
        "iban": order.debtor_iban,
        "amount_tiyn": order.amount_tiyn,
        "bank_reference": ref,
        "reason": reason,
        "value_date": calendar.local_date(at).isoformat(),
        "booked_at": clock.iso(at),
    }
    await booking.say(db, Kind.returned, order.end_to_end_id, body, at)


async def _receive(db: AsyncSession, limit: int) -> int:
    found = (
        select(BankMessage)
        .where(
            col(BankMessage.direction) == "out",
            col(BankMessage.kind) == Kind.credit_transfer,
            col(BankMessage.read_at).is_(None),
        )
        .order_by(col(BankMessage.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    orders = (await db.exec(found)).all()
    on, at = await faults.armed(db), await clock.now(db)
    known = await _known(db, [message.ref for message in orders])
    for message in orders:
        order = known.get(message.ref)
        if order is None:
            order = await _taken(db, message.body, on)
        else:
            assert message.id is not None
            db.add(BankResend(message=message.id, at=at))
        # Unread, it is sent again under its end-to-end id.
        if not await faults.strikes(db, faults.ANSWER_LOST, on):
            await _answer(db, order, at)
            is_late = order.due_at > at and order.value_date <= calendar.local_date(at)
            if order.reason is None and is_late:
                await _tell_waiting(db, order, at)
            await service.mark_read(db, message)
    return len(orders)


async def _known(db: AsyncSession, refs: Sequence[str]) -> dict[str, PaymentOrder]:
    """Orders that the bank took already, by their end-to-end id: each is carried out once."""
    found = select(PaymentOrder).where(col(PaymentOrder.end_to_end_id).in_(refs))
    return {order.end_to_end_id: order for order in (await db.exec(found)).all()}


async def _taken(db: AsyncSession, body: dict[str, Any], on: frozenset[str]) -> PaymentOrder:
    order = await _order_of(db, body)
    rail, at = rails.RAILS[order.rail], order.received_at
    order.reason = _refusal(order, rail) or await _objection(db, order)
    payee = order.creditor_iban
    if order.reason is None and (
        await faults.strikes(db, faults.REJECT, on, payee=payee)
        or (payee != accounts.OPERATING_IBAN and await faults.strikes(db, faults.REJECT_PAYOUT, on))
    ):
        order.reason = NO_REASON
    if order.reason is not None:
        order.status, order.ended_at = "rejected", at
    elif await faults.strikes(db, faults.DELAY, on, payee=payee):
        late = calendar.next_banking_day(calendar.local_date(order.due_at))
        order.due_at = calendar.bank_opens(late)
    db.add(order)
    await db.flush()
    return order


def _due_at(rail: rails.Rail, value_date: date, received_at: datetime) -> datetime:
    """When the order is booked: on its value date, or once the rail is open again."""
    if rail.opens is None:
        return max(received_at, datetime.combine(value_date, time(), ALMATY))
    return rails.opens_at(rail, max(received_at, calendar.bank_opens(value_date)))


async def _order_of(db: AsyncSession, body: dict[str, Any]) -> PaymentOrder:
    value_date, at = date.fromisoformat(body["value_date"]), await clock.now(db)
    if is_electronic(body["creditor_iban"]):
        await registry.ensure_account(db, body["creditor_iban"], body["creditor"])
    # Orders from before there were rails name none.
    rail = rails.RAILS[body.get("rail", rails.RTGS)]
    return PaymentOrder(
        end_to_end_id=body["end_to_end_id"],
        debtor_iban=body["debtor_iban"],
        creditor_iban=body["creditor_iban"],
        amount_tiyn=body["amount_tiyn"],
        value_date=value_date,
        due_at=_due_at(rail, value_date, at),
        rail=rail.code,
        status="accepted",
        received_at=at,
    )


def _refusal(order: PaymentOrder, rail: rails.Rail) -> str | None:
    """Why the rail does not carry the order, as an ISO 20022 reason code."""
    if rail.max_tiyn is not None and order.amount_tiyn > rail.max_tiyn:
        return NOT_ALLOWED_AMOUNT
    if rail.opens is not None and not calendar.is_banking_day(order.value_date):
        return INVALID_DATE
    return None


async def _objection(db: AsyncSession, order: PaymentOrder) -> str | None:
    """Why the bank will not pay to the creditor's account, as an ISO 20022 reason code."""
    if not is_electronic(order.creditor_iban):
        return INCORRECT_ACCOUNT
    if order.creditor_iban == order.debtor_iban:
        return FORBIDDEN
    creditor = await db.get(BankAccount, order.creditor_iban, populate_existing=True)
    assert creditor is not None, "the account was opened when the order came"
    return None if creditor.closed_at is None else CLOSED_ACCOUNT


# Of those that wait for cover only the ones that found it, or waited long enough; and none whose
# acceptance was not told: what is booked is booked after that.
_DUE = """
due_at <= sandbox_now() AND NOT EXISTS (
    SELECT FROM bank_message m WHERE m.direction = 'out' AND m.read_at IS NULL
        AND m.end_to_end_id = payment_order.end_to_end_id
) AND (cover_until IS NULL OR cover_until <= sandbox_now() OR amount_tiyn <= (
    SELECT coalesce(sum(CASE b.side WHEN 'credit' THEN b.amount_tiyn ELSE -b.amount_tiyn END), 0)
    FROM bank_sim.booking b WHERE b.iban = debtor_iban AND NOT b.left_out))
"""


DUE = (
    "EXISTS (SELECT FROM bank_message WHERE direction = 'out' AND read_at IS NULL"  # noqa: S608 - SQL of our own, no input
    f" AND kind = '{Kind.credit_transfer}')"
    f" OR EXISTS (SELECT FROM bank_sim.payment_order WHERE status = 'accepted' AND {_DUE})"
)
"""SQL: an order was not read yet, or is to be booked."""


async def _book_due(db: AsyncSession, limit: int) -> int:
    found = (
        select(PaymentOrder)
        .where(col(PaymentOrder.status) == "accepted", text(_DUE))
        .order_by(col(PaymentOrder.due_at), col(PaymentOrder.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    orders = (await db.exec(found)).all()
    on = await faults.armed(db)
    for order in orders:
        await _book_one(db, order, on)
    return len(orders)


async def _book_one(db: AsyncSession, order: PaymentOrder, on: frozenset[str]) -> None:
    # Two workers must not spend the same money of one payer.
    payer = select(BankAccount).where(col(BankAccount.iban) == order.debtor_iban)
    await db.exec(payer.with_for_update(key_share=True))
    at = await booking.now(db, order.debtor_iban, order.creditor_iban)
    objection = await _objection(db, order)
    if objection is None and await service.balance(db, order.debtor_iban) < order.amount_tiyn:
        until = order.cover_until or rails.closes_at(rails.RAILS[order.rail], order.due_at)
        if at < until:
            if order.cover_until is None:
                order.cover_until = until
                db.add(order)
                await _tell_waiting(db, order, at)
            return
        objection = INSUFFICIENT_FUNDS
    order.ended_at, order.reason = at, objection
    order.status = "booked" if objection is None else "rejected"
    db.add(order)
    if objection is not None:
        await _answer(db, order, at)
        return
    ref = f"{booking.OWN_PREFIX}{order.id:012d}"
    is_missing = accounts.RESERVE_IBAN in (order.debtor_iban, order.creditor_iban) and (
        await faults.strikes(db, faults.MISSING_LINE, on)
    )
    await booking.book_both(
        db, order, ref, order.debtor_iban, order.creditor_iban, at, is_missing=is_missing
    )
    body = {
        "iban": order.debtor_iban,
        "amount_tiyn": order.amount_tiyn,
        "currency": accounts.CURRENCY,
        "bank_reference": ref,
        "value_date": order.value_date.isoformat(),
        "booked_at": clock.iso(at),
        "end_to_end_id": order.end_to_end_id,
        "creditor_iban": order.creditor_iban,
    }
    await booking.say(db, Kind.debit_notice, ref, body, at)
    is_own = order.creditor_iban == accounts.OPERATING_IBAN
    payee = order.creditor_iban
    if not is_own and await faults.strikes(db, faults.RETURN, on, payee=payee):
        await _return(db, order, CLOSED_ACCOUNT, at)


async def _answer(db: AsyncSession, order: PaymentOrder, at: datetime) -> None:
    """Report the order's state (pacs.002)."""
    kind = Kind.accepted if order.reason is None else Kind.rejected
    body = {"end_to_end_id": order.end_to_end_id, "reason": order.reason}
    await booking.say(db, kind, order.end_to_end_id, body, at)


async def _tell_waiting(db: AsyncSession, order: PaymentOrder, at: datetime) -> None:
    """Report that the order waits, for the rail or for cover (pacs.002 PDNG)."""
    body = {"end_to_end_id": order.end_to_end_id, "reason": None}
    await booking.say(db, Kind.queued, order.end_to_end_id, body, at)
