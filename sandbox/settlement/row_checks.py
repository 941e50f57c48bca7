"""I6, I7 and I8 row by row: lines, burns and payouts against payments, rates, orders and log."""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank.models import Kind
from sandbox.core.checks import Check, no_faults
from sandbox.eventlog.told import Told, as_told, moment
from sandbox.settlement.objects import LINES_IN_AN_EVENT

_RATES = """
SELECT format('settlement_line %s %s', l.settlement, l.payment) AS name, CASE
    WHEN p.id IS NULL THEN 'its payment is missing'
    WHEN l.fee_tiyn IS DISTINCT FROM p.fee_tiyn
        THEN format('fee of %s tiyn, the payment has %s', l.fee_tiyn, p.fee_tiyn)
    WHEN l.refunded_tiyn * 10::numeric ^ (p.decimals - 2) IS DISTINCT FROM
        p.refunded_units - coalesce(v.units, 0)
        THEN format('%s tiyn refunded, the payment has %s units, %s of them from the reserve',
            l.refunded_tiyn, p.refunded_units, coalesce(v.units, 0))
    WHEN (l.chain, l.tx, l.entry) IS DISTINCT FROM (p.chain, p.tx, p.capture_entry)
        THEN 'chain, transaction or entry are not the payment''s'
    WHEN s.merchant IS DISTINCT FROM p.merchant THEN 'is of another merchant than the payment'
END AS fault
FROM settlement_line l JOIN settlement s ON s.id = l.settlement
LEFT JOIN payment p ON p.id = l.payment
LEFT JOIN (
    SELECT payment, sum(amount_units) AS units FROM refund
    WHERE source = 'reserve' AND status = 'completed' GROUP BY payment
) v ON v.payment = l.payment
WHERE l.deferred_at IS NULL
UNION ALL
SELECT 'payment ' || p.id, CASE
    WHEN l.payment IS NULL THEN format('is %s in %s, which has no line of it', p.settlement_state,
        p.settlement)
    WHEN (p.settlement_state = 'settled') IS DISTINCT FROM (s.status = 'settled')
        THEN format('is %s, settlement %s is %s', p.settlement_state, s.id, s.status)
END
FROM payment p LEFT JOIN settlement s ON s.id = p.settlement
LEFT JOIN settlement_line l ON l.payment = p.id AND l.settlement = s.id AND l.deferred_at IS NULL
WHERE p.settlement_state IN ('in_batch', 'settled')
UNION ALL
SELECT format('settlement_burn %s %s', b.settlement, b.chain), CASE
    WHEN b.vat_tiyn IS DISTINCT FROM
        div(2 * b.fee_tiyn * b.vat_percent::numeric + 100 + b.vat_percent,
        2 * (100 + b.vat_percent))
        THEN format('VAT of %s tiyn is not that of %s percent in %s', b.vat_tiyn, b.vat_percent,
            b.fee_tiyn)
    WHEN (b.burned_at IS NULL) <> (b.status <> 'burned')
        THEN format('is %s, burned at %s', b.status, coalesce(b.burned_at::text, 'no moment'))
END
FROM settlement_burn b
UNION ALL
SELECT format('settlement_transfer %s %s', t.settlement, t.chain), CASE
    WHEN (t.sent_at IS NULL) <> (t.status <> 'sent')
        THEN format('is %s, sent at %s', t.status, coalesce(t.sent_at::text, 'no moment'))
    WHEN s.mode = 'payout' THEN 'its batch pays everything in tenge'
    WHEN t.status <> 'sweeping' AND i.id IS NULL AND t.status <> 'stuck'
        THEN 'no chain_intent sends it'
    WHEN i.id IS NOT NULL AND ((i.command ->> 'amount_units')::numeric <> t.units
        OR i.command ->> 'recipient' <> t.recipient)
        THEN format('%s units to %s, its chain_intent sends %s to %s', t.units, t.recipient,
            i.command ->> 'amount_units', i.command ->> 'recipient')
    WHEN t.status = 'sent' AND i.tx IS DISTINCT FROM t.tx
        THEN format('was sent by %s, its chain_intent by %s', t.tx, i.tx)
END
FROM settlement_transfer t LEFT JOIN settlement s ON s.id = t.settlement
LEFT JOIN chain_intent i
    ON i.id = t.settlement || ':transfer:' || t.chain || ':' || t.attempt
UNION ALL
SELECT 'settlement ' || s.id, CASE WHEN (s.settled_at IS NULL) <> (s.status <> 'settled')
    THEN format('is %s, settled at %s', s.status, coalesce(s.settled_at::text, 'no moment')) END
FROM settlement s
"""

