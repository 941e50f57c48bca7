"""I6, row by row: the bank's statements and orders against the messages that told of them.

The figures of whole accounts are compared in `reserve`, which knows the ledger.
"""

from typing import Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank.accounts import OPERATING_IBAN, RESERVE_IBAN
from sandbox.bank.iso20022 import messages
from sandbox.bank.models import Kind
from sandbox.core.checks import Check, no_faults, say
from sandbox.core.errors import SandboxError
from sandbox.eventlog.told import Told, moment

# What each notice says must stand on a statement. Nobody tells us of lines on other accounts.
_LINES = """
WITH notice AS (
    SELECT id, kind, end_to_end_id, body, body ->> 'bank_reference' AS ref,
        (body ->> 'amount_tiyn')::bigint AS amount FROM bank_message
    WHERE direction = 'in' AND kind IN (:credit, :debit, :returned, :reversal)
), told AS (
    SELECT id, body ->> 'iban' AS iban, ref, CASE WHEN kind IN (:debit, :reversal) THEN 'debit'
        ELSE 'credit' END AS side, amount, end_to_end_id FROM notice
    UNION ALL SELECT id, body ->> 'creditor_iban', ref, 'credit', amount, end_to_end_id
        FROM notice WHERE kind = :debit
), judged AS (
    SELECT t.id AS message, b.id AS booking, t.iban AS iban, t.ref AS ref, CASE
        WHEN b.id IS NULL THEN format('no such line of %s tiyn on the statement', t.amount)
        WHEN t.id IS NULL AND b.iban IN (:reserve, :operating) THEN 'no message tells of it'
        WHEN t.id IS NOT NULL AND (b.side, b.amount_tiyn, coalesce(b.end_to_end_id, ''))
            IS DISTINCT FROM (t.side, t.amount, coalesce(t.end_to_end_id, ''))
            THEN format('%s of %s, bank_message %s says %s of %s', b.side, b.amount_tiyn, t.id,
                t.side, t.amount)
    END AS fault
    FROM told t FULL JOIN (SELECT * FROM bank_sim.booking WHERE NOT left_out) b
        ON b.iban = t.iban AND b.ref = t.ref
)
SELECT CASE WHEN booking IS NULL THEN format('bank_sim.booking %s %s (bank_message %s)', iban, ref,
    message) ELSE 'bank_sim.booking ' || booking END AS name, fault FROM judged
"""

_ORDERS = """
SELECT coalesce('bank_message ' || m.id, 'bank_sim.payment_order ' || o.id) AS name, CASE
    WHEN m.id IS NULL THEN 'nobody gave this order'
    WHEN o.id IS NULL THEN 'the bank read it and has no such order'
    WHEN (o.debtor_iban, o.creditor_iban, o.amount_tiyn, o.value_date::text)
        IS DISTINCT FROM (m.body ->> 'debtor_iban', m.body ->> 'creditor_iban',
            (m.body ->> 'amount_tiyn')::bigint, m.body ->> 'value_date')
        THEN format('%s to %s, bank_sim.payment_order %s has %s to %s', m.body ->> 'amount_tiyn',
            m.body ->> 'creditor_iban', o.id, o.amount_tiyn, o.creditor_iban)
    WHEN m.read_at IS NULL AND o.status IN ('accepted', 'rejected')
        AND coalesce(a.accepted, a.rejected) IS NULL
        THEN NULL  -- its answer was lost, and it is sent again
    WHEN a.accepted IS NULL AND a.rejected IS NULL THEN 'the bank never answered it'
    WHEN o.status IN ('booked', 'returned') AND a.booked IS NULL
        THEN 'is booked, and no message says so'
    WHEN (o.status = 'returned') <> (a.returned IS NOT NULL)
        THEN 'is ' || o.status || ', the messages have it sent back: '
            || coalesce('bank_message ' || a.returned, 'none')
    WHEN o.status = 'accepted' AND coalesce(a.booked, a.rejected) IS NOT NULL
        THEN 'waits at the bank, bank_message ' || coalesce(a.booked, a.rejected) || ' ends it'
    WHEN (o.status = 'rejected') <> (a.rejected IS NOT NULL)
        THEN 'is ' || o.status || ', the messages say otherwise'
END AS fault
FROM (SELECT * FROM bank_message WHERE direction = 'out' AND kind = :order) m
FULL JOIN bank_sim.payment_order o ON o.end_to_end_id = m.end_to_end_id
LEFT JOIN (
    SELECT end_to_end_id, min(id) FILTER (WHERE kind = :accepted) AS accepted,
        min(id) FILTER (WHERE kind = :rejected) AS rejected,
        min(id) FILTER (WHERE kind = :debit) AS booked,
        min(id) FILTER (WHERE kind = :returned) AS returned
    FROM bank_message WHERE direction = 'in' GROUP BY end_to_end_id
) a ON a.end_to_end_id = coalesce(m.end_to_end_id, o.end_to_end_id)
WHERE m.read_at IS NOT NULL OR m.id IS NULL OR o.id IS NOT NULL
"""


