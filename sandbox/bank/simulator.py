"""The simulated bank: accounts, incoming credits, payment orders booked on their value date.

The only writer of the schema `bank_sim`. What it has to say goes out as `bank_message` rows.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import accounts, calendar, service
from sandbox.bank.errors import (
    BankReferenceConflict,
    BankReferenceReserved,
    ReversalExceedsBalance,
)
from sandbox.bank.models import BankAccount, BankMessage, Booking, Kind, PaymentOrder
from sandbox.core import clock, failpoints
from sandbox.core.db import Database
from sandbox.core.errors import NotFound

OWN_PREFIX: Final = "EURI-"
SEEDED_CUSTOMER: Final = "customer:seeded"

# ISO 20022, ExternalStatusReason1Code
INCORRECT_ACCOUNT, CLOSED_ACCOUNT, INSUFFICIENT_FUNDS = "AC01", "AC04", "AM04"


@dataclass(frozen=True, slots=True)
class Credit:
    """An incoming payment that the bank booked, and the notice it wrote of it."""

    message: BankMessage
    is_new: bool


async def ensure_accounts(db: AsyncSession) -> None:
    """Open the issuer's accounts: the segregated reserve account and the operating one."""
    for iban in (accounts.RESERVE_IBAN, accounts.OPERATING_IBAN):
        await ensure_account(db, iban, accounts.ISSUER)


async def ensure_account(db: AsyncSession, iban: str, holder: str) -> None:
    """Open the account `iban` for `holder` unless some bank has it already."""
    row = {
        "iban": iban,
        "bank": accounts.bank_code(iban),
        "holder": holder,
        "currency": accounts.CURRENCY,
        "opened_at": await clock.now(db),
    }
    await db.execute(insert(BankAccount).values(row).on_conflict_do_nothing())


async def credit(
    db: AsyncSession,
    *,
    iban: str,
    amount_tiyn: int,
    bank_reference: str,
    customer: str = SEEDED_CUSTOMER,
) -> Credit:
    """Book money that came in on `iban` and write the notice of it, which nobody has read yet.

    The same reference with equal contents gives the first notice again (`is_new` false).
    Raises `BankReferenceConflict`, `BankReferenceReserved`, `NotFound` (no such account).
    """
    assert amount_tiyn > 0
    if bank_reference.startswith(OWN_PREFIX):
        raise BankReferenceReserved(bank_reference, OWN_PREFIX)
    if await service.account(db, iban) is None:
        raise NotFound("bank account", iban)
    first = await _told(db, bank_reference)
    if first is None:
        at = await clock.now(db)
        # A race for the same reference waits here for the other transaction's end.
        is_new = await _book(
            db,
            iban=iban,
            ref=bank_reference,
            end_to_end_id=None,
            counterparty=customer,
            amount_tiyn=amount_tiyn,
            side="credit",
            value_date=calendar.local_date(at),
            at=at,
        )
        if is_new:
            body = {
                "iban": iban,
                "amount_tiyn": amount_tiyn,
                "currency": accounts.CURRENCY,
                "bank_reference": bank_reference,
                "customer": customer,
                "value_date": calendar.local_date(at).isoformat(),
                "booked_at": clock.iso(at),
            }
            return Credit(await _tell(db, Kind.credit_notice, bank_reference, None, body, at), True)
        first = await _told(db, bank_reference)
        assert first is not None, "the notice is written with its line"
    wanted = {"iban": iban, "amount_tiyn": amount_tiyn, "customer": customer}
    if any(first.body[key] != value for key, value in wanted.items()):
        raise BankReferenceConflict(bank_reference)
    return Credit(first, False)


async def announce_credit(
    db: AsyncSession,
    *,
    iban: str,
    amount_tiyn: int,
    bank_reference: str,
    customer: str = SEEDED_CUSTOMER,
) -> BankMessage:
    """Tell of a credit that is on its way (PDNG): no statement has it until `credit` books it.

    The same reference gives the first notice again. Raises `BankReferenceReserved`, `NotFound`.
    """
    assert amount_tiyn > 0
    if bank_reference.startswith(OWN_PREFIX):
        raise BankReferenceReserved(bank_reference, OWN_PREFIX)
    if await service.account(db, iban) is None:
        raise NotFound("bank account", iban)
    first = await _told(db, bank_reference, Kind.pending_notice)
    if first is not None:
        return first
    body = {
        "iban": iban,
        "amount_tiyn": amount_tiyn,
        "currency": accounts.CURRENCY,
        "bank_reference": bank_reference,
        "customer": customer,
    }
    at = await clock.now(db)
    return await _tell(db, Kind.pending_notice, bank_reference, None, body, at)


