"""I7 of the settlements (DESIGN 5): each batch recomputed from raw rows and ledger legs."""

from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.core.checks import Check, say
from sandbox.core.money import vat_included_tiyn
from sandbox.settlement import sums, vat

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
    SELECT settlement, sum(amount) FILTER (WHERE amount > 0) AS owed_to,
        -sum(amount) FILTER (WHERE amount < 0) AS owed_by
    FROM sources WHERE settlement IS NOT NULL GROUP BY settlement
), burns AS (
    SELECT settlement, sum(amount_tiyn) AS amount, sum(fee_tiyn) AS fees FROM settlement_burn
    GROUP BY settlement
), sent AS (
    SELECT settlement, sum(amount_tiyn) AS amount FROM settlement_transfer GROUP BY settlement
), kept AS (
    SELECT settlement, sum(amount_tiyn) AS amount FROM settlement_reserve GROUP BY settlement
), moved AS (
    SELECT ref, side, code, sum(amount) AS amount FROM legs GROUP BY ref, side, code
)
SELECT s.id, s.opening_tiyn AS told_opening, s.paid_tiyn AS told_paid, s.status, s.created_at,
    coalesce(o.owed_to, 0)::bigint AS owed_to, coalesce(o.owed_by, 0)::bigint AS owed_by,
    coalesce(l.gross, 0)::bigint AS gross,
    coalesce(l.fees, 0)::bigint AS fees, coalesce(l.refunds, 0)::bigint AS refunds,
    coalesce(p.amount_tiyn, 0) AS paid, s.carried_tiyn AS carried,
    coalesce(b.amount, 0)::bigint AS burned, coalesce(b.fees, 0)::bigint AS burned_fees,
    coalesce(t.amount, 0)::bigint AS to_wallet, coalesce(k.amount, 0)::bigint AS reserved,
    coalesce(sent.amount, 0)::bigint AS instructed,
    p.status = 'rejected' AND NOT EXISTS (SELECT FROM moved WHERE ref = p.id || ':sent:1')
        AS never_sent,
    coalesce(fee.amount, 0)::bigint AS fee_moved,
    coalesce(due.amount, 0)::bigint AS due_booked,
    coalesce(vat.amount, 0)::bigint AS due_vat_booked,
    coalesce(taken.amount, 0)::bigint AS collected_booked
FROM settlement s LEFT JOIN lines l ON l.settlement = s.id
LEFT JOIN openings o ON o.settlement = s.id LEFT JOIN payout p ON p.settlement = s.id
LEFT JOIN burns b ON b.settlement = s.id LEFT JOIN sent t ON t.settlement = s.id
LEFT JOIN kept k ON k.settlement = s.id
LEFT JOIN moved sent ON sent.ref = p.id || ':sent:1' AND sent.side = 'D'
    AND sent.code = 'l:payout:' || s.merchant
LEFT JOIN moved fee ON fee.ref = s.id || ':fee:1' AND fee.side = 'D'
    AND fee.code = 'a:own:operating'
LEFT JOIN moved due ON due.ref = s.id || ':due:1' AND due.side = 'D'
    AND due.code = 'a:fees-due:' || s.merchant
LEFT JOIN moved vat ON vat.ref = s.id || ':due:1' AND vat.side = 'C' AND vat.code = 'l:vat'
LEFT JOIN moved taken ON taken.ref = s.id || ':collected:1' AND taken.side = 'D'
    AND taken.code = 'l:payout:' || s.merchant