async def messages_match(db: AsyncSession) -> list[Check]:
    """I6: each line of a statement, and each order, against the message about it."""
    return await no_faults(
        db,
        "I6",
        "statement lines and orders = the bank's messages, row by row",
        f"({_LINES}) UNION ALL ({_ORDERS})",
        {
            "credit": Kind.credit_notice,
            "debit": Kind.debit_notice,
            "returned": Kind.returned,
            "reversal": Kind.reversal_notice,
            "order": Kind.credit_transfer,
            "accepted": Kind.accepted,
            "rejected": Kind.rejected,
            "reserve": RESERVE_IBAN,
            "operating": OPERATING_IBAN,
        },
    )


_HELD = """
SELECT 'bank_held ' || id AS name, kind || ' ' || ref || ': ' || detail AS fault
FROM bank_held WHERE resolved_at IS NULL
"""

_SEALS = """
SELECT 'bank_message ' || id AS name,
    'is not as it was written: its seal is of other contents' AS fault
FROM bank_message WHERE xml IS NOT NULL
    AND seal IS DISTINCT FROM encode(sha256(convert_to(xml || body::text, 'UTF8')), 'hex')
UNION ALL SELECT format('bank_statement %s %s', iban, day), 'is not the statement that was taken'
FROM bank_statement WHERE sha256 <> encode(sha256(convert_to(xml, 'UTF8')), 'hex')
"""

_TOLD: Final = Told(
    "bank_statement",
    ("bank.statement_received",),
    {
        "opening_tiyn": "r.opening_tiyn",
        "closing_tiyn": "r.closing_tiyn",
        "sha256": "r.sha256",
        "taken_at": moment("taken_at"),
        "line_count": "(SELECT count(*) FROM bank_statement_line l"
        " WHERE (l.iban, l.day) = (r.iban, r.day))",
    },
    key="(r.iban || ' ' || r.day)",
    told_key="((private ->> 'iban') || ' ' || o.date)",
    fields=("date",),
)


async def statements_as_told(db: AsyncSession) -> list[Check]:
    """I8: every statement that was taken, as the log tells it."""
    return await no_faults(db, "I8", "bank statements are as the log tells", _TOLD.statement)


READ_AGAIN: Final = 200
"""So many of the newest messages are parsed anew: all of them would take minutes in the end."""


async def messages_agree(db: AsyncSession) -> list[Check]:
    """I6: no message contradicts another, each says what its XML says."""
    held = await no_faults(db, "I6", "no message of the bank contradicts another", _HELD)
    sealed = await no_faults(db, "I6", "bank messages are as they were written", _SEALS)
    return [*held, *sealed, await _read_again(db)]


async def _read_again(db: AsyncSession) -> Check:
    rows = await db.execute(
        text(
            "SELECT id, kind, ref, end_to_end_id, body, xml FROM bank_message"
            " WHERE xml IS NOT NULL ORDER BY id DESC LIMIT :most"
        ),
        {"most": READ_AGAIN},
    )
    faults = []
    for row in rows:
        try:
            parsed = messages.parse(row.xml)
        except SandboxError as refusal:
            faults.append(f"bank_message {row.id}: {refusal.detail}")
            continue
        told = (parsed.kind, parsed.ref, parsed.end_to_end_id, parsed.body)
        if told != (row.kind, row.ref, row.end_to_end_id, row.body):
            faults.append(f"bank_message {row.id}: its XML says otherwise")
    sound = f"the newest {READ_AGAIN} bank messages say what their XML says"
    return Check("I6", not faults, len(faults), 0, say(faults) or sound)
