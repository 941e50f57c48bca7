"""I6, line by line: statements that were taken against the bank's notices and the ledger's legs.

What is under way is none of its business: only of days that are over everything must be there.
"""

from datetime import UTC
from typing import Any, Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.bank.accounts import OPERATING_IBAN, RESERVE_IBAN
from sandbox.bank.models import Kind
from sandbox.core.checks import Check, no_faults
from sandbox.ledger.chart import accounts

# `closed`: accounts with the day up to which statements were taken, and the moment it ended.
# `told`: what a notice says of a line. A payment between two own accounts has one notice.
# `moved`: legs on these accounts, with the name by which the bank knows their cause: its own
# reference of a credit, or the end-to-end id of the order.
_WITH = """
WITH closed AS (
    SELECT * FROM unnest(CAST(:ibans AS text[]), CAST(:codes AS text[]), CAST(:days AS date[]),
        CAST(:ends AS timestamptz[])) AS c (iban, code, day, ended)
), notice AS (
    SELECT id, kind, end_to_end_id, body, read_at, body ->> 'bank_reference' AS ref,
        (body ->> 'amount_tiyn')::bigint AS amount,
        coalesce((body ->> 'booked_at')::timestamptz, created_at) AS booked_at
    FROM bank_message
    WHERE direction = 'in' AND kind IN (:credit, :debit, :returned, :reversal)
), told AS (
    SELECT id, body ->> 'iban' AS iban, ref, CASE WHEN kind IN (:debit, :reversal) THEN 'debit'
        ELSE 'credit' END AS side, amount, end_to_end_id, read_at, booked_at FROM notice
    UNION ALL SELECT id, body ->> 'creditor_iban', ref, 'credit', amount, end_to_end_id, read_at,
        booked_at FROM notice WHERE kind = :debit
), line AS (
    SELECT format('bank_statement_line %s %s %s', iban, day, line) AS name, iban, day, ref,
        end_to_end_id, side, amount_tiyn AS amount FROM bank_statement_line
), moved AS (
    SELECT c.iban, c.code, c.day, e.id, l.amount,
        CASE l.side WHEN 'D' THEN 'credit' ELSE 'debit' END AS side,
        greatest(e.effective_at, r.recorded_at) < c.ended AS is_over,
        CASE WHEN starts_with(e.cause, 'camt.054:') THEN 'ref ' || substr(e.cause, 10)
            WHEN v.id IS NOT NULL THEN 'ref ' || v.cover_reference
            WHEN p.id IS NOT NULL THEN 'ref ' || p.repaid_reference
            WHEN e.reason = 'shortfall_covered' THEN 'id ' || e.ref
            ELSE 'id ' || e.cause END AS cause
    FROM closed c
    JOIN account a ON a.book = 'issuer' AND a.asset = 'KZT' AND a.code = c.code
    JOIN leg l ON l.account_id = a.id JOIN entry e ON e.id = l.entry_id
    LEFT JOIN resolution r ON r.entry_id = e.id
    LEFT JOIN credit_reversal v ON e.ref = v.id || '\\:cover'
    LEFT JOIN credit_reversal p ON e.ref = p.id || '\\:repaid'
    WHERE coalesce(r.outcome, e.kind) = 'posted'
)
"""

_SUMS = """
SELECT format('bank_statement %s %s', coalesce(s.iban, l.iban), coalesce(s.day, l.day)) AS name,
CASE
    WHEN s.iban IS NULL THEN 'is missing, its lines are here'
    WHEN s.opening_tiyn + coalesce(l.moved, 0) <> s.closing_tiyn
        THEN format('opens with %s tiyn, its lines come to %s, it closes with %s', s.opening_tiyn,
            coalesce(l.moved, 0), s.closing_tiyn)
    WHEN s.opening_tiyn <> s.before
        THEN format('opens with %s tiyn, the one before closed with %s', s.opening_tiyn, s.before)
END AS fault
FROM (SELECT *, lag(closing_tiyn) OVER (PARTITION BY iban ORDER BY day) AS before
    FROM bank_statement) s
FULL JOIN (SELECT iban, day, sum(CASE side WHEN 'credit' THEN amount_tiyn ELSE -amount_tiyn END)
    AS moved FROM bank_statement_line GROUP BY iban, day) l ON (l.iban, l.day) = (s.iban, s.day)
"""

