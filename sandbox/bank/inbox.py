"""The door for the bank's messages: XML in, a row of `bank_message` or of `bank_held`.

What contradicts an earlier message or the statement is held: shown, I6 is red, nothing is posted.
The same message again changes nothing.
"""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import shapes
from sandbox.bank.accounts import CURRENCY
from sandbox.bank.calendar import local_date
from sandbox.bank.iso20022 import messages, statements
from sandbox.bank.iso20022.errors import (
    MessageRefused,
    MessageUnknown,
    StatementLineTwice,
    StatementOtherAccount,
)
from sandbox.bank.iso20022.messages import Parsed
from sandbox.bank.iso20022.statements import Statement
from sandbox.bank.models import BankAccount, BankHeld, BankMessage, BankStatement, Kind
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.core.shapes import plain
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import NewEvent

log = structlog.get_logger(__name__)

# What ends a payment, and what must have been said before.
_ENDED_BY: Final = {
    Kind.accepted: {Kind.rejected, Kind.debit_notice, Kind.returned},
    Kind.queued: {Kind.rejected, Kind.debit_notice, Kind.returned},
    Kind.rejected: {Kind.debit_notice, Kind.returned},
    Kind.debit_notice: {Kind.rejected, Kind.debit_notice, Kind.returned},
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
        return await _against_lines(db, parsed)
    return None


# The bank's own line, the line of a statement that was taken, and the statement it should be on.
_LINES = text(
    """
    SELECT 'bank_sim.booking ' || id AS name, side, amount_tiyn, false AS is_last FROM
        bank_sim.booking WHERE iban = :iban AND ref = :ref
    UNION ALL SELECT format('bank_statement_line %s %s %s', iban, day, line), side, amount_tiyn,
        false FROM bank_statement_line WHERE iban = :iban AND ref = :ref
    UNION ALL SELECT format('bank_statement %s %s', iban, day), NULL, NULL, true
        FROM bank_statement WHERE iban = :iban AND day = :booked_on AND NOT EXISTS (
            SELECT FROM bank_statement_line WHERE iban = :iban AND ref = :ref)
    ORDER BY is_last
    """
)


async def _against_lines(db: AsyncSession, parsed: Parsed) -> str | None:
    """What a statement says otherwise of the movement that a notice tells."""
    debits = (Kind.debit_notice, Kind.reversal_notice)
    side = "debit" if parsed.kind in debits else "credit"
    amount, booked_at = parsed.body["amount_tiyn"], parsed.body.get("booked_at")
    rows = await db.execute(
        _LINES,
        {
            "iban": parsed.body["iban"],
            "ref": parsed.body["bank_reference"],
            "booked_on": None
            if booked_at is None
            else local_date(datetime.fromisoformat(booked_at)),
        },
    )
    for row in rows:
        if row.side is None:
            return f"{row.name} is of the day and has no such line"
        if (row.side, row.amount_tiyn) != (side, amount):
            return f"{row.name} is a {row.side} of {row.amount_tiyn}, it says {side} of {amount}"
    return None


@dataclass(frozen=True, slots=True)
class TakenStatement:
    """A statement, new or known already."""

    statement: BankStatement
    is_new: bool


async def take_statement(db: AsyncSession, iban: str, xml: str) -> TakenStatement:
    """Take the next day's statement of `iban`; only whole days in their order.

    The same one again changes nothing. Raises `MessageRefused`, by the names of
    `iso20022.errors`: another account or currency, sums that do not come out, a day that was taken
    with other contents, one out of order, a gap, a line that an earlier statement has.
    """
    await db.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('statement:' || :iban, 0))"),
        {"iban": iban},
    )
    read = statements.parse(xml)
    if read.iban == iban:
        known = await db.get(BankStatement, (iban, read.day))
        if known is not None and await _is_same(db, known, read):
            log.info("the bank sent a statement twice", day=read.day.isoformat())
            return TakenStatement(known, False)
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
    statements.check_follows(iban, before, read)
    refs = [line["bank_reference"] for line in read.lines]
    again = await db.execute(
        text("SELECT ref, day FROM bank_statement_line WHERE iban = :iban AND ref = ANY(:refs)"),
        {"iban": iban, "refs": refs},
    )
    for earlier in again:
        raise StatementLineTwice(earlier.ref, earlier.day.isoformat())
    row = BankStatement(
        iban=iban,
        day=read.day,
        opening_tiyn=read.opening_tiyn,
        closing_tiyn=read.closing_tiyn,
        xml=xml,
        sha256=hashlib.sha256(xml.encode()).hexdigest(),
        taken_at=await clock.now(db),
    )
    db.add(row)
    await db.flush()
    await _write_lines(db, read)
    event = NewEvent(
        new_id("evt", row.taken_at),
        "bank.statement_received",
        row.taken_at,
        statement_object(row, len(read.lines)),
    )
    await eventlog.append_many(db, [event], {})
    return TakenStatement(row, True)


