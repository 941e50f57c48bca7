"""The door for the bank's messages: XML in, a row of `bank_message` or of `bank_held`.

What contradicts an earlier message or the statement is held: shown, I6 is red, nothing is posted.
The same message again changes nothing.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank.iso20022 import messages, statements
from sandbox.bank.iso20022.errors import MessageUnknown, StatementOtherAccount
from sandbox.bank.iso20022.messages import Parsed
from sandbox.bank.models import BankAccount, BankHeld, BankMessage, BankStatement, Booking, Kind
from sandbox.core import clock

log = structlog.get_logger(__name__)

# What ends a payment, and what must have been said before.
_ENDED_BY: Final = {
    Kind.accepted: {Kind.rejected, Kind.debit_notice, Kind.returned},
    Kind.queued: {Kind.rejected, Kind.debit_notice, Kind.returned},
    Kind.rejected: {Kind.debit_notice, Kind.returned},
    Kind.debit_notice: {Kind.rejected, Kind.returned},
    Kind.returned: {Kind.rejected},
}
_NEEDS: Final = {Kind.debit_notice: Kind.accepted, Kind.returned: Kind.debit_notice}


@dataclass(frozen=True, slots=True)
class Taken:
    """One of both: the message, new or known already, or why it is held."""

    message: BankMessage | None
    held: BankHeld | None
    is_new: bool


async def take(db: AsyncSession, xml: str) -> Taken:
    """Take a message about one payment from the bank.

    Raises `MessageRefused` for what is no message of its kind, `StatementOtherAccount` for a
    notice about an account that no bank here has.
    """
    parsed = messages.parse(xml)
    if parsed.kind == Kind.credit_transfer:
        raise MessageUnknown("a payment order from the bank")
    iban = parsed.body.get("iban")
    if iban is not None and await db.get(BankAccount, iban) is None:
        raise StatementOtherAccount(iban)
    found = select(BankMessage).where(
        col(BankMessage.direction) == "in",
        col(BankMessage.kind) == parsed.kind,
        col(BankMessage.ref) == parsed.ref,
    )
    known = (await db.exec(found)).one_or_none()
    if known is not None and known.body == parsed.body:
        log.info("the bank said it twice", kind=parsed.kind, ref=parsed.ref)
        return Taken(known, None, False)
    at = await clock.now(db)
    why = (
        f"bank_message {known.id} says otherwise"
        if known is not None
        else await _contradiction(db, parsed)
    )
    if why is not None:
        held = BankHeld(
            reason="contradicts", detail=why, kind=parsed.kind, ref=parsed.ref, xml=xml, held_at=at
        )
        db.add(held)
        await db.flush()
        log.error("a message of the bank is held", kind=parsed.kind, ref=parsed.ref, why=why)
        return Taken(None, held, True)
    message = BankMessage(
        direction="in",
        kind=parsed.kind,
        ref=parsed.ref,
        end_to_end_id=parsed.end_to_end_id,
        body=parsed.body,
        xml=xml,
        created_at=at,
        # That a payment waits is news which nobody acts upon, so nobody would mark it.
        read_at=at if parsed.kind == Kind.queued else None,
    )
    db.add(message)
    await db.flush()
    return Taken(message, None, True)


async def _contradiction(db: AsyncSession, parsed: Parsed) -> str | None:
    if parsed.end_to_end_id is not None:
        rows = await db.execute(
            text("SELECT direction, kind, id FROM bank_message WHERE end_to_end_id = :id"),
            {"id": parsed.end_to_end_id},
        )
        told: dict[str, int] = {}
        is_ours = False
        for row in rows:
            if row.direction == "out":
                is_ours = True
            else:
                told[row.kind] = row.id
        if not is_ours:
            return "nobody here gave that order"
        for kind in _ENDED_BY[parsed.kind]:
            if kind in told:
                return f"bank_message {told[kind]} says {kind}"
        needed = _NEEDS.get(parsed.kind)
        if needed is not None and needed not in told:
            return f"no {needed} came before"
    if "bank_reference" in parsed.body:
        line = (
            await db.exec(
                select(Booking).where(
                    col(Booking.iban) == parsed.body["iban"],
                    col(Booking.ref) == parsed.body["bank_reference"],
                )
            )
        ).one_or_none()
        debits = (Kind.debit_notice, Kind.reversal_notice)
        side = "debit" if parsed.kind in debits else "credit"
        amount = parsed.body["amount_tiyn"]
        if line is not None and (line.side, line.amount_tiyn) != (side, amount):
            return (
                f"bank_sim.booking {line.id} is a {line.side} of {line.amount_tiyn},"
                f" it says {side} of {amount}"
            )
    return None


async def take_statement(db: AsyncSession, iban: str, xml: str) -> BankStatement:
    """Take the next day's statement of `iban`; only whole days in their order.

    Raises `MessageRefused`, by the names of `iso20022.errors`.
    """
    await db.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('statement:' || :iban, 0))"),
        {"iban": iban},
    )
    statement = statements.parse(xml)
    newest = (
        await db.execute(
            text(
                "SELECT day, closing_tiyn FROM bank_statement WHERE iban = :iban"
                " ORDER BY day DESC LIMIT 1"
            ),
            {"iban": iban},
        )
    ).one_or_none()
    before = None if newest is None else (newest.day, newest.closing_tiyn)
    statements.check_follows(iban, before, statement)
    row = BankStatement(
        iban=iban,
        day=statement.day,
        opening_tiyn=statement.opening_tiyn,
        closing_tiyn=statement.closing_tiyn,
        xml=xml,
        sha256=hashlib.sha256(xml.encode()).hexdigest(),
        taken_at=await clock.now(db),
    )
    db.add(row)
    await db.flush()
    return row
