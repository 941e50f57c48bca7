"""I6 and I8, credits that the bank took back: rows against its notices, the books and the log."""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank.accounts import OPERATING_IBAN, RESERVE_IBAN
from sandbox.bank.models import Kind
from sandbox.core.checks import Check, no_faults
from sandbox.eventlog.told import Told, moment

# What a customer owes is what was missing, but for what it paid in again.
_REVERSALS = """
SELECT coalesce('credit_reversal ' || r.id, 'bank_message ' || m.id) AS name, CASE
    WHEN r.id IS NULL THEN 'was read, and no reversal came of it'
    WHEN m.id IS NULL THEN 'no message of the bank tells of it'
    WHEN d.bank_reference IS DISTINCT FROM r.bank_reference THEN 'is of another deposit'
    WHEN r.amount_tiyn IS DISTINCT FROM (m.body ->> 'amount_tiyn')::bigint
        THEN format('%s tiyn, bank_message %s says %s', r.amount_tiyn, m.id,
            m.body ->> 'amount_tiyn')
    WHEN coalesce(b.owed, 0) IS DISTINCT FROM r.amount_tiyn - r.taken_back_tiyn
        - CASE r.covered_by WHEN 'customer' THEN r.covered_tiyn ELSE 0 END
        - r.repaid_tiyn - r.written_off_tiyn
        THEN format('%s of %s tiyn taken back, %s covered by %s, %s repaid, %s written off,'
            || ' the books have %s owed', r.taken_back_tiyn, r.amount_tiyn, r.covered_tiyn,
            r.covered_by, r.repaid_tiyn, r.written_off_tiyn, coalesce(b.owed, 0))
    WHEN r.repaid_tiyn IS DISTINCT FROM coalesce((p.body ->> 'amount_tiyn')::bigint, 0)
        THEN format('%s tiyn repaid under %s, bank_message %s says %s', r.repaid_tiyn,
            r.repaid_reference, p.id, p.body ->> 'amount_tiyn')
    WHEN (r.settled_at IS NULL) <> (r.status <> 'settled')
        THEN format('is %s, settled at %s', r.status, coalesce(r.settled_at::text, 'no moment'))
END AS fault
FROM credit_reversal r
FULL JOIN (SELECT * FROM bank_message WHERE direction = 'in' AND kind = :reversal
    AND read_at IS NOT NULL AND body ->> 'iban' = :reserve) m ON m.ref = r.bank_reference
LEFT JOIN deposit d ON d.id = r.deposit_id
LEFT JOIN bank_message p ON p.direction = 'in' AND p.kind = :notice AND p.read_at IS NOT NULL
    AND p.body ->> 'iban' = :operating AND p.ref = r.repaid_reference
LEFT JOIN (
    SELECT substr(a.code, length('a:receivable:') + 1) AS deposit,
        sum(CASE l.side WHEN 'D' THEN l.amount ELSE -l.amount END) AS owed
    FROM leg l JOIN account a ON a.id = l.account_id JOIN entry e ON e.id = l.entry_id
    LEFT JOIN resolution s ON s.entry_id = e.id
    WHERE starts_with(a.code, 'a:receivable:') AND coalesce(s.outcome, e.kind) = 'posted'
    GROUP BY a.code
) b ON b.deposit = r.deposit_id
UNION ALL
SELECT 'pending_credit ' || coalesce(p.bank_reference, m.ref), CASE
    WHEN m.id IS NULL THEN 'no message of the bank announces it'
    WHEN p.bank_reference IS NULL THEN 'was announced, and is missing'
    WHEN (p.amount_tiyn, p.customer) IS DISTINCT FROM
        ((m.body ->> 'amount_tiyn')::bigint, m.body ->> 'customer')
        THEN format('%s tiyn, bank_message %s says %s', p.amount_tiyn, m.id,
            m.body ->> 'amount_tiyn')
    WHEN (p.booked_at IS NULL) <> (d.id IS NULL)
        THEN 'is ' || CASE WHEN p.booked_at IS NULL THEN 'not ' ELSE '' END
            || 'booked, the deposits say otherwise'
END
FROM pending_credit p
FULL JOIN (SELECT * FROM bank_message WHERE direction = 'in' AND kind = :pending
    AND read_at IS NOT NULL AND body ->> 'iban' = :reserve) m ON m.ref = p.bank_reference
LEFT JOIN deposit d ON d.bank_reference = p.bank_reference
"""

_TOLD = Told(
    "credit_reversal",
    ("reserve.deposit_reversed", "reserve.shortfall_covered", "reserve.receivable_%"),
    {
        "deposit": "r.deposit_id",
        "bank_reference": "r.bank_reference",
        "amount_tiyn": "r.amount_tiyn",
        "taken_back_tiyn": "r.taken_back_tiyn",
        "covered_tiyn": "r.covered_tiyn",
        "covered_by": "r.covered_by",
        "cover_reference": "r.cover_reference",
        "repaid_tiyn": "r.repaid_tiyn",
        "repaid_reference": "r.repaid_reference",
        "written_off_tiyn": "r.written_off_tiyn",
        "created_at": moment("created_at"),
    },
)


async def reversals_match(db: AsyncSession) -> list[Check]:
    """I6: credits that were announced or taken back, against the bank's notices and the books."""
    values = {
        "reversal": Kind.reversal_notice,
        "pending": Kind.pending_notice,
        "notice": Kind.credit_notice,
        "reserve": RESERVE_IBAN,
        "operating": OPERATING_IBAN,
    }
    sound = "announced and reversed credits = the bank's notices and the books"
    return await no_faults(db, "I6", sound, _REVERSALS, values)


async def reversals_as_told(db: AsyncSession) -> list[Check]:
    """I8: every reversal as the log last told it."""
    return await no_faults(db, "I8", "reversals are as the log tells", _TOLD.statement)
