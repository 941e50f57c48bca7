"""I5, I7 and I8 row by row: payments, strays, refunds and sweeps against chain, books and log.

Each check is one statement, so it may run while others write.
"""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.checks import Check, no_faults
from sandbox.eventlog.told import Told, as_told, moment

# The pending entry of an inclusion names it: `<payment or stray>:<n>` (CONTRACT 5).
_ARRIVED = """
WITH arrived AS (
    SELECT 'payment' AS kind, id, session AS owner, chain, transfer_id, tx, ordinal, from_address,
        amount_units, inclusion, height, chain_state, block_time, place FROM payment
    UNION ALL SELECT 'stray_transfer', id, id, chain, transfer_id, tx, ordinal, from_address,
        amount_units, inclusion, height, chain_state, NULL, NULL FROM stray_transfer
    WHERE payment IS NULL AND token IS NULL
), booked AS (
    SELECT e.id, e.ref, r.outcome, r.height,
        max(l.amount) FILTER (WHERE starts_with(a.code, 'external:')) AS units,
        max(a.code) FILTER (WHERE starts_with(a.code, 'suspense:')) AS suspense,
        max(a.code) FILTER (WHERE l.side = 'D' AND a.book = 'token') AS place
    FROM entry e JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
    LEFT JOIN resolution r ON r.entry_id = e.id
    WHERE e.reason IN ('payment received', 'stray transfer received')
    GROUP BY e.id, r.entry_id
)
SELECT p.kind || ' ' || p.id AS name, CASE
    WHEN t.id IS NULL THEN format('chain_transfer %s is missing', p.transfer_id)
    WHEN (p.chain, p.tx, p.ordinal, p.from_address, p.amount_units)
        IS DISTINCT FROM (t.chain, t.tx, t.ordinal, t.source, t.amount_units)
        THEN format('%s units in %s %s by %s, chain_transfer %s says %s in %s %s by %s',
            p.amount_units, p.tx, p.ordinal, p.from_address, t.id, t.amount_units, t.tx, t.ordinal,
            t.source)
    WHEN n.n IS NULL THEN format('chain_inclusion %s %s is missing', t.id, p.inclusion)
    WHEN (p.height, p.chain_state, coalesce(p.block_time, n.block_time))
        IS DISTINCT FROM (n.height, n.state, n.block_time)
        THEN format('%s at %s, chain_inclusion %s %s is %s at %s', p.chain_state, p.height, t.id,
            n.n, n.state, n.height)
    WHEN b.id IS NULL THEN format('no entry %s:%s', p.id, p.inclusion)
    WHEN b.units IS DISTINCT FROM p.amount_units
        THEN format('%s units, entry %s books %s', p.amount_units, b.id, b.units)
    WHEN b.suspense IS DISTINCT FROM 'suspense:' || p.owner
        THEN format('belongs to %s, entry %s books it for %s', p.owner, b.id, b.suspense)
    WHEN p.kind = 'payment' AND (p.place = 'unswept') IS DISTINCT FROM starts_with(b.place, 'dep:')
        THEN format('lies in %s, entry %s books it in %s', p.place, b.id, b.place)
    WHEN coalesce(b.outcome, 'pending') <> CASE p.chain_state WHEN 'confirmed' THEN 'pending'
        WHEN 'final' THEN 'posted' ELSE 'voided' END
        THEN format('is %s, resolution %s is %s', p.chain_state, b.id,
            coalesce(b.outcome, 'missing'))
    WHEN b.height <> p.height OR b.outcome = 'posted' AND b.height IS NULL
        THEN format('stands at %s, resolution %s at %s', p.height, b.id, b.height)
END AS fault
FROM arrived p LEFT JOIN chain_transfer t ON t.id = p.transfer_id
LEFT JOIN chain_inclusion n ON n.transfer_id = t.id AND n.n = p.inclusion
LEFT JOIN booked b ON b.ref = p.id || ':' || p.inclusion
"""

