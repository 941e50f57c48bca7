"""I7 of the settlements (DESIGN 5): each batch recomputed from raw rows and ledger legs."""

from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.checks import Check, say

# Legs by entry reference; what was voided never happened, what is pending is still asked for.
_LEGS = """
legs AS (
    SELECT e.ref, coalesce(r.outcome, e.kind) AS state, a.book, a.asset, a.code, l.side, l.amount
    FROM entry e JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
    LEFT JOIN resolution r ON r.entry_id = e.id
    WHERE coalesce(r.outcome, '') <> 'voided'
)
"""

_BATCHES = f"""
WITH {_LEGS}, lines AS (
    SELECT settlement, sum(amount_tiyn) AS gross, sum(fee_tiyn) AS fees,
        sum(refunded_tiyn) AS refunds FROM settlement_line WHERE deferred_at IS NULL
        GROUP BY settlement
), sources AS (
    SELECT carried_into AS settlement, carried_tiyn AS amount FROM settlement
    UNION ALL SELECT carried_into, amount_tiyn FROM payout
), openings AS (
    SELECT settlement, sum(amount) AS opening FROM sources
    WHERE settlement IS NOT NULL GROUP BY settlement
), debits AS (
    SELECT ref, code, sum(amount) AS amount FROM legs WHERE side = 'D' GROUP BY ref, code
)
SELECT s.id, s.opening_tiyn AS told_opening, s.paid_tiyn AS told_paid, s.status,
    coalesce(o.opening, 0)::bigint AS opening, coalesce(l.gross, 0)::bigint AS gross,
    coalesce(l.fees, 0)::bigint AS fees, coalesce(l.refunds, 0)::bigint AS refunds,
    coalesce(p.amount_tiyn, 0) AS paid, s.carried_tiyn AS carried,
    coalesce(sent.amount, 0)::bigint AS instructed,
    p.status = 'rejected' AND NOT EXISTS (SELECT FROM debits WHERE ref = p.id || ':sent:1')
        AS never_sent,
    coalesce(fee.amount, 0)::bigint AS fee_moved
FROM settlement s LEFT JOIN lines l ON l.settlement = s.id
LEFT JOIN openings o ON o.settlement = s.id LEFT JOIN payout p ON p.settlement = s.id
LEFT JOIN debits sent ON sent.ref = p.id || ':sent:1' AND sent.code = 'l:payout:' || s.merchant
LEFT JOIN debits fee ON fee.ref = s.id || ':fee:1' AND fee.code = 'a:own:operating'
ORDER BY s.id
"""  # noqa: S608 - SQL of this file

