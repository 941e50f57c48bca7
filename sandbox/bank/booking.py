"""How the simulated bank books on an account and says so, for money that comes and that goes."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import accounts, calendar, inbox
from sandbox.bank.iso20022 import messages
from sandbox.bank.models import BankMessage, Booking, Kind, PaymentOrder
from sandbox.core import clock

OWN_PREFIX: Final = "EURI-"
"""How the bank's own references begin; nobody else's do."""


async def now(db: AsyncSession, *ibans: str) -> datetime:
    """Now, on a day that stays open on these accounts until the commit (see `closing`)."""
    await db.execute(
        text("SELECT 1 FROM bank_sim.account WHERE iban = ANY(:ibans) ORDER BY iban FOR KEY SHARE"),
        {"ibans": list(ibans)},
    )
    return await clock.now(db)


async def book_both(
    db: AsyncSession,
    order: PaymentOrder,
    ref: str,
    payer: str,
    payee: str,
    at: datetime,
    *,
    is_missing: bool = False,
) -> None:
    """Write the line of the one who pays and of the one who is paid; `is_missing`: not on the
    statement of the reserve account."""
    for iban, other, side in ((payer, payee, "debit"), (payee, payer, "credit")):
        is_new = await book(
            db,
            iban=iban,
            ref=ref,
            end_to_end_id=order.end_to_end_id,
            counterparty=other,
            amount_tiyn=order.amount_tiyn,
            side=side,
            value_date=order.value_date,
            at=at,
            left_out=is_missing and iban == accounts.RESERVE_IBAN,
        )
        assert is_new, f"{ref} is booked on {iban} already"


async def book(db: AsyncSession, *, at: datetime, **line: Any) -> bool:
    """Write one line of a statement; false when the account has one with this reference."""
    row = {"booked_on": calendar.local_date(at), "booked_at": at, **line}
    made = insert(Booking).values(row).on_conflict_do_nothing(index_elements=["iban", "ref"])
    return (await db.execute(made.returning(col(Booking.id)))).one_or_none() is not None


async def say(
    db: AsyncSession, kind: Kind, ref: str, body: dict[str, Any], at: datetime
) -> inbox.Taken:
    """Send a message. What the reader holds was said all the same, and stops nothing here."""
    return await inbox.take(db, messages.build(kind, ref, body, at))


async def tell(
    db: AsyncSession, kind: Kind, ref: str, body: dict[str, Any], at: datetime
) -> BankMessage:
    """Send a message that nothing said before can contradict."""
    taken = await say(db, kind, ref, body, at)
    assert taken.message is not None, f"{kind} {ref} is held: {taken.held}"
    return taken.message