# What was captured stands in entries whose reference begins with the payment, or its stray.
_CAPTURED = """
WITH captures AS (
    SELECT e.id, split_part(e.ref, ':', 1) AS of, l.amount, a.code
    FROM entry e JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
    WHERE e.reason = 'payment captured' AND l.side = 'C'
), taken AS (
    SELECT coalesce(s.payment, c.of) AS payment, sum(c.amount) AS units, min(c.id) AS first,
        min(c.code) AS code, max(c.code) AS other FROM captures c
    LEFT JOIN stray_transfer s ON s.id = c.of GROUP BY 1
)
SELECT 'payment ' || coalesce(p.id, t.payment) AS name, CASE
    WHEN p.id IS NULL THEN 'is missing, entry ' || t.first || ' captured it'
    WHEN p.session IS NULL OR s.id IS NULL THEN 'its session is missing'
    WHEN p.merchant IS DISTINCT FROM s.merchant
        THEN 'is of another merchant than checkout_session ' || s.id
    WHEN p.capture_entry IS NOT NULL AND t.payment IS NULL
        THEN 'entry ' || p.capture_entry || ' is missing'
    WHEN t.payment IS NOT NULL AND p.capture_entry IS NULL
        THEN 'entry ' || t.first || ' captured it, the payment does not say so'
    WHEN t.payment IS NOT NULL AND t.units IS DISTINCT FROM p.counted_units
        THEN format('counts for %s units, captured %s by entry %s', p.counted_units, t.units,
            t.first)
    WHEN p.captured_at IS NULL AND t.payment IS NOT NULL
        THEN 'entry ' || t.first || ' captured it, at no moment of its own'
    WHEN t.code <> t.other OR t.code <> 'merchant:' || p.merchant
        THEN format('is of %s, entry %s gives it to %s', p.merchant, t.first, t.code)
    WHEN t.payment IS NOT NULL AND p.fee_tiyn IS DISTINCT FROM least(k.paid, greatest(
        div(k.tiyn * p.fee_bps, 10000) + coalesce(p.fee_fixed_tiyn, 0),
        coalesce(p.fee_minimum_tiyn, 0)))
        THEN format('fee of %s tiyn is not %s bps + %s, at least %s, of %s units less %s',
            p.fee_tiyn, p.fee_bps, coalesce(p.fee_fixed_tiyn, 0), coalesce(p.fee_minimum_tiyn, 0),
            p.counted_units, p.refunded_units)
    WHEN p.fee_plan IS NOT NULL AND (f.fee_bps, f.fixed_tiyn, f.minimum_tiyn)
        IS DISTINCT FROM (p.fee_bps, p.fee_fixed_tiyn, p.fee_minimum_tiyn)
        THEN format('its fee is not that of fee_plan %s %s', p.merchant, p.fee_plan)
    WHEN p.fee_plan IS NOT NULL AND (f.in_force_at IS NULL
        OR p.fee_plan > 1 AND f.in_force_at > p.captured_at
        OR EXISTS (SELECT FROM fee_plan g WHERE g.merchant = p.merchant
            AND g.version > p.fee_plan AND g.in_force_at <= p.captured_at))
        THEN format('fee_plan %s %s was not in force when it was captured', p.merchant,
            p.fee_plan)
    WHEN p.settlement_state = 'none' AND t.payment IS NOT NULL
        OR p.settlement_state <> 'none' AND t.payment IS NULL
        THEN 'is ' || p.settlement_state || ' for settlement'
END AS fault
FROM payment p FULL JOIN taken t ON t.payment = p.id
LEFT JOIN checkout_session s ON s.id = p.session
LEFT JOIN fee_plan f ON f.merchant = p.merchant AND f.version = p.fee_plan
LEFT JOIN (
    SELECT payment, sum(amount_units) AS units FROM refund
    WHERE source = 'reserve' AND status = 'completed' GROUP BY payment
) v ON v.payment = p.id
LEFT JOIN LATERAL (
    -- What the refund reserve paid back after settlement leaves the fee as it is.
    SELECT div(p.counted_units - p.refunded_units + coalesce(v.units, 0),
            10::numeric ^ (p.decimals - 2)) AS tiyn,
        div(p.counted_units, 10::numeric ^ (p.decimals - 2)) AS paid
) k ON true
"""

