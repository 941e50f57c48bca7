"""The port: messages to and from the bank, statements, and what is still under way."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, or_, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar, rails
from sandbox.bank.accounts import CURRENCY
from sandbox.bank.codes import check_codes
from sandbox.bank.errors import AmountAboveRail, ValueDateNotBankingDay
from sandbox.bank.iso20022 import messages
from sandbox.bank.iso20022 import statements as camt053
from sandbox.bank.iso20022 import values as iso
from sandbox.bank.models import BankAccount, BankMessage, BankStatement, Kind
from sandbox.core import clock
from sandbox.core.http import Page

MAX_REFERENCE_LENGTH = iso.MAX_REFERENCE
ISSUER_KOD, ISSUER_NAME = "15", "KZTE issuer"


@dataclass(frozen=True, slots=True)
class CreditTransfer:
    """An instruction to pay (pacs.008). `knp` and `kbe` are the payment codes (KAZAKHSTAN 2.7)."""

    end_to_end_id: str
    debtor_iban: str
    creditor_iban: str
    creditor: str
    creditor_name: str
    amount_tiyn: int
    value_date: date
    knp: str
    kbe: str
    kod: str = ISSUER_KOD
    debtor_name: str = ISSUER_NAME
    rail: str = rails.RTGS
    # The payee's IIN or BIN, where it is known: the KBe must agree with it.
    creditor_tax: str | None = None


def payee_name(name: str) -> str:
    """The name as an order carries it, for the row of what is to be paid: the two are compared."""
    return iso.written(name)


async def hand_over(db: AsyncSession, order: CreditTransfer) -> None:
    """Give the bank a payment order, in the transaction of its pending ledger entry.

    Raises `PaymentCodeInvalid`, `KbeContradictsPayee`, `ValueDateNotBankingDay`,
    `AmountAboveRail`.
    """
    assert 0 < len(order.end_to_end_id) <= MAX_REFERENCE_LENGTH
    assert order.amount_tiyn > 0
    check_codes(order.knp, order.kbe, order.kod, order.creditor_tax)
    rail = rails.RAILS[order.rail]
    if rail.opens is not None and not calendar.is_banking_day(order.value_date):
        raise ValueDateNotBankingDay(order.value_date.isoformat())
    if rail.max_tiyn is not None and order.amount_tiyn > rail.max_tiyn:
        raise AmountAboveRail(rail.code, order.amount_tiyn, rail.max_tiyn)
    at = await clock.now(db)
    body = {
        "end_to_end_id": order.end_to_end_id,
        "uetr": iso.uetr(order.end_to_end_id),
        "debtor_iban": order.debtor_iban,
        "debtor_name": order.debtor_name,
        "creditor_iban": order.creditor_iban,
        "creditor": order.creditor,
        "creditor_name": payee_name(order.creditor_name),
        "amount_tiyn": order.amount_tiyn,
        "currency": CURRENCY,
        "value_date": order.value_date.isoformat(),
        "knp": order.knp,
        "kod": order.kod,
        "kbe": order.kbe,
        "rail": order.rail,
    }
    db.add(
        BankMessage(
            direction="out",
            kind=Kind.credit_transfer,
            ref=order.end_to_end_id,
            end_to_end_id=order.end_to_end_id,
            body=body,
            xml=messages.build(Kind.credit_transfer, order.end_to_end_id, body, at),
            created_at=at,
        )
    )
    await db.flush()


async def unread(
    db: AsyncSession,
    kinds: Collection[Kind],
    *,
    prefixes: Collection[str] = (),
    after: int = 0,
    limit: int = 50,
) -> Sequence[BankMessage]:
    """Messages from the bank that nobody has read, oldest first, locked until the commit.

    `prefixes` picks payments by the beginning of their end-to-end id; `after` is the id of a
    message to go on behind. Of one payment only the oldest message comes, so that an answer is
    never read before an earlier one.
    """
    conditions: list[ColumnElement[bool]] = [
        col(BankMessage.direction) == "in",
        col(BankMessage.read_at).is_(None),
        col(BankMessage.kind).in_(list(kinds)),
        col(BankMessage.id) > after,
    ]
    if prefixes:
        begins = (col(BankMessage.end_to_end_id).startswith(p, autoescape=True) for p in prefixes)
        conditions.append(or_(*begins))
    earlier = text(
        "NOT EXISTS (SELECT FROM bank_message earlier WHERE earlier.direction = 'in'"
        " AND earlier.read_at IS NULL AND earlier.id < bank_message.id"
        " AND earlier.end_to_end_id = bank_message.end_to_end_id)"
    )
    found = (
        select(BankMessage)
        .where(*conditions, earlier)
        .order_by(col(BankMessage.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return (await db.exec(found)).all()


def unread_sql(kinds: Collection[Kind], *, prefixes: Collection[str] = ()) -> str:
    """SQL: there is something for `unread`; kinds and prefixes are our own words."""
    named = ", ".join(f"'{kind}'" for kind in kinds)
    conditions = ["direction = 'in'", "read_at IS NULL", f"kind IN ({named})"]
    if prefixes:
        begins = (f"starts_with(end_to_end_id, '{prefix}')" for prefix in prefixes)
        conditions.append(f"({' OR '.join(begins)})")
    return f"EXISTS (SELECT FROM bank_message WHERE {' AND '.join(conditions)})"


async def mark_read(db: AsyncSession, message: BankMessage) -> None:
    """Say that the message was acted upon, in the transaction of the acts."""
    assert message.read_at is None
    message.read_at = await clock.now(db)
    db.add(message)
    await db.flush()


async def account(db: AsyncSession, iban: str) -> BankAccount | None:
    """The account with this number, if a bank has it."""
    return await db.get(BankAccount, iban)


async def balance(db: AsyncSession, iban: str) -> int:
    """What the bank has booked on the account, in tiyn: credits less debits, from its lines."""
    total: int = await db.scalar(
        text(
            "SELECT coalesce(sum(CASE side WHEN 'credit' THEN amount_tiyn ELSE -amount_tiyn END),"
            " 0)::bigint FROM bank_sim.booking WHERE iban = :iban AND NOT left_out"
        ),
        {"iban": iban},
    )
    return total


async def unread_movements(db: AsyncSession, iban: str) -> int:
    """Booked credits less debits on `iban` whose messages nobody has read yet, in tiyn.

    It is the difference between statement and ledger that needs no explanation (CONTRACT 10).
    """
    total: int = await db.scalar(
        text(
            "SELECT coalesce(sum(CASE WHEN kind IN (:debit, :reversal)"
            " THEN -(body->>'amount_tiyn')::bigint"
            " ELSE (body->>'amount_tiyn')::bigint END), 0)::bigint FROM bank_message"
            " WHERE direction = 'in' AND read_at IS NULL"
            " AND kind IN (:debit, :credit, :returned, :reversal)"
            " AND body->>'iban' = :iban"
        ),
        {
            "iban": iban,
            "debit": Kind.debit_notice,
            "credit": Kind.credit_notice,
            "returned": Kind.returned,
            "reversal": Kind.reversal_notice,
        },
    )
    # A payment between two accounts of the same holder comes with one notice, the payer's.
    incoming: int = await db.scalar(
        text(
            "SELECT coalesce(sum((body->>'amount_tiyn')::bigint), 0)::bigint FROM bank_message"
            " WHERE direction = 'in' AND read_at IS NULL AND kind = :debit"
            " AND body->>'creditor_iban' = :iban"
        ),
        {"iban": iban, "debit": Kind.debit_notice},
    )
    return total + incoming


async def statements(db: AsyncSession, iban: str, page: Page) -> list[dict[str, Any]]:
    """Statements of the account, newest first, one for each day with lines and one for today.

    closing = opening + credits - debits, and a day opens with what the day before closed.
    Cursors are dates. An account without lines has today's only.
    """
    condition, order, values = page.clause("day")
    days = await db.execute(
        # Built from clauses of our own; values are parameters.
        text(
            "WITH lines AS (SELECT to_char(booked_on, 'YYYY-MM-DD') AS day,"  # noqa: S608 - SQL of our own, no input
            " CASE side WHEN 'credit' THEN amount_tiyn ELSE -amount_tiyn END AS moved"
            " FROM bank_sim.booking WHERE iban = :iban AND NOT left_out),"
            " days AS (SELECT day, sum(moved) AS moved FROM"
            " (SELECT day, moved FROM lines UNION ALL SELECT :today, 0) AS marked GROUP BY day),"
            " running AS (SELECT day, moved::bigint AS moved,"
            " (sum(moved) OVER (ORDER BY day))::bigint AS closing FROM days)"
            f" SELECT day, moved, closing FROM running WHERE true{condition}{order}"
        ),
        {
            "iban": iban,
            "today": calendar.local_date(await clock.now(db)).isoformat(),
            **values,
        },
    )
    made = {
        row.day: {
            **_statement(iban, row.day, row.closing - row.moved),
            "closing_tiyn": row.closing,
        }
        for row in days
    }
    if made:
        await _add_lines(db, iban, made)
    return list(made.values())


def _statement(iban: str, day: str, opening_tiyn: int) -> dict[str, Any]:
    return {
        "object": "bank_statement",
        "id": day,
        "iban": iban,
        "date": day,
        "currency": CURRENCY,
        "opening_tiyn": opening_tiyn,
        "closing_tiyn": opening_tiyn,
        "lines": [],
    }


async def day_statement(db: AsyncSession, iban: str, day: date) -> dict[str, Any]:
    """The statement of one day as the bank has it now, also of a day without lines."""
    opening: int = await db.scalar(
        text(
            "SELECT coalesce(sum(CASE side WHEN 'credit' THEN amount_tiyn ELSE -amount_tiyn END),"
            " 0)::bigint FROM bank_sim.booking WHERE iban = :iban AND booked_on < :day"
            " AND NOT left_out"
        ),
        {"iban": iban, "day": day},
    )
    made = _statement(iban, day.isoformat(), opening)
    await _add_lines(db, iban, {day.isoformat(): made})
    moved = sum(
        line["amount_tiyn"] if line["side"] == "credit" else -line["amount_tiyn"]
        for line in made["lines"]
    )
    return {**made, "closing_tiyn": opening + moved}


async def statement_xml(db: AsyncSession, iban: str, day: date) -> str | None:
    """A day's statement as camt.053: as it was sent, or as it is now of a day that is not over.

    None for another account's day without lines.
    """
    sent = await db.get(BankStatement, (iban, day))
    if sent is not None:
        return sent.xml
    at = await clock.now(db)
    made = await day_statement(db, iban, day)
    if not made["lines"] and day != calendar.local_date(at):
        return None
    return camt053.build(made, at)


async def _add_lines(db: AsyncSession, iban: str, made: dict[str, dict[str, Any]]) -> None:
    lines = await db.execute(
        text(
            "SELECT to_char(booked_on, 'YYYY-MM-DD') AS day, ref, end_to_end_id, amount_tiyn,"
            " side, value_date, booked_at FROM bank_sim.booking"
            " WHERE iban = :iban AND NOT left_out AND booked_on BETWEEN :first AND :last"
            " ORDER BY id"
        ),
        {
            "iban": iban,
            "first": date.fromisoformat(min(made)),
            "last": date.fromisoformat(max(made)),
        },
    )
    for row in lines:
        made[row.day]["lines"].append(
            {
                "ref": row.ref,
                "end_to_end_id": row.end_to_end_id,
                "amount_tiyn": row.amount_tiyn,
                "side": row.side,
                "value_date": row.value_date.isoformat(),
                "booked_at": clock.iso(row.booked_at),
            }
        )


async def busy(db: AsyncSession) -> list[str]:
    """What the bank has yet to do now; orders for a later value date do not count."""
    orders = await db.scalar(
        text("SELECT count(*) FROM bank_message WHERE direction = 'out' AND read_at IS NULL")
    )
    due = await db.scalar(
        text(
            "SELECT count(*) FROM bank_sim.payment_order"
            " WHERE status = 'accepted' AND due_at <= sandbox_now()"
            " AND (cover_until IS NULL OR cover_until <= sandbox_now())"
        )
    )
    answers = await db.scalar(
        text("SELECT count(*) FROM bank_message WHERE direction = 'in' AND read_at IS NULL")
    )
    left = []
    if orders:
        left.append(f"payment orders the bank has not read: {orders}")
    if due:
        left.append(f"payment orders due at the bank: {due}")
    if answers:
        left.append(f"bank messages not read: {answers}")
    return left