_NOTICES = """
SELECT coalesce(l.name, 'bank_message ' || t.id) AS name, CASE
    WHEN l.name IS NULL AND t.booked_at < c.ended
        THEN format('no statement of %s up to %s has its line, %s tiyn under %s', c.iban, c.day,
            t.amount, t.ref)
    WHEN l.name IS NULL THEN NULL
    WHEN t.id IS NULL THEN format('%s of %s tiyn, and no message tells of %s', l.side, l.amount,
        l.ref)
    WHEN (l.side, l.amount, l.end_to_end_id) IS DISTINCT FROM (t.side, t.amount, t.end_to_end_id)
        THEN format('%s of %s, bank_message %s says %s of %s', l.side, l.amount, t.id, t.side,
            t.amount)
END AS fault
FROM told t LEFT JOIN closed c ON c.iban = t.iban
FULL JOIN line l ON (l.iban, l.ref) = (t.iban, t.ref)
"""

# A line without its leg waits to be read; its notice was compared with it above.
_LEGS = """
SELECT coalesce(l.name, 'entry ' || m.id) AS name, CASE
    WHEN l.name IS NULL AND m.is_over
        THEN format('moved %s tiyn on %s, no statement up to %s has a line of it', m.amount, m.code,
            m.day)
    WHEN l.name IS NULL THEN NULL
    WHEN m.id IS NULL AND l.read_at IS NOT NULL
        THEN format('%s of %s tiyn, and no leg of the ledger for %s', l.side, l.amount, l.cause)
    WHEN l.amount <> m.amount
        THEN format('%s of %s, entry %s has %s', l.side, l.amount, m.id, m.amount)
END AS fault
FROM (SELECT *, row_number() OVER (PARTITION BY iban, side, cause ORDER BY id) AS n FROM moved) m
FULL JOIN (
    SELECT l.*, t.read_at, row_number() OVER (PARTITION BY l.iban, l.side, l.cause ORDER BY l.day,
        l.ref) AS n
    FROM (SELECT *, CASE WHEN end_to_end_id IS NULL THEN 'ref ' || ref
        WHEN starts_with(end_to_end_id, 'stl_') THEN 'id ' || split_part(end_to_end_id, ':', 1)
        ELSE 'id ' || end_to_end_id END AS cause FROM line) l
    LEFT JOIN told t ON (t.iban, t.ref) = (l.iban, l.ref)
) l ON (l.iban, l.side, l.cause, l.n) = (m.iban, m.side, m.cause, m.n)
"""

_CODES: Final = {
    RESERVE_IBAN: accounts.reserve_bank().code,
    OPERATING_IBAN: accounts.operating().code,
}


async def statement_lines_match(db: AsyncSession) -> list[Check]:
    """I6: statements, their lines, the bank's notices and the ledger's legs, each against each.

    A deposit that was taken back is a line of its own: reference, side and amount name each.
    """
    closed = list(
        await db.execute(
            text("SELECT iban, max(day) AS day FROM bank_statement GROUP BY iban ORDER BY iban")
        )
    )
    values: dict[str, Any] = {
        "ibans": [row.iban for row in closed],
        "codes": [_CODES.get(row.iban) for row in closed],
        "days": [row.day for row in closed],
        "ends": [calendar.ends_at(row.day).astimezone(UTC) for row in closed],
        "credit": Kind.credit_notice,
        "debit": Kind.debit_notice,
        "returned": Kind.returned,
        "reversal": Kind.reversal_notice,
    }
    statement = f"{_WITH} ({_SUMS}) UNION ALL ({_NOTICES}) UNION ALL ({_LEGS})"
    sound = "lines of statements = the bank's notices and the ledger's legs, one by one"
    return await no_faults(db, "I6", sound, statement, values)