_REFUNDED = """
SELECT 'refund ' || f.id AS name, CASE
    WHEN e.id IS NULL THEN 'no entry ' || f.id
    WHEN e.units IS DISTINCT FROM f.amount_units
        THEN format('%s units, entry %s books %s', f.amount_units, e.id, e.units)
    WHEN f.source IS NOT NULL AND e.claim IS DISTINCT FROM
        CASE f.source WHEN 'reserve' THEN 'refund-reserve:' ELSE 'merchant:' END || f.merchant
        THEN format('is paid from %s, entry %s takes it from %s', f.source, e.id, e.claim)
    WHEN coalesce(r.outcome, 'pending') <> CASE f.status WHEN 'pending' THEN 'pending'
        WHEN 'completed' THEN 'posted' ELSE 'voided' END
        THEN format('is %s, resolution %s is %s', f.status, e.id, coalesce(r.outcome, 'missing'))
    WHEN i.id IS NULL THEN 'chain_intent ' || f.id || ' is missing'
    WHEN (i.command ->> 'amount_units')::numeric IS DISTINCT FROM f.amount_units
        OR i.command ->> 'recipient' IS DISTINCT FROM f.recipient
        THEN format('%s units to %s, its chain_intent asked for %s to %s', f.amount_units,
            f.recipient, i.command ->> 'amount_units', i.command ->> 'recipient')
END AS fault
FROM refund f LEFT JOIN (
    SELECT e.id, e.ref, max(l.amount) AS units,
        max(a.code) FILTER (WHERE a.book = 'claims' AND l.side = 'D') AS claim
    FROM entry e JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
    WHERE e.reason = 'refund' GROUP BY e.id
) e ON e.ref = f.id LEFT JOIN resolution r ON r.entry_id = e.id
LEFT JOIN chain_intent i ON i.id = f.id
"""

# A sweep moves whole balances; what of it payments explain is booked.
_SWEPT = """
SELECT 'sweep ' || s.id AS name, CASE
    WHEN s.moved_units IS DISTINCT FROM coalesce(m.units, 0)
        THEN format('moved %s, its sweep_session rows %s', s.moved_units, coalesce(m.units, 0))
    WHEN s.merchant IS NOT NULL AND s.moved_units IS DISTINCT FROM coalesce(t.units, 0)
        THEN format('moved %s, its chain_transfer rows %s', s.moved_units, coalesce(t.units, 0))
    WHEN coalesce(e.units, 0) <> coalesce(p.units, 0)
        THEN format('entry %s books %s units, its payments brought %s', coalesce(e.id, 'none'),
            coalesce(e.units, 0), coalesce(p.units, 0))
END AS fault
FROM sweep s
LEFT JOIN (SELECT sweep, sum(moved_units) AS units FROM sweep_session GROUP BY sweep) m
    ON m.sweep = s.id
LEFT JOIN (SELECT sweep, sum(amount_units) AS units FROM payment GROUP BY sweep) p
    ON p.sweep = s.id
LEFT JOIN (
    SELECT split_part(t.intent, ':', 1) AS sweep, sum(t.amount_units) AS units
    FROM chain_transfer t JOIN chain_intent i ON i.id = t.intent AND i.tx = t.tx
    WHERE i.kind = 'sweep' GROUP BY 1
) t ON t.sweep = s.id
LEFT JOIN (
    SELECT split_part(e.ref, ':', 1) AS sweep, min(e.id) AS id, sum(l.amount) AS units
    FROM entry e JOIN leg l ON l.entry_id = e.id JOIN resolution r ON r.entry_id = e.id
    WHERE e.reason = 'sweep' AND l.side = 'D' AND r.outcome = 'posted' GROUP BY 1
) e ON e.sweep = s.id
WHERE s.status <> 'pending'
UNION ALL
SELECT 'sweep ' || s.id, CASE
    WHEN (s.entry IS NULL) <> (s.planned_units = 0)
        THEN format('plans %s units with entry %s', s.planned_units, coalesce(s.entry, 'none'))
    WHEN split_part(s.entry, ':', 1) <> s.id OR s.entry IS NOT NULL AND e.id IS NULL
        THEN format('entry %s is not of it, or missing', s.entry)
    WHEN e.units <> s.planned_units
        THEN format('plans %s units, entry %s books %s', s.planned_units, e.id, e.units)
    WHEN (s.ended_at IS NULL) <> (s.status = 'pending')
        THEN format('is %s, ended at %s', s.status, coalesce(s.ended_at::text, 'no moment'))
END
FROM sweep s LEFT JOIN (
    SELECT e.id, e.ref, sum(l.amount) AS units FROM entry e JOIN leg l ON l.entry_id = e.id
    WHERE e.reason = 'sweep' AND l.side = 'D' GROUP BY e.id
) e ON e.ref = s.entry
"""

