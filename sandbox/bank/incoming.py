"""Money that reaches an account at the simulated bank: announced, booked, taken back."""

from dataclasses import dataclass
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import accounts, booking, calendar, faults, inbox, service
from sandbox.bank.errors import (
    BankReferenceConflict,
    BankReferenceReserved,
    ReversalExceedsBalance,
    TextNotWritable,
)
from sandbox.bank.iso20022 import messages
from sandbox.bank.iso20022 import values as iso
from sandbox.bank.models import BankAccount, BankMessage, Kind
from sandbox.core import clock
from sandbox.core.errors import NotFound

SEEDED_CUSTOMER: Final = "customer:seeded"


@dataclass(frozen=True, slots=True)
class Credit:
    """An incoming payment that the bank booked, and the notice it wrote of it."""

    message: BankMessage
    is_new: bool


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
    Raises `BankReferenceConflict`, `BankReferenceReserved`, `TextNotWritable`, `NotFound` (no
    such account).
    """
    assert amount_tiyn > 0
    await _check(db, iban, bank_reference, customer)
    first = await _told(db, bank_reference)
    if first is None:
        at, on = await booking.now(db, iban), await faults.armed(db)
        # A race for the same reference waits here for the other transaction's end.
        is_new = await booking.book(
            db,
            iban=iban,
            ref=bank_reference,
            end_to_end_id=None,
            counterparty=customer,
            amount_tiyn=amount_tiyn,
            side="credit",
            value_date=calendar.local_date(at),
            at=at,
            left_out=iban == accounts.RESERVE_IBAN
            and await faults.strikes(db, faults.MISSING_LINE, on),
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
            told = await booking.tell(db, Kind.credit_notice, bank_reference, body, at)
            if await faults.strikes(db, faults.DUPLICATE_NOTICE, on):
                await booking.tell(db, Kind.credit_notice, bank_reference, body, at)
            if await faults.strikes(db, faults.CONTRADICTORY_NOTICE, on):
                other = {**body, "amount_tiyn": amount_tiyn + 1}
                xml = messages.build(Kind.credit_notice, bank_reference, other, at)
                await inbox.take(db, xml)
            return Credit(told, True)
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

    The same reference gives the first notice again. Raises `BankReferenceReserved`,
    `TextNotWritable`, `NotFound`.
    """
    assert amount_tiyn > 0
    await _check(db, iban, bank_reference, customer)
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
    return await booking.tell(db, Kind.pending_notice, bank_reference, body, at)


async def reverse_credit(db: AsyncSession, bank_reference: str) -> BankMessage:
    """Take a booked credit back from the account it came to (camt.054 with RvslInd); once.

    Raises `NotFound` (no such credit), `ReversalExceedsBalance`.
    """
    notice = await _told(db, bank_reference)
    if notice is None:
        raise NotFound("booked credit", bank_reference)
    iban, amount_tiyn = notice.body["iban"], notice.body["amount_tiyn"]
    holder = select(BankAccount).where(col(BankAccount.iban) == iban)
    await db.exec(holder.with_for_update(key_share=True))
    first = await _told(db, bank_reference, Kind.reversal_notice)
    if first is not None:
        return first
    balance_tiyn = await service.balance(db, iban)
    if balance_tiyn < amount_tiyn:
        raise ReversalExceedsBalance(amount_tiyn, balance_tiyn)
    at = await booking.now(db, iban)
    ref = f"{booking.OWN_PREFIX}{notice.id:012d}-V"
    await booking.book(
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
    return await booking.tell(db, Kind.reversal_notice, bank_reference, body, at)


async def _check(db: AsyncSession, iban: str, bank_reference: str, customer: str) -> None:
    for name, value in (("bank_reference", bank_reference), ("customer", customer)):
        if not iso.is_text(value):
            raise TextNotWritable(name)
    if bank_reference.startswith(booking.OWN_PREFIX):
        raise BankReferenceReserved(bank_reference, booking.OWN_PREFIX)
    if await service.account(db, iban) is None:
        raise NotFound("bank account", iban)


async def _told(
    db: AsyncSession, bank_reference: str, kind: Kind = Kind.credit_notice
) -> BankMessage | None:
    found = select(BankMessage).where(
        col(BankMessage.direction) == "in",
        col(BankMessage.kind) == kind,
        col(BankMessage.ref) == bank_reference,
    )
    return (await db.exec(found)).one_or_none()
