"""I1, I2, I5, I6 and I8 for redemptions and moves, row by row: what they say happened against
chain, bank, books and log."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank.models import Kind
from sandbox.chains.checks import WatcherBehind, await_final_cursor
from sandbox.chains.port import UNSWEPT, Chain
from sandbox.core.checks import Check, no_faults
from sandbox.core.db import Database
from sandbox.eventlog.told import Told, as_told, moment
from sandbox.ledger.chart import accounts

WAIT_S = 30.0

# Posted legs, debits less credits.
_SUM = "sum(CASE l.side WHEN 'D' THEN l.amount ELSE -l.amount END)"
_POSTED = """
FROM leg l JOIN account a ON a.id = l.account_id JOIN entry e ON e.id = l.entry_id
LEFT JOIN resolution r ON r.entry_id = e.id
WHERE coalesce(r.outcome, e.kind) = 'posted'
"""
_REDEEM = text(
    f"SELECT coalesce({_SUM}, 0)::bigint {_POSTED} AND a.book = 'token'"
    " AND a.asset = :asset AND a.code = :code AND r.height <= :height"
)


async def addresses_match(
    database: Database, configured: Mapping[str, Chain], *, wait_s: float = WAIT_S
) -> list[Check]:
    """I5, per chain with deposit addresses: units at those of redemptions and moves at final
    height S = what is posted there up to S. Raises `ChainUnavailable`."""
    return [
        await _addresses(database, chain, wait_s)
        for chain in configured.values()
        if chain.sweep_batch
    ]


async def _addresses(database: Database, chain: Chain, wait_s: float) -> Check:
    name = chain.name
    async with database.transaction() as db:
        keys = "SELECT DISTINCT intake FROM unit_match WHERE chain = :chain AND key LIKE 'addr:%'"
        ids = list(await db.scalars(text(keys), {"chain": name}))
    held = await chain.holdings(ids)
    units = held.by_place.get(UNSWEPT, 0)
    try:
        await await_final_cursor(database, name, held.height, wait_s)
    except WatcherBehind as behind:
        return Check("I5", False, units, None, behind.detail)
    values = {
        "asset": accounts.asset(name),
        "code": accounts.redeem(name).code,
        "height": held.height,
    }
    async with database.transaction() as db:
        posted: int = await db.scalar(_REDEEM, values)
    detail = f"{name} at {held.height}: at addresses of redemptions and moves = in the ledger"
    return Check("I5", units == posted, units, posted, detail)


# An intake's units: what came, was swept, burned, sent back, against the books of them.
_UNITS = f"""
WITH held AS (
    SELECT a.asset, substr(a.code, length('suspense:') + 1) AS owner, (-{_SUM})::bigint AS units
    {_POSTED} AND a.book = 'claims' AND starts_with(a.code, 'suspense:')
    AND a.code !~ '^suspense:(cs|str)_' GROUP BY a.asset, a.code
), came AS (
    SELECT intake, sum(amount_units) AS units FROM unit_receipt WHERE state = 'final' GROUP BY 1
), gone AS (
    SELECT intake, sum(amount_units) AS units FROM send_back WHERE status = 'sent' GROUP BY 1
), swept AS (
    SELECT split_part(e.ref, ':', 1) AS intake, {_SUM}::bigint AS units {_POSTED}
    AND e.reason = 'units swept' AND starts_with(a.code, 'treasury:') GROUP BY 1
), told AS (
    SELECT i.id, i.chain, i.state, i.swept_units, coalesce(came.units, 0)
        - CASE WHEN i.state = 'burned' AND i.option ->> 'method' <> 'own_burn'
            THEN i.amount_units ELSE 0 END
        - coalesce(gone.units, 0) AS units
    FROM intake i LEFT JOIN came ON came.intake = i.id LEFT JOIN gone ON gone.intake = i.id
)
SELECT 'intake ' || coalesce(t.id, h.owner) AS name, CASE
    WHEN t.id IS NULL THEN format('is missing, suspense:%s holds %s', h.owner, h.units)
    WHEN t.units IS DISTINCT FROM coalesce(h.units, 0)
        THEN format('left %s units of it (unit_receipt, send_back), suspense:%s holds %s', t.units,
            t.id, coalesce(h.units, 0))
    WHEN t.swept_units IS DISTINCT FROM coalesce(s.units, 0)
        THEN format('%s units swept, the entries say %s', t.swept_units, coalesce(s.units, 0))