async def reverse_credit(db: AsyncSession, bank_reference: str) -> BankMessage:
    """Take a booked credit back from the account it came to (camt.054 with RvslInd); once.

    Raises `NotFound` (no such credit), `ReversalExceedsBalance`.
    """
    notice = await _told(db, bank_reference)
    if notice is None:
        raise NotFound("booked credit", bank_reference)
    iban, amount_tiyn = notice.body["iban"], notice.body["amount_tiyn"]
    holder = select(BankAccount).where(col(BankAccount.iban) == iban)
    await db.exec(holder.with_for_update())
    first = await _told(db, bank_reference, Kind.reversal_notice)
    if first is not None:
        return first
    balance_tiyn = await service.balance(db, iban)
    if balance_tiyn < amount_tiyn:
        raise ReversalExceedsBalance(amount_tiyn, balance_tiyn)
    at = await clock.now(db)
    ref = f"{OWN_PREFIX}{notice.id:012d}-V"
    await _book(
        db,
        iban=iban,
        ref=ref,
        end_to_end_id=None,
        counterparty=notice.body["customer"],
        amount_tiyn=amount_tiyn,
        side="debit",
        value_date=calendar.local_date(at),
        at=at,
    )
    body = {
        "iban": iban,
        "amount_tiyn": amount_tiyn,
        "currency": accounts.CURRENCY,
        "bank_reference": ref,
        "reversed_reference": bank_reference,
        "customer": notice.body["customer"],
        "booked_at": clock.iso(at),
    }
    return await _tell(db, Kind.reversal_notice, bank_reference, None, body, at)


async def _told(
    db: AsyncSession, bank_reference: str, kind: Kind = Kind.credit_notice
) -> BankMessage | None:
    found = select(BankMessage).where(
        col(BankMessage.direction) == "in",
        col(BankMessage.kind) == kind,
        col(BankMessage.ref) == bank_reference,
    )
    return (await db.exec(found)).one_or_none()


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


async def refuse_payments_to(db: AsyncSession, iban: str) -> None:
    """Close the account `iban`: the bank rejects every order to it that is not booked."""
    await ensure_account(db, iban, "")
    await _set_closed(db, iban, await clock.now(db))


async def accept_payments_to(db: AsyncSession, iban: str) -> None:
    """Open a closed account again."""
    await _set_closed(db, iban, None)


async def return_payment(
    db: AsyncSession, end_to_end_id: str, *, reason: str = CLOSED_ACCOUNT
) -> None:
    """Send a booked payment back to its payer (pacs.004); raises `NotFound` unless it is booked."""
    found = select(PaymentOrder).where(col(PaymentOrder.end_to_end_id) == end_to_end_id)
    order = (await db.exec(found.with_for_update())).one_or_none()
    if order is None or order.status != "booked":
        raise NotFound("booked payment", end_to_end_id)
    at = await clock.now(db)
    ref = f"{OWN_PREFIX}{order.id:012d}-R"
    await _book_both(db, order, ref, order.creditor_iban, order.debtor_iban, at)
    order.status, order.reason, order.ended_at = "returned", reason, at
    db.add(order)
    body = {
        "iban": order.debtor_iban,
        "amount_tiyn": order.amount_tiyn,
        "bank_reference": ref,
        "reason": reason,
        "booked_at": clock.iso(at),
    }
    await _tell(db, Kind.returned, end_to_end_id, end_to_end_id, body, at)


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
    messages = (await db.exec(found)).all()
    for message in messages:
        order = await _order_of(db, message.body)
        order.reason = await _objection(db, order)
        if order.reason is not None:
            order.status, order.ended_at = "rejected", order.received_at
        db.add(order)
        await _answer(db, order, order.received_at)
        await service.mark_read(db, message)
    return len(messages)