# Per batch and chain: the lines' own sums against the burn and its entries, in tiyn and units.
_CHAINS = f"""
WITH {_LEGS}, lines AS (
    SELECT l.settlement, l.chain, sum(amount_tiyn - refunded_tiyn) AS amount,
        sum(l.fee_tiyn) AS fees,
        sum((amount_tiyn - refunded_tiyn) * 10::numeric ^ (p.decimals - 2)) AS units
    FROM settlement_line l JOIN payment p ON p.id = l.payment WHERE l.deferred_at IS NULL
    GROUP BY l.settlement, l.chain
), entries AS (
    SELECT ref, book, side, code, amount, asset, split_part(ref, ':', 1) AS settlement FROM legs
    WHERE split_part(ref, ':', 1) IN (SELECT id FROM settlement)
), sums AS (
    SELECT ref, sum(amount) FILTER (WHERE side = 'C' AND code = 'settling:' || settlement) AS taken,
        sum(amount) FILTER (WHERE side = 'D' AND code = 'settling:' || settlement) AS burned,
        sum(amount) FILTER (WHERE side = 'D' AND book = 'issuer') AS redeemed,
        sum(amount) FILTER (WHERE side = 'C' AND starts_with(code, 'l:payout:')) AS owed,
        sum(amount) FILTER (WHERE code = 'l:vat') AS vat
    FROM entries GROUP BY ref
), deferred AS (
    SELECT settlement, asset, sum(amount) AS amount FROM entries
    WHERE side = 'D' AND split_part(ref, ':', 2) = 'deferred' GROUP BY settlement, asset
), found AS (
    SELECT b.settlement, b.chain, b.units, b.amount_tiyn, b.fee_tiyn, b.vat_tiyn, b.status,
        coalesce(made.taken, 0) - coalesce(d.amount, 0) AS taken,
        coalesce(burn.burned, 0) AS burned, coalesce(burn.redeemed, 0) AS redeemed,
        coalesce(burn.owed, 0) AS owed, coalesce(burn.vat, 0) AS vat
    FROM settlement_burn b LEFT JOIN sums made ON made.ref = b.settlement || ':lines:' || b.chain
    LEFT JOIN sums burn ON burn.ref = b.settlement || ':burn:' || b.chain || ':' || b.attempt
    LEFT JOIN deferred d ON d.settlement = b.settlement AND d.asset = 'KZTE.' || b.chain
)
SELECT coalesce(f.settlement, l.settlement) AS settlement, coalesce(f.chain, l.chain) AS chain,
    CASE
        WHEN f.settlement IS NULL THEN 'lines of ' || l.amount || ' tiyn and no burn'
        WHEN f.amount_tiyn IS DISTINCT FROM l.amount OR f.fee_tiyn IS DISTINCT FROM l.fees
            THEN format('burn of %s with fee %s, lines of %s with fee %s',
                f.amount_tiyn, f.fee_tiyn, l.amount, l.fees)
        WHEN f.units IS DISTINCT FROM l.units
            THEN format('burn of %s units, lines of %s', f.units, l.units)
        WHEN f.taken IS DISTINCT FROM f.units
            THEN format('%s units taken, %s to burn', f.taken, f.units)
        WHEN f.status NOT IN ('sweeping', 'stuck') AND (f.burned, f.redeemed, f.owed, f.vat)
            IS DISTINCT FROM (f.units, f.amount_tiyn, f.amount_tiyn - f.fee_tiyn, f.vat_tiyn)
            THEN format('entry burns %s, redeems %s, owes %s, VAT %s; burn of %s, %s, fee %s, %s',
                f.burned, f.redeemed, f.owed, f.vat, f.units, f.amount_tiyn, f.fee_tiyn, f.vat_tiyn)
    END AS fault
FROM found f FULL JOIN lines l ON l.settlement = f.settlement AND l.chain = f.chain
WHERE f.settlement IS NOT NULL OR l.amount > 0
ORDER BY 1, 2
"""  # noqa: S608 - SQL of this file

# What a batch holds: the units of its burns that are not burned, and of nothing else.
_HELD = f"""
WITH {_LEGS}, held AS (
    SELECT substr(code, length('settling:') + 1) AS settlement,
        substr(asset, length('KZTE.') + 1) AS chain,
        sum(CASE side WHEN 'C' THEN amount ELSE -amount END)::bigint AS units
    FROM legs WHERE starts_with(code, 'settling:') AND state = 'posted' GROUP BY code, asset
)
SELECT h.settlement, h.chain, h.units, coalesce(b.units, 0) AS waiting FROM held h
LEFT JOIN settlement_burn b ON b.settlement = h.settlement AND b.chain = h.chain
    AND b.status <> 'burned'
WHERE h.units <> coalesce(b.units, 0) ORDER BY 1, 2
"""  # noqa: S608 - SQL of this file

# A line against the units that its payment's own entries made the merchant's.
_LINES = f"""
WITH {_LEGS}, captured AS (
    SELECT split_part(ref, ':', 1) AS payment, sum(amount) AS units FROM legs
    WHERE side = 'C' AND starts_with(code, 'merchant:') GROUP BY 1
)
SELECT s.settlement, s.payment, s.amount_tiyn, coalesce(c.units, 0)::bigint AS captured_units,
    p.counted_units, p.decimals, p.settlement AS batch, p.settlement_state
FROM settlement_line s LEFT JOIN payment p ON p.id = s.payment
LEFT JOIN captured c ON c.payment = s.payment WHERE s.deferred_at IS NULL
ORDER BY s.payment
"""  # noqa: S608 - SQL of this file