END AS fault
FROM told t FULL JOIN held h ON h.owner = t.id AND h.asset = 'KZTE.' || t.chain
LEFT JOIN swept s ON s.intake = t.id
"""  # noqa: S608 - fragments of our own

# Receipts and what was sent back, against the transfers they stand for and their entries.
_MOVED = """
SELECT 'unit_receipt ' || u.id AS name, CASE
    WHEN t.id IS NULL THEN format('chain_transfer %s is missing', u.transfer_id)
    WHEN (u.chain, u.tx, u.source, u.amount_units)
        IS DISTINCT FROM (t.chain, t.tx, t.source, t.amount_units)
        THEN format('%s units in %s by %s, chain_transfer %s says %s in %s by %s', u.amount_units,
            u.tx, u.source, t.id, t.amount_units, t.tx, t.source)
    WHEN n.n IS NULL THEN format('chain_inclusion %s %s is missing', t.id, u.inclusion)
    WHEN (u.height, u.state) IS DISTINCT FROM (n.height, n.state)
        THEN format('%s at %s, chain_inclusion %s %s is %s at %s', u.state, u.height, t.id, n.n,
            n.state, n.height)
    WHEN u.first_block_time IS DISTINCT FROM f.block_time
        THEN format('first came at %s, chain_inclusion %s 1 says %s', u.first_block_time, t.id,
            f.block_time)
    WHEN b.id IS NULL THEN format('no entry %s:%s', u.id, u.inclusion)
    WHEN (b.units, b.owner, b.is_unswept)
        IS DISTINCT FROM (u.amount_units, 'suspense:' || u.intake, u.place = 'unswept')
        THEN format('%s units at %s for %s, entry %s books %s for %s', u.amount_units, u.place,
            u.intake, b.id, b.units, b.owner)
    WHEN coalesce(b.outcome, 'pending') <> CASE u.state WHEN 'confirmed' THEN 'pending'
        WHEN 'final' THEN 'posted' ELSE 'voided' END
        THEN format('is %s, entry %s is %s', u.state, b.id, coalesce(b.outcome, 'pending'))
END AS fault
FROM unit_receipt u LEFT JOIN chain_transfer t ON t.id = u.transfer_id
LEFT JOIN chain_inclusion n ON n.transfer_id = t.id AND n.n = u.inclusion
LEFT JOIN chain_inclusion f ON f.transfer_id = t.id AND f.n = 1
LEFT JOIN (
    SELECT e.id, e.ref, r.outcome,
        max(l.amount) FILTER (WHERE starts_with(a.code, 'external:')) AS units,
        max(a.code) FILTER (WHERE starts_with(a.code, 'suspense:')) AS owner,
        bool_or(starts_with(a.code, 'redeem:')) AS is_unswept
    FROM entry e JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
    LEFT JOIN resolution r ON r.entry_id = e.id WHERE e.reason = 'units received'
    GROUP BY e.id, r.entry_id
) b ON b.ref = u.id || ':' || u.inclusion
UNION ALL
SELECT 'send_back ' || s.id, CASE
    WHEN c.id IS NULL AND s.status IN ('pending', 'sent') THEN 'nobody asked the chain for it'
    WHEN c.id IS NOT NULL AND (s.recipient, s.amount_units) IS DISTINCT FROM
        (c.command ->> 'recipient', (c.command ->> 'amount_units')::bigint)
        THEN format('%s units to %s, chain_intent %s asks for %s to %s', s.amount_units,
            s.recipient, c.id, c.command ->> 'amount_units', c.command ->> 'recipient')
    WHEN c.id IS NOT NULL AND s.status IS DISTINCT FROM CASE c.state WHEN 'done' THEN 'sent'
        WHEN 'not_done' THEN 'failed' ELSE 'pending' END
        THEN format('is %s, chain_intent %s is %s', s.status, c.id, c.state)
    WHEN s.tx IS DISTINCT FROM c.tx AND s.status = 'sent'
        THEN format('went in %s, chain_intent %s in %s', s.tx, c.id, c.tx)
END
FROM send_back s LEFT JOIN chain_intent c ON c.id = s.id
UNION ALL
SELECT 'intake ' || i.id, CASE
    WHEN (i.state = 'burned') IS DISTINCT FROM (c.id IS NOT NULL AND c.state = 'done')
        THEN format('is %s, its burn %s', i.state, coalesce(c.state, 'was never asked for'))
    WHEN (i.burned_at IS NULL) <> (i.state <> 'burned')
        THEN format('is %s, burned at %s', i.state, coalesce(i.burned_at::text, 'no moment'))
    WHEN i.state = 'burned' AND (i.tx IS DISTINCT FROM c.tx OR i.amount_units
        IS DISTINCT FROM (c.command ->> 'amount_units')::bigint)
        THEN format('%s units burned in %s, chain_intent %s says %s in %s', i.amount_units, i.tx,
            c.id, c.command ->> 'amount_units', c.tx)