async def _order_of(db: AsyncSession, body: dict[str, Any]) -> PaymentOrder:
    value_date = date.fromisoformat(body["value_date"])
    if accounts.is_iban(body["creditor_iban"]):
        await ensure_account(db, body["creditor_iban"], body["creditor"])
    return PaymentOrder(
        end_to_end_id=body["end_to_end_id"],
        debtor_iban=body["debtor_iban"],
        creditor_iban=body["creditor_iban"],
        amount_tiyn=body["amount_tiyn"],
        value_date=value_date,
        due_at=calendar.bank_opens(value_date),
        status="accepted",
        received_at=await clock.now(db),
    )


async def _objection(db: AsyncSession, order: PaymentOrder) -> str | None:
    """Why the bank will not pay to the creditor's account, as an ISO 20022 reason code."""
    if not accounts.is_iban(order.creditor_iban):
        return INCORRECT_ACCOUNT
    creditor = await db.get(BankAccount, order.creditor_iban, populate_existing=True)
    assert creditor is not None, "the account was opened when the order came"
    return None if creditor.closed_at is None else CLOSED_ACCOUNT


async def _book_due(db: AsyncSession, limit: int) -> int:
    found = (
        select(PaymentOrder)
        .where(
            col(PaymentOrder.status) == "accepted",
            text("due_at <= sandbox_now()"),
        )
        .order_by(col(PaymentOrder.due_at), col(PaymentOrder.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    orders = (await db.exec(found)).all()
    for order in orders:
        # Two workers must not spend the same money of one payer.
        payer = select(BankAccount).where(col(BankAccount.iban) == order.debtor_iban)
        await db.exec(payer.with_for_update())
        objection = await _objection(db, order)
        if objection is None and await service.balance(db, order.debtor_iban) < order.amount_tiyn:
            objection = INSUFFICIENT_FUNDS
        at = await clock.now(db)
        order.ended_at, order.reason = at, objection
        order.status = "booked" if objection is None else "rejected"
        db.add(order)
        if objection is not None:
            await _answer(db, order, at)
            continue
        ref = f"{OWN_PREFIX}{order.id:012d}"
        await _book_both(db, order, ref, order.debtor_iban, order.creditor_iban, at)
        body = {
            "iban": order.debtor_iban,
            "creditor_iban": order.creditor_iban,
            "amount_tiyn": order.amount_tiyn,
            "bank_reference": ref,
            "value_date": order.value_date.isoformat(),
            "booked_at": clock.iso(at),
        }
        await _tell(db, Kind.debit_notice, ref, order.end_to_end_id, body, at)
    return len(orders)


async def _book_both(
    db: AsyncSession, order: PaymentOrder, ref: str, payer: str, payee: str, at: datetime
) -> None:
    for iban, other, side in ((payer, payee, "debit"), (payee, payer, "credit")):
        is_new = await _book(
            db,
            iban=iban,
            ref=ref,
            end_to_end_id=order.end_to_end_id,
            counterparty=other,
            amount_tiyn=order.amount_tiyn,
            side=side,
            value_date=order.value_date,
            at=at,
        )
        assert is_new, f"{ref} is booked on {iban} already"


async def _book(db: AsyncSession, *, at: datetime, **line: Any) -> bool:
    """Write one line of a statement; false when the account has one with this reference."""
    row = {"booked_on": calendar.local_date(at), "booked_at": at, **line}
    made = insert(Booking).values(row).on_conflict_do_nothing(index_elements=["iban", "ref"])
    return (await db.execute(made.returning(col(Booking.id)))).one_or_none() is not None


async def _answer(db: AsyncSession, order: PaymentOrder, at: datetime) -> None:
    """Report the order's state (pacs.002)."""
    kind = Kind.accepted if order.reason is None else Kind.rejected
    body = {"end_to_end_id": order.end_to_end_id, "reason": order.reason}
    await _tell(db, kind, order.end_to_end_id, order.end_to_end_id, body, at)


async def _tell(
    db: AsyncSession,
    kind: Kind,
    ref: str,
    end_to_end_id: str | None,
    body: dict[str, Any],
    at: datetime,
) -> BankMessage:
    message = BankMessage(
        direction="in",
        kind=kind,
        ref=ref,
        end_to_end_id=end_to_end_id,
        body=body,
        created_at=at,
    )
    db.add(message)
    await db.flush()
    return message


async def _set_closed(db: AsyncSession, iban: str, at: datetime | None) -> None:
    await db.execute(
        text("UPDATE bank_sim.account SET closed_at = :at WHERE iban = :iban"),
        {"iban": iban, "at": at},
    )