ORDER BY s.id
"""  # noqa: S608 - SQL of this file

# Per batch and chain: the lines' own sums against burn, transfer and reserve, and these against
# their entries, in tiyn and units.
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
        sum(amount) FILTER (WHERE side = 'D' AND code = 'settling:' || settlement) AS left_it,
        sum(amount) FILTER (WHERE side = 'D' AND book = 'issuer') AS redeemed,
        sum(amount) FILTER (WHERE side = 'C' AND starts_with(code, 'l:payout:')) AS owed,
        sum(amount) FILTER (WHERE code = 'l:vat') AS vat,
        sum(amount) FILTER (WHERE side = 'D' AND starts_with(code, 'external:')) AS sent,
        sum(CASE side WHEN 'C' THEN amount ELSE -amount END)
            FILTER (WHERE starts_with(code, 'refund-reserve:')) AS reserved
    FROM entries GROUP BY ref
), deferred AS (
    SELECT settlement, asset, sum(amount) AS amount FROM entries
    WHERE side = 'D' AND split_part(ref, ':', 2) = 'deferred' GROUP BY settlement, asset
), booked AS (
    SELECT split_part(ref, ':', 1) AS settlement, split_part(ref, ':', 3) AS chain,
        sum(sent) AS sent, sum(reserved) FILTER (WHERE ref LIKE '%:reserve:%') AS reserved
    FROM sums WHERE split_part(ref, ':', 2) IN ('transfer', 'reserve') GROUP BY 1, 2
), every AS (
    SELECT settlement, chain FROM lines UNION SELECT settlement, chain FROM settlement_burn
    UNION SELECT settlement, chain FROM settlement_transfer
    UNION SELECT settlement, chain FROM settlement_reserve
    UNION SELECT settlement, chain FROM booked
), found AS (
    SELECT e.settlement, e.chain, s.status AS batch,
        coalesce(l.amount, 0) AS amount, coalesce(l.fees, 0) AS fees, coalesce(l.units, 0) AS units,
        b.units AS burn_units, coalesce(b.amount_tiyn, 0) AS burned, coalesce(b.fee_tiyn, 0) AS fee,
        b.vat_tiyn, b.status AS burn_status, t.units AS sent_units,
        coalesce(t.amount_tiyn, 0) AS sent, t.status AS sent_status,
        coalesce(k.units, 0) AS kept_units, coalesce(k.amount_tiyn, 0) AS kept,
        greatest(-coalesce(k.amount_tiyn, 0), 0) AS given_back,
        coalesce(made.taken, 0) - coalesce(d.amount, 0) AS taken,
        CASE WHEN coalesce(k.units, 0) < 0 THEN made.reserved ELSE reserve.reserved END
            AS booked_reserve,
        coalesce(burn.left_it, 0) AS burn_left, coalesce(burn.redeemed, 0) AS redeemed,
        coalesce(burn.owed, 0) AS owed, coalesce(burn.vat, 0) AS vat,
        coalesce(sending.left_it, 0) AS sending_left, coalesce(sending.sent, 0) AS sending,
        booked.sent AS booked_sent, booked.reserved AS booked_kept
    FROM every e LEFT JOIN settlement s ON s.id = e.settlement
    LEFT JOIN lines l ON l.settlement = e.settlement AND l.chain = e.chain
    LEFT JOIN settlement_burn b ON b.settlement = e.settlement AND b.chain = e.chain
    LEFT JOIN settlement_transfer t ON t.settlement = e.settlement AND t.chain = e.chain
    LEFT JOIN settlement_reserve k ON k.settlement = e.settlement AND k.chain = e.chain
    LEFT JOIN sums made ON made.ref = e.settlement || ':lines:' || e.chain
    LEFT JOIN sums burn ON burn.ref = e.settlement || ':burn:' || e.chain || ':' || b.attempt
    LEFT JOIN sums sending
        ON sending.ref = e.settlement || ':transfer:' || e.chain || ':' || t.attempt
    LEFT JOIN sums reserve ON reserve.ref = e.settlement || ':reserve:' || e.chain
    LEFT JOIN booked ON booked.settlement = e.settlement AND booked.chain = e.chain
    LEFT JOIN deferred d ON d.settlement = e.settlement AND d.asset = 'KZTE.' || e.chain
)
SELECT settlement || ' ' || chain AS key, CASE
        WHEN sent_units IS NULL AND booked_sent > 0
            THEN format('settlement_transfer is missing, its entry sends %s', booked_sent)
        WHEN kept_units = 0 AND booked_kept > 0
            THEN format('settlement_reserve is missing, its entry keeps %s', booked_kept)
        WHEN burn_units IS NULL AND sent_units IS NULL AND amount > 0
            THEN 'settlement_burn lines of ' || amount || ' tiyn and no burn'
        WHEN burned + sent + kept <> amount OR fee <> least(fees, amount + given_back)
            THEN format('settlement_burn burn of %s with fee %s, %s sent, %s kept; lines of %s with'
                ' fee %s', burned, fee, sent, kept, amount, fees)
        WHEN coalesce(burn_units, 0) + coalesce(sent_units, 0) + kept_units <> units
            THEN format('settlement_burn burn of %s units, %s sent, %s kept; lines of %s',
                burn_units, sent_units, kept_units, units)
        WHEN taken <> coalesce(burn_units, 0) + coalesce(sent_units, 0) + greatest(kept_units, 0)
            THEN format('settlement_burn %s units taken, %s to burn, %s to send, %s to keep', taken,
                burn_units, sent_units, kept_units)
        WHEN kept_units <> 0 AND (kept_units < 0 OR batch = 'settled')
            AND booked_reserve IS DISTINCT FROM kept_units
            THEN format('settlement_reserve %s units, its entry books %s', kept_units,
                booked_reserve)
        WHEN burn_status NOT IN ('sweeping', 'stuck') AND (burn_left, redeemed, owed, vat)
            IS DISTINCT FROM (burn_units, burned, burned - fee, vat_tiyn)
            THEN format('settlement_burn entry burns %s, redeems %s, owes %s, VAT %s; burn of %s,'
                ' %s, fee %s, %s', burn_left, redeemed, owed, vat, burn_units, burned, fee,
                vat_tiyn)
        WHEN sent_status NOT IN ('sweeping', 'stuck') AND (sending_left, sending)
            IS DISTINCT FROM (sent_units, sent_units)
            THEN format('settlement_transfer of %s units, its entry sends %s', sent_units, sending)
    END AS fault
FROM found ORDER BY 1
"""  # noqa: S608 - SQL of this file