END
FROM intake i LEFT JOIN chain_intent c ON c.id = i.id || ':burn:' || i.burn_attempt
WHERE i.option ->> 'method' <> 'own_burn'
"""

# Never both, never neither: what is owed is in its claim unless an order, or a mint, has it.
_CLAIMS = f"""
WITH held AS (
    SELECT substr(a.code, length('l:redemption:') + 1) AS id, (-{_SUM})::bigint AS tiyn
    {_POSTED} AND starts_with(a.code, 'l:redemption:') GROUP BY 1
), orders AS (
    SELECT split_part(end_to_end_id, ':', 1) AS id, count(*) AS count
    FROM bank_message WHERE direction = 'out' AND kind = :order
    AND starts_with(end_to_end_id, 'red_') GROUP BY 1
)
SELECT 'redemption ' || coalesce(d.id, h.id, o.id) AS name, CASE
    WHEN d.id IS NULL THEN 'is missing, books or orders name it'
    WHEN coalesce(h.tiyn, 0) <> CASE WHEN d.payout_status IN ('pending', 'rejected', 'returned')
        THEN i.amount_tiyn ELSE 0 END
        THEN format('%s tiyn and payout %s, l:redemption:%s holds %s', i.amount_tiyn,
            d.payout_status, d.id, coalesce(h.tiyn, 0))
    WHEN (d.payout_status <> 'none') IS DISTINCT FROM (i.state = 'burned')
        THEN format('payout %s, its units are %s', d.payout_status, i.state)
    WHEN d.payout_attempt IS DISTINCT FROM coalesce(o.count, 0)
        THEN format('%s orders, the bank was given %s', d.payout_attempt, coalesce(o.count, 0))
    WHEN (d.paid_at IS NOT NULL) <> (d.payout_status = 'paid')
        THEN format('payout %s, paid at %s', d.payout_status,
            coalesce(d.paid_at::text, 'no moment'))
    WHEN m.id IS NOT NULL AND ((m.body ->> 'amount_tiyn')::bigint, m.body ->> 'creditor_name',
        m.body ->> 'value_date') IS DISTINCT FROM (i.amount_tiyn, d.payee, d.value_date::text)
        THEN format('%s tiyn on %s, bank_message %s orders %s on %s', i.amount_tiyn, d.value_date,
            m.id, m.body ->> 'amount_tiyn', m.body ->> 'value_date')
    WHEN m.id IS NOT NULL AND (m.body ->> 'creditor_iban', m.body ->> 'knp', m.body ->> 'kbe')
        IS DISTINCT FROM (d.iban, d.knp, d.kbe)
        THEN format('to %s, bank_message %s orders to %s', d.iban, m.id, m.body ->> 'creditor_iban')
END AS fault
FROM redemption d JOIN intake i ON i.id = d.id
FULL JOIN held h ON h.id = d.id FULL JOIN orders o ON o.id = coalesce(d.id, h.id)
LEFT JOIN bank_message m ON m.direction = 'out' AND m.kind = :order
    AND m.end_to_end_id = d.id || ':' || d.payout_attempt
"""  # noqa: S608 - fragments of our own

_BRIDGE = f"""
WITH held AS (
    SELECT substr(a.code, length('l:bridge:') + 1) AS id, (-{_SUM})::bigint AS tiyn
    {_POSTED} AND starts_with(a.code, 'l:bridge:') GROUP BY 1
)
SELECT 'bridge_move ' || coalesce(v.id, h.id) AS name, CASE
    WHEN v.id IS NULL THEN format('is missing, l:bridge:%s holds %s', h.id, h.tiyn)
    WHEN coalesce(h.tiyn, 0) <> CASE WHEN v.mint_status IN ('waiting', 'minting', 'stuck')
        THEN i.amount_tiyn ELSE 0 END
        THEN format('%s tiyn and mint %s, l:bridge:%s holds %s', i.amount_tiyn, v.mint_status,
            v.id, coalesce(h.tiyn, 0))
    WHEN (v.mint_status <> 'none') IS DISTINCT FROM (i.state = 'burned')
        THEN format('mint %s, its units are %s', v.mint_status, i.state)
    WHEN (v.mint_status IN ('minting', 'minted', 'given_back')) IS DISTINCT FROM
        (coalesce(c.state, 'not_done') <> 'not_done')
        THEN format('mint %s, chain_intent %s', v.mint_status, coalesce(c.state, 'is missing'))
    WHEN c.state = 'done' AND (c.tx, c.chain, c.command ->> 'recipient') IS DISTINCT FROM
        (v.mint_tx, CASE WHEN v.is_back THEN i.chain ELSE v.to_chain END,
        CASE WHEN v.is_back THEN v.back_recipient ELSE v.recipient END)
        THEN format('minted in %s, chain_intent %s says to %s in %s on %s', v.mint_tx, c.id,
            c.command ->> 'recipient', c.tx, c.chain)
    WHEN (v.minted_at IS NOT NULL) <> (v.mint_status IN ('minted', 'given_back'))
        THEN format('mint %s, minted at %s', v.mint_status,
            coalesce(v.minted_at::text, 'no moment'))