_ORDERED = """
SELECT 'payout ' || p.id AS name, CASE
    WHEN (p.ended_at IS NULL) <> (p.status IN ('pending', 'sent'))
        THEN format('is %s, ended at %s', p.status, coalesce(p.ended_at::text, 'no moment'))
    WHEN p.instructed_at IS NULL AND m.id IS NOT NULL
        THEN format('says nobody instructed it, bank_message %s orders it', m.id)
    WHEN p.instructed_at IS NULL THEN NULL
    WHEN m.id IS NULL THEN 'no bank_message orders it'
    WHEN (p.amount_tiyn, p.iban, p.payee, p.knp, p.kbe, p.value_date::text)
        IS DISTINCT FROM ((m.body ->> 'amount_tiyn')::bigint, m.body ->> 'creditor_iban',
            m.body ->> 'creditor_name', m.body ->> 'knp', m.body ->> 'kbe',
            m.body ->> 'value_date')
        THEN format('%s tiyn to %s, bank_message %s orders %s to %s', p.amount_tiyn, p.iban, m.id,
            m.body ->> 'amount_tiyn', m.body ->> 'creditor_iban')
END AS fault
FROM payout p LEFT JOIN bank_message m ON m.direction = 'out' AND m.kind = :order
    AND m.end_to_end_id = p.id
UNION ALL
SELECT 'bank_message ' || m.id, CASE
    WHEN b.fees IS NULL AND c.amount IS NULL THEN 'orders a fee of no settlement'
    WHEN coalesce(b.fees, 0) + coalesce(c.amount, 0) <> (m.body ->> 'amount_tiyn')::bigint
        THEN format('orders %s tiyn, the burns'' fees come to %s, collected were %s',
            m.body ->> 'amount_tiyn', coalesce(b.fees, 0), coalesce(c.amount, 0))
END
FROM bank_message m LEFT JOIN (
    SELECT settlement, sum(fee_tiyn) AS fees FROM settlement_burn GROUP BY settlement
) b ON b.settlement = split_part(m.end_to_end_id, ':', 1)
LEFT JOIN (
    SELECT e.cause AS settlement, l.amount FROM entry e JOIN leg l ON l.entry_id = e.id
    WHERE e.reason = 'settlement_fee_collected' AND l.side = 'D'
) c ON c.settlement = split_part(m.end_to_end_id, ':', 1)
WHERE m.direction = 'out' AND m.kind = :order AND starts_with(m.end_to_end_id, 'stl_')
UNION ALL
SELECT 'settlement ' || s.id, CASE
    WHEN e.id IS NULL AND s.fee_status <> 'none'
        THEN format('its fee is %s, no entry orders it', s.fee_status)
    WHEN e.id IS NOT NULL AND (s.fee_status = 'paid', s.fee_status = 'none')
        IS DISTINCT FROM (r.outcome IS NOT DISTINCT FROM 'posted', false)
        THEN format('its fee is %s, entry %s is %s', s.fee_status, e.id,
            coalesce(r.outcome, 'pending'))
END
FROM settlement s LEFT JOIN entry e ON e.ref = s.id || ':fee:1'
LEFT JOIN resolution r ON r.entry_id = e.id
"""