# What a batch holds: the units of its burns and transfers that are not gone, and what it keeps for
# the refund reserve until it is settled.
_HELD = f"""
WITH {_LEGS}, held AS (
    SELECT substr(code, length('settling:') + 1) AS settlement,
        substr(asset, length('KZTE.') + 1) AS chain,
        sum(CASE side WHEN 'C' THEN amount ELSE -amount END)::bigint AS units
    FROM legs WHERE starts_with(code, 'settling:') AND state = 'posted' GROUP BY code, asset
)
SELECT h.settlement, h.chain, h.units, w.units AS waiting FROM held h
LEFT JOIN settlement s ON s.id = h.settlement
LEFT JOIN settlement_burn b ON b.settlement = h.settlement AND b.chain = h.chain
    AND b.status <> 'burned'
LEFT JOIN settlement_transfer t ON t.settlement = h.settlement AND t.chain = h.chain
    AND t.status <> 'sent'
LEFT JOIN settlement_reserve k ON k.settlement = h.settlement AND k.chain = h.chain
    AND k.units > 0 AND s.status <> 'settled'
CROSS JOIN LATERAL (
    SELECT coalesce(b.units, 0) + coalesce(t.units, 0) + coalesce(k.units, 0) AS units
) w WHERE h.units <> w.units ORDER BY 1, 2
"""  # noqa: S608 - SQL of this file

# The refund reserves: what batches kept and gave back, less what refunds took.
_RESERVES = f"""
WITH {_LEGS}, held AS (
    SELECT substr(code, length('refund-reserve:') + 1) AS merchant,
        substr(asset, length('KZTE.') + 1) AS chain,
        sum(CASE side WHEN 'C' THEN amount ELSE -amount END)::bigint AS units
    FROM legs WHERE starts_with(code, 'refund-reserve:') AND state = 'posted' GROUP BY code, asset
), told AS (
    SELECT merchant, chain, sum(units)::bigint AS units FROM (
        SELECT s.merchant, k.chain, k.units FROM settlement_reserve k
        JOIN settlement s ON s.id = k.settlement WHERE k.units < 0 OR s.status = 'settled'
        UNION ALL SELECT merchant, chain, -amount_units FROM refund
        WHERE source = 'reserve' AND status = 'completed'
    ) parts GROUP BY merchant, chain
)
SELECT coalesce(h.merchant, t.merchant) AS merchant, coalesce(h.chain, t.chain) AS chain,
    coalesce(h.units, 0) AS held, coalesce(t.units, 0) AS told
FROM held h FULL JOIN told t ON t.merchant = h.merchant AND t.chain = h.chain
WHERE coalesce(h.units, 0) <> coalesce(t.units, 0) ORDER BY 1, 2
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
# waits for other burns. What a pending batch opened with is not instructed either. Below zero it
# is fees that are owed (1220).
_UNINSTRUCTED = f"""
WITH {_LEGS}, held AS (
    SELECT substr(code, length('l:payout:') + 1) AS merchant,
        sum(CASE WHEN side = 'D' THEN -amount WHEN state = 'posted' THEN amount ELSE 0 END)
            AS amount
    FROM legs WHERE starts_with(code, 'l:payout:') GROUP BY code
), due AS (
    SELECT substr(code, length('a:fees-due:') + 1) AS merchant,
        sum(CASE WHEN side = 'D' THEN amount ELSE -amount END) AS amount
    FROM legs WHERE starts_with(code, 'a:fees-due:') GROUP BY code
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
), expected AS (
    SELECT merchant, sum(amount) FILTER (WHERE amount > 0) AS owed_to,
        -sum(amount) FILTER (WHERE amount < 0) AS owed_by
    FROM waiting GROUP BY merchant
)
SELECT m.id AS merchant, coalesce(h.amount, 0)::bigint AS held,
    coalesce(e.owed_to, 0)::bigint AS owed_to, coalesce(d.amount, 0)::bigint AS due,
    coalesce(e.owed_by, 0)::bigint AS owed_by