END AS fault
FROM bridge_move v JOIN intake i ON i.id = v.id FULL JOIN held h ON h.id = v.id
LEFT JOIN chain_intent c ON c.id = v.id || ':mint:' || v.mint_attempt
"""  # noqa: S608 - fragments of our own

_UNIT_FIELDS = {
    "amount_tiyn": "r.amount_tiyn",
    "amount_units": "r.amount_units",
    "units_state": "r.state",
    "reason": "r.reason",
    "burn_tx": "r.tx",
    "expires_at": moment("expires_at"),
    "created_at": moment("created_at"),
    "burned_at": moment("burned_at"),
}
_TOLD = as_told(
    Told(
        "intake",
        ("reserve.redemption_%",),
        {"chain": "r.chain", **_UNIT_FIELDS},
        rows="starts_with(r.id, 'red_')",
    ),
    Told(
        "intake",
        ("reserve.move_%",),
        {"from_chain": "r.chain", **_UNIT_FIELDS},
        rows="starts_with(r.id, 'mov_')",
    ),
    Told(
        "redemption",
        ("reserve.redemption_%",),
        {
            "knp": "r.knp",
            "kbe": "r.kbe",
            "payout_status": "r.payout_status",
            "payout_attempt": "r.payout_attempt",
            "payout_reason": "r.payout_reason",
            "value_date": "r.value_date",
            "paid_at": moment("paid_at"),
        },
        private={"iban": ("iban",), "payee": ("payee_name",), "tax_number": ("tax_number",)},
    ),
    Told(
        "bridge_move",
        ("reserve.move_%",),
        {
            "to_chain": "r.to_chain",
            "recipient": "r.recipient",
            "mint_status": "r.mint_status",
            "mint_attempt": "r.mint_attempt",
            "back_recipient": "r.back_recipient",
            "mint_tx": "r.mint_tx",
            "mint_reason": "r.mint_reason",
            "minted_at": moment("minted_at"),
        },
    ),
    Told(
        "unit_receipt",
        ("reserve.units_confirmed", "reserve.units_final", "reserve.units_reverted"),
        {
            "intake": "r.intake",
            "chain": "r.chain",
            "tx": "r.tx",
            "source": "r.source",
            "amount_units": "r.amount_units",
            "place": "r.place",
            "chain_state": "r.state",
        },
    ),
    Told(
        "send_back",
        ("reserve.send_back_%",),
        {
            "intake": "r.intake",
            "chain": "r.chain",
            "recipient": "r.recipient",
            "amount_units": "r.amount_units",
            # Being asked for is no event of its own.
            "status": "CASE r.status WHEN 'pending' THEN 'waiting' ELSE r.status END",
            "tx": "r.tx",
            "reason": "r.reason",
            "created_at": moment("created_at"),
        },
    ),
)


async def units_are_explained(db: AsyncSession) -> list[Check]:
    """I5: what lies in suspense for a redemption or move is what came and is not gone."""
    sound = "suspense of redemptions and moves = units that came and are not gone"
    return await no_faults(db, "I5", sound, _UNITS)


async def receipts_match(db: AsyncSession) -> list[Check]:
    """I5: what came, was burned and sent back against the chain's transfers, and the entries."""
    sound = "units of redemptions and moves = transfers on chain = entries, row by row"
    return await no_faults(db, "I5", sound, _MOVED)


async def claims_match(db: AsyncSession) -> list[Check]:
    """I6, per redemption: claim or order, never both; and L9: each bridge claim is one move's."""
    values = {"order": Kind.credit_transfer}
    paid = "redemptions: owed, or ordered from the bank, never both and never neither"
    moved = "moves: in the bridge, or made anew, never both and never neither (L9)"
    return [
        *await no_faults(db, "I6", paid, _CLAIMS, values),
        *await no_faults(db, "I2", moved, _BRIDGE),
    ]


async def intakes_as_told(db: AsyncSession) -> list[Check]:
    """I8: redemptions, moves and their units as the log last told them."""
    sound = "redemptions, moves and their units are as the log tells"
    return await no_faults(db, "I8", sound, _TOLD)