_SESSIONS = Told(
    "checkout_session",
    ("checkout.session.%",),
    {
        "merchant": "r.merchant",
        "status": "r.status",
        "amount_tiyn": "r.amount_tiyn",
        "currency": "r.currency",
        "created_at": moment("created_at"),
    },
)
_PAYMENTS = Told(
    "payment",
    ("payment.%",),
    {
        "session": "r.session",
        "merchant": "r.merchant",
        "chain": "r.chain",
        "method": "r.method",
        "tx": "r.tx",
        "ordinal": "r.ordinal",
        "from_address": "r.from_address",
        "amount_units": "r.amount_units",
        "chain_state": "r.chain_state",
        "height": "r.height",
        "inclusion": "r.inclusion",
        "fee_plan": "r.fee_plan",
        "fee_bps": "r.fee_bps",
        "fee_fixed_tiyn": "r.fee_fixed_tiyn",
        "fee_minimum_tiyn": "r.fee_minimum_tiyn",
        "capture_entry": "r.capture_entry",
        "final_at": moment("final_at"),
        "created_at": moment("created_at"),
        # Till captured it may count for more or less, as others come and go.
        "counted_units": "CASE WHEN r.capture_entry IS NULL THEN o.counted_units"
        " ELSE r.counted_units::text END",
    },
)
_STRAYS = Told(
    "stray_transfer",
    ("stray.%",),
    {
        "chain": "r.chain",
        "tx": "r.tx",
        "ordinal": "r.ordinal",
        "session": "r.session",
        "payment": "r.payment",
        "merchant": "r.merchant",
        "token": "r.token",
        "status": "r.status",
        "resolution": "r.resolution",
        "amount_units": "coalesce(r.foreign_amount, r.amount_units::text)",
        "created_at": moment("created_at"),
    },
    fields=("id", "proposal"),
    which="o.proposal <> 'holder_burn'",
)
_REFUNDS = Told(
    "refund",
    ("refund.%",),
    {
        "payment": "r.payment",
        "stray_transfer": "r.stray",
        "merchant": "r.merchant",
        "chain": "r.chain",
        "amount_units": "r.amount_units",
        "recipient": "r.recipient",
        # Told since there are refund reserves.
        "source": "CASE WHEN o.source IS NULL AND r.source = 'claims' THEN NULL ELSE r.source END",
        "status": "r.status",
        "failure": "r.failure",
        "tx": "r.tx",
        "created_at": moment("created_at"),
        "completed_at": moment("completed_at"),
    },
)
_SWEEPS = Told(
    "sweep",
    ("sweep.%",),
    {
        "chain": "r.chain",
        "merchant": "r.merchant",
        "settlement": "r.settlement",
        "status": "r.status",
        "attempt": "r.attempt",
        "planned_units": "r.planned_units",
        "moved_units": "r.moved_units",
        "tx": "r.tx",
        "reason": "r.reason",
    },
    rows="r.status <> 'pending'",
)
_TOLD = as_told(_SESSIONS, _PAYMENTS, _STRAYS, _REFUNDS, _SWEEPS)


async def arrivals_match(db: AsyncSession) -> list[Check]:
    """I5: payments, strays, refunds and sweeps against what the chain showed and the books say."""
    statement = f"({_ARRIVED}) UNION ALL ({_REFUNDED}) UNION ALL ({_SWEPT})"
    sound = "payments, strays, refunds, sweeps = transfers on chain = entries, row by row"
    return await no_faults(db, "I5", sound, statement)


async def captures_match(db: AsyncSession) -> list[Check]:
    """I7, per payment: what counts is what was captured, for its merchant, with its fee."""
    sound = "payments count for what was captured, with the fee of their plan"
    return await no_faults(db, "I7", sound, _CAPTURED)


async def checkout_as_told(db: AsyncSession) -> list[Check]:
    """I8: sessions, payments, strays, refunds and sweeps as the log last told them."""
    sound = "sessions, payments, strays, refunds and sweeps are as the log tells"
    return await no_faults(db, "I8", sound, _TOLD)