FROM (SELECT merchant AS id FROM held UNION SELECT merchant FROM due
    UNION SELECT merchant FROM expected) m
LEFT JOIN held h ON h.merchant = m.id LEFT JOIN due d ON d.merchant = m.id
LEFT JOIN expected e ON e.merchant = m.id ORDER BY 1
"""  # noqa: S608 - SQL of this file


def _batch_faults(row: Any) -> list[str]:
    where = f"settlement {row.id}"
    opening = row.owed_to - row.owed_by
    left = opening + row.gross - row.fees - row.refunds
    gone = row.paid + row.to_wallet + row.reserved
    faults = []
    if left != gone + row.carried:
        faults.append(
            f"{where}: {left} owed, {row.paid} paid + {row.to_wallet} to wallets + {row.reserved}"
            f" reserved + {row.carried} carried"
        )
    if (row.told_opening, row.told_paid) != (opening, row.paid):
        faults.append(
            f"{where}: opening {row.told_opening} and paid {row.told_paid} are told,"
            f" {opening} and {row.paid} found"
        )
    if row.burned_fees > row.fees:
        return [*faults, f"{where}: burns with fees of {row.burned_fees}, fees of {row.fees}"]
    if row.status != "settled":
        return faults
    if not row.never_sent and row.instructed != row.paid:
        faults.append(f"{where}: paid {row.paid}, the ledger instructed {row.instructed}")
    tenge = row.owed_to + row.burned - row.burned_fees
    owed = sums.Owed(row.owed_by, row.fees - row.burned_fees, tenge)
    fee = row.burned_fees + owed.collected
    if row.fee_moved != fee:
        faults.append(f"{where}: fees {fee}, the ledger moves {row.fee_moved}")
    rate = vat.rate_on(calendar.local_date(row.created_at))
    debt = (owed.added, vat_included_tiyn(owed.added, rate.percent), owed.collected)
    booked = (row.due_booked, row.due_vat_booked, row.collected_booked)
    if debt != booked:
        faults.append(
            f"{where}: unpaid fees, their VAT and what was collected are {debt}, the ledger has"
            f" {booked}"
        )
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
    """I7: opening + gross - fees - refunds of all batches = paid + to wallets + reserved + carried,
    each on its own.

    Compared besides: lines with captures, burns, transfers and reserves, these with their entries,
    payouts and fees with what the ledger moves, what nobody instructed and what merchants owe with
    their accounts (2040, 1220), and the refund reserves with what batches and refunds made them.
    """
    batches = (await db.execute(text(_BATCHES))).all()
    faults = [fault for row in batches for fault in _batch_faults(row)]
    for row in await db.execute(text(_CHAINS)):
        if row.fault is not None:
            table, fault = row.fault.split(" ", 1)
            faults.append(f"{table} {row.key}: {fault}")
    for row in await db.execute(text(_HELD)):
        faults.append(
            f"settlement_burn {row.settlement} {row.chain}: {row.units} units held,"
            f" {row.waiting} to burn"
        )
    for row in await db.execute(text(_LINES)):
        faults += _line_faults(row)
    for row in await db.execute(text(_UNINSTRUCTED)):
        for account, held, expected in (
            ("2040", row.held, row.owed_to),
            ("1220", row.due, row.owed_by),
        ):
            if held != expected:
                faults.append(
                    f"merchant {row.merchant}: {account} holds {held}, batches explain {expected}"
                )
    for row in await db.execute(text(_RESERVES)):
        faults.append(
            f"merchant {row.merchant}: the refund reserve on {row.chain} holds {row.held} units,"
            f" settlement_reserve and refunds explain {row.told}"
        )
    left = sum(row.owed_to - row.owed_by + row.gross - row.fees - row.refunds for row in batches)
    right = sum(row.paid + row.to_wallet + row.reserved + row.carried for row in batches)
    detail = (
        "opening + gross - fees - refunds = paid + to wallets + reserved + carried, batches:"
        f" {len(batches)}"
    )
    if faults:
        detail = say(faults)
    return [Check("I7", not faults, left, right, detail)]