def statement_object(row: BankStatement, line_count: int) -> dict[str, Any]:
    """The statement as the log tells it: figures and hash, without its lines."""
    shown: shapes.ReceivedStatement = {
        "object": "received_statement",
        "id": row.day.isoformat(),
        "account": f"{row.iban[:4]}…{row.iban[-4:]}",
        "iban": row.iban,
        "date": row.day.isoformat(),
        "currency": CURRENCY,
        "opening_tiyn": row.opening_tiyn,
        "closing_tiyn": row.closing_tiyn,
        "line_count": line_count,
        "sha256": row.sha256,
        "taken_at": clock.iso(row.taken_at),
    }
    return plain(shown)


async def _is_same(db: AsyncSession, known: BankStatement, read: Statement) -> bool:
    rows = await db.execute(
        text(
            "SELECT ref, end_to_end_id, side, amount_tiyn FROM bank_statement_line"
            " WHERE iban = :iban AND day = :day ORDER BY line"
        ),
        {"iban": known.iban, "day": known.day},
    )
    balances = (known.opening_tiyn, known.closing_tiyn)
    return balances == (read.opening_tiyn, read.closing_tiyn) and [tuple(row) for row in rows] == [
        (line["bank_reference"], line["end_to_end_id"], line["side"], line["amount_tiyn"])
        for line in read.lines
    ]


async def _write_lines(db: AsyncSession, read: Statement) -> None:
    await db.execute(
        text(
            "INSERT INTO bank_statement_line (iban, day, line, ref, end_to_end_id, side,"
            " amount_tiyn) SELECT :iban, :day, line, ref, end_to_end_id, side, amount_tiyn FROM"
            " unnest(CAST(:refs AS text[]), CAST(:ids AS text[]), CAST(:sides AS text[]),"
            " CAST(:amounts AS bigint[])) WITH ORDINALITY"
            " AS g (ref, end_to_end_id, side, amount_tiyn, line)"
        ),
        {
            "iban": read.iban,
            "day": read.day,
            "refs": [line["bank_reference"] for line in read.lines],
            "ids": [line["end_to_end_id"] for line in read.lines],
            "sides": [line["side"] for line in read.lines],
            "amounts": [line["amount_tiyn"] for line in read.lines],
        },
    )


STATEMENT_KIND: Final = "camt.053"


async def receive_statement(db: AsyncSession, iban: str, day: date, xml: str) -> bool:
    """Take the statement of `day`, or hold it visibly with the reason; true when it is new.

    What was held of that day before is resolved by one that can be taken.
    """
    ref = f"{iban} {day.isoformat()}"
    try:
        async with db.begin_nested():
            taken = await take_statement(db, iban, xml)
    except MessageRefused as refusal:
        await _hold_statement(db, ref, xml, refusal)
        return False
    await db.execute(
        text(
            "UPDATE bank_held SET resolved_at = :at"
            " WHERE kind = :kind AND ref = :ref AND resolved_at IS NULL"
        ),
        {"at": await clock.now(db), "kind": STATEMENT_KIND, "ref": ref},
    )
    return taken.is_new


async def _hold_statement(db: AsyncSession, ref: str, xml: str, refusal: MessageRefused) -> None:
    """Once for as long as it is refused in the same words: the bank sends it again and again."""
    row = BankHeld(
        reason=refusal.code,
        detail=refusal.detail,
        kind=STATEMENT_KIND,
        ref=ref,
        xml=xml,
        held_at=await clock.now(db),
    )
    known = await db.scalar(
        text(
            "SELECT id FROM bank_held WHERE kind = :kind AND ref = :ref AND detail = :detail"
            " AND resolved_at IS NULL"
        ),
        {"kind": row.kind, "ref": row.ref, "detail": row.detail},
    )
    if known is not None:
        return
    db.add(row)
    await db.flush()
    log.error("a statement of the bank is held", ref=ref, code=refusal.code, why=refusal.detail)