# The next opening is what nobody instructed: carried, come back, or burned in a batch that
# waits for other burns. What a pending batch opened with is not instructed either.
_UNINSTRUCTED = f"""
WITH {_LEGS}, held AS (
    SELECT substr(code, length('l:payout:') + 1) AS merchant,
        sum(CASE WHEN side = 'D' THEN -amount WHEN state = 'posted' THEN amount ELSE 0 END)
            AS amount
    FROM legs WHERE starts_with(code, 'l:payout:') GROUP BY code
), waiting AS (
    SELECT s.merchant, s.carried_tiyn AS amount FROM settlement s
        LEFT JOIN settlement t ON t.id = s.carried_into
        WHERE s.status = 'settled' AND coalesce(t.status, 'pending') = 'pending'
    UNION ALL SELECT p.merchant, p.amount_tiyn FROM payout p
        LEFT JOIN settlement t ON t.id = p.carried_into
        WHERE p.status IN ('rejected', 'returned') AND coalesce(t.status, 'pending') = 'pending'
    UNION ALL SELECT s.merchant, b.amount_tiyn - b.fee_tiyn FROM settlement_burn b
        JOIN settlement s ON s.id = b.settlement
        WHERE s.status = 'pending' AND b.status = 'burned'
), expected AS (SELECT merchant, sum(amount) AS amount FROM waiting GROUP BY merchant)
SELECT coalesce(h.merchant, e.merchant) AS merchant, coalesce(h.amount, 0)::bigint AS held,
    coalesce(e.amount, 0)::bigint AS expected
FROM held h FULL JOIN expected e ON e.merchant = h.merchant ORDER BY 1
"""  # noqa: S608 - SQL of this file


def _batch_faults(row: Any) -> list[str]:
    owed = row.opening + row.gross - row.fees - row.refunds
    faults = []
    if owed != row.paid + row.carried:
        faults.append(f"settlement {row.id}: {owed} owed, {row.paid} paid + {row.carried} carried")
    if (row.told_opening, row.told_paid) != (row.opening, row.paid):
        faults.append(
            f"settlement {row.id}: opening {row.told_opening} and paid {row.told_paid} are told,"
            f" {row.opening} and {row.paid} found"
        )
    settled = row.status == "settled"
    if settled and not row.never_sent and row.instructed != row.paid:
        faults.append(
            f"settlement {row.id}: paid {row.paid}, the ledger instructed {row.instructed}"
        )
    if settled and row.fee_moved != row.fees:
        faults.append(f"settlement {row.id}: fees {row.fees}, the ledger moves {row.fee_moved}")
    return faults


def _line_faults(row: Any) -> list[str]:
    units = row.amount_tiyn * 10 ** (row.decimals - 2) if row.decimals is not None else None
    where = f"settlement_line {row.settlement} {row.payment}"
    if units != row.captured_units or units != row.counted_units:
        return [
            f"{where}: {units} units, captured {row.captured_units}, counted {row.counted_units}"
        ]
    if row.batch != row.settlement or row.settlement_state not in ("in_batch", "settled"):
        return [f"{where}: the payment is {row.settlement_state} in {row.batch}"]
    return []


async def batches_add_up(db: AsyncSession) -> list[Check]:
    """I7: opening + gross - fees - refunds of all batches = paid + carried, each on its own.

    Compared besides: lines with captures and burns, burns with their entries, payouts and fees
    with what the ledger moves, and what nobody instructed with the merchants' accounts (2040).
    """
    batches = (await db.execute(text(_BATCHES))).all()
    faults = [fault for row in batches for fault in _batch_faults(row)]
    for row in await db.execute(text(_CHAINS)):
        if row.fault is not None:
            faults.append(f"settlement_burn {row.settlement} {row.chain}: {row.fault}")
    for row in await db.execute(text(_HELD)):
        faults.append(
            f"settlement_burn {row.settlement} {row.chain}: {row.units} units held,"
            f" {row.waiting} to burn"
        )
    for row in await db.execute(text(_LINES)):
        faults += _line_faults(row)
    for row in await db.execute(text(_UNINSTRUCTED)):
        if row.held != row.expected:
            faults.append(
                f"merchant {row.merchant}: 2040 holds {row.held}, batches explain {row.expected}"
            )
    left = sum(row.opening + row.gross - row.fees - row.refunds for row in batches)
    right = sum(row.paid + row.carried for row in batches)
    detail = f"opening + gross - fees - refunds = paid + carried, batches: {len(batches)}"
    if faults:
        detail = say(faults)
    return [Check("I7", not faults, left, right, detail)]