_SETTLEMENTS = Told(
    "settlement",
    ("settlement.%",),
    {
        "merchant": "r.merchant",
        "status": "r.status",
        "hold": "r.hold",
        # Told since there is more than one mode.
        "mode": "CASE WHEN o.mode IS NULL AND r.mode = 'payout' THEN NULL ELSE r.mode END",
        "split_bps": "r.split_bps",
        "cut_off": "r.cut_off",
        "value_date": "r.value_date",
        "opening_tiyn": "r.opening_tiyn",
        "paid_tiyn": "r.paid_tiyn",
        "carried_tiyn": "r.carried_tiyn",
        "created_at": moment("created_at"),
    },
    objects="SELECT json_build_object('id', d -> 'id', 'merchant', d -> 'merchant',"
    " 'status', d -> 'status', 'hold', d -> 'hold', 'mode', d -> 'mode',"
    " 'split_bps', d -> 'split_bps', 'cut_off', d -> 'cut_off',"
    " 'value_date', d -> 'value_date',"
    " 'opening_tiyn', d -> 'check' -> 'opening_tiyn', 'paid_tiyn', d -> 'check' -> 'paid_tiyn',"
    " 'carried_tiyn', d -> 'check' -> 'carried_tiyn', 'created_at', d -> 'created_at') AS object",
)
# The events of a long batch tell its first lines only.
_LINES = Told(
    "settlement_line",
    ("settlement.%",),
    {
        "chain": "r.chain",
        "tx": "r.tx",
        "amount_tiyn": "r.amount_tiyn",
        "refunded_tiyn": "r.refunded_tiyn",
        "fee_tiyn": "r.fee_tiyn",
        "entry": "r.entry",
        "deferred": "r.deferred_at IS NOT NULL",
        "reason": "r.reason",
    },
    key="r.settlement || ' ' || r.payment",
    told_key="found.parent || ' ' || o.payment",
    fields=("payment",),
    objects="SELECT d ->> 'id' AS parent, line AS object FROM json_array_elements(d -> 'lines')"
    " AS line",
    rows="r.settlement NOT IN (SELECT settlement FROM settlement_line"  # noqa: S608 - SQL of our own, no input
    f" GROUP BY settlement HAVING count(*) > {LINES_IN_AN_EVENT})",
)
_BURNS = Told(
    "settlement_burn",
    ("settlement.%",),
    {
        "units": "r.units",
        "amount_tiyn": "r.amount_tiyn",
        "fee_tiyn": "r.fee_tiyn",
        "vat_tiyn": "r.vat_tiyn",
        "vat_percent": "r.vat_percent",
        "vat_version": "r.vat_version",
        "tx": "r.tx",
    },
    key="r.settlement || ' ' || r.chain",
    told_key="found.parent || ' ' || o.chain",
    fields=("chain",),
    objects="SELECT d ->> 'id' AS parent, burn AS object FROM json_array_elements(d -> 'burns')"
    " AS burn",
    # When all of its lines are deferred.
    may_go=True,
)
_TRANSFERS = Told(
    "settlement_transfer",
    ("settlement.%",),
    {
        "recipient": "r.recipient",
        "units": "r.units",
        "amount_tiyn": "r.amount_tiyn",
        "tx": "r.tx",
    },
    key="r.settlement || ' ' || r.chain",
    told_key="found.parent || ' ' || o.chain",
    fields=("chain",),
    objects="SELECT d ->> 'id' AS parent, sent AS object"
    " FROM json_array_elements(coalesce(d -> 'transfers', '[]')) AS sent",
    may_go=True,
)
_RESERVES = Told(
    "settlement_reserve",
    ("settlement.%",),
    {
        "units": "r.units",
        "amount_tiyn": "r.amount_tiyn",
        "target_tiyn": "r.target_tiyn",
    },
    key="r.settlement || ' ' || r.chain",
    told_key="found.parent || ' ' || o.chain",
    fields=("chain",),
    objects="SELECT d ->> 'id' AS parent, kept AS object"
    " FROM json_array_elements(coalesce(d -> 'reserve', '[]')) AS kept",
    may_go=True,
)
_PAYOUTS = Told(
    "payout",
    ("payout.%", "settlement.%"),
    {
        "settlement": "r.settlement",
        "merchant": "r.merchant",
        "status": "r.status",
        "reason": "r.reason",
        "amount_tiyn": "r.amount_tiyn",
        "knp": "r.knp",
        "kbe": "r.kbe",
        "value_date": "r.value_date",
        "created_at": moment("created_at"),
    },
    private={"iban": ("iban", "payout.iban")},
    objects="SELECT CASE WHEN d ->> 'object' = 'payout' THEN d"
    " WHEN json_typeof(d -> 'payout') = 'object' THEN d -> 'payout' END AS object",
)
_TOLD = as_told(_SETTLEMENTS, _LINES, _BURNS, _TRANSFERS, _RESERVES, _PAYOUTS)


async def lines_match(db: AsyncSession) -> list[Check]:
    """I7: lines and their fees against payments, payments against lines, VAT against its rate."""
    return await no_faults(db, "I7", "lines = payments in batches, VAT = its rate", _RATES)


async def orders_match(db: AsyncSession) -> list[Check]:
    """I6: payouts and fees against what the bank was ordered to pay."""
    values = {"order": Kind.credit_transfer}
    return await no_faults(db, "I6", "payouts and fees = orders to the bank", _ORDERED, values)


async def settlements_as_told(db: AsyncSession) -> list[Check]:
    """I8: batches, their lines and parts, and payouts as the log last told them."""
    sound = "batches, lines, burns, transfers, reserves and payouts are as the log tells"
    return await no_faults(db, "I8", sound, _TOLD)
