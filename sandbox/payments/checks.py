"""I5 (units at our own addresses = places = claims) and I7's part per payment, from raw rows."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.checks import (
    WatcherBehind,
    await_final_cursor,
    unasked_outflows,
)
from sandbox.chains.port import Chain, Holdings
from sandbox.core.checks import Check, say
from sandbox.core.db import Database
from sandbox.ledger import accounts
from sandbox.payments import books

WAIT_S = 30.0
READ_AGAIN = 20

# Posted legs, debits less credits.
_SUM = "sum(CASE l.side WHEN 'D' THEN l.amount ELSE -l.amount END)"
_POSTED = """
FROM leg l JOIN account a ON a.id = l.account_id JOIN entry e ON e.id = l.entry_id
LEFT JOIN resolution r ON r.entry_id = e.id
WHERE coalesce(r.outcome, e.kind) = 'posted'
"""
_PLACE = text(
    f"SELECT coalesce({_SUM}, 0)::bigint {_POSTED} AND a.book = 'token'"
    " AND a.asset = :asset AND a.code = :code AND r.height <= :height"
)
_PLACES_AND_CLAIMS = text(
    f"SELECT coalesce({_SUM} FILTER (WHERE a.book = 'token'), 0)::bigint AS places,"
    f" coalesce(-({_SUM} FILTER (WHERE a.book = 'claims')), 0)::bigint AS claims"
    f" {_POSTED} AND a.asset = :asset"
    " AND (a.book = 'claims' AND a.code <> 'custody' OR a.book = 'token'"
    " AND a.code !~ '^(supply|external):')"
)


async def places_match(
    database: Database, configured: Mapping[str, Chain], *, wait_s: float = WAIT_S
) -> list[Check]:
    """I5, per chain: units held at each place at final height S = what is posted there up to S,
    and all places together = all claims.

    Waits up to `wait_s` for the final cursor to reach S. Raises `ChainUnavailable`.
    """
    found = []
    for chain in configured.values():
        held = await _holdings(database, chain, wait_s)
        for place, units in sorted(held.by_place.items()):
            found.append(await _place(database, chain, place, units, held.height, wait_s))
        async with database.transaction() as db:
            found.append(await _claims(db, chain.name))
    return found


async def _holdings(database: Database, chain: Chain, wait_s: float) -> Holdings:
    """What lies at our addresses, those of sessions included that were made and paid meanwhile."""
    for _ in range(READ_AGAIN):
        sessions = await _sessions_with_address(database, chain.name)
        held = await chain.holdings(sessions)
        if not await _is_newer_paid(database, chain.name, sessions, held, wait_s):
            break
    return held


async def _is_newer_paid(
    database: Database, chain: str, sessions: list[str], held: Holdings, wait_s: float
) -> bool:
    """Whether a session that is not among these was paid when the chain was read."""
    try:
        await await_final_cursor(database, chain, held.height, wait_s)
    except WatcherBehind:
        return False
    async with database.transaction() as db:
        found: bool = await db.scalar(
            text(
                "SELECT EXISTS (SELECT FROM payment WHERE chain = :chain AND place = 'unswept'"
                " AND chain_state = 'final' AND height <= :height"
                " AND session <> ALL(CAST(:sessions AS text[])))"
            ),
            {"chain": chain, "height": held.height, "sessions": sessions},
        )
    return found


async def _sessions_with_address(database: Database, chain: str) -> list[str]:
    """All to which a deposit address was ever given: money may come late."""
    async with database.transaction() as db:
        return list(
            await db.scalars(
                text(
                    "SELECT session_id FROM session_match"
                    " WHERE chain = :chain AND key LIKE 'addr:%'"
                ),
                {"chain": chain},
            )
        )


async def _place(
    database: Database, chain: Chain, place: str, units: int, height: int, wait_s: float
) -> Check:
    name = chain.name
    try:
        await await_final_cursor(database, name, height, wait_s)
    except WatcherBehind as behind:
        return Check("I5", False, units, None, behind.detail)
    code = books.place_account(name, place).code
    values = {"asset": accounts.asset(name), "code": code, "height": height}
    async with database.transaction() as db:
        posted: int = await db.scalar(_PLACE, values)
        unasked = await unasked_outflows(db, chain) if posted != units else None
    detail = f"{name} at {height}: {place} on chain = {place} in the ledger"
    if unasked:
        detail = f"{detail}; {unasked.said}"
    return Check("I5", units == posted, units, posted, detail)


async def _claims(db: AsyncSession, chain: str) -> Check:
    row = (await db.execute(_PLACES_AND_CLAIMS, {"asset": accounts.asset(chain)})).one()
    return Check(
        "I5", row.places == row.claims, row.places, row.claims, f"{chain}: places = claims"
    )


_SUSPENSE = text(
    f"""
    WITH held AS (
        SELECT a.asset, substr(a.code, length('suspense:') + 1) AS owner, (-{_SUM})::bigint AS units
        {_POSTED} AND a.book = 'claims' AND a.code ~ '^suspense:(cs|str)_'
        GROUP BY a.asset, a.code
    ), told AS (
        SELECT chain, owner, sum(units)::bigint AS units FROM (
            SELECT chain, session AS owner, amount_units
                - CASE WHEN capture_entry IS NULL THEN 0 ELSE counted_units END AS units
            FROM payment WHERE chain_state = 'final'
            UNION ALL
            SELECT chain, id, amount_units FROM stray_transfer
            WHERE chain_state = 'final' AND payment IS NULL AND token IS NULL
            UNION ALL
            SELECT r.chain, CASE WHEN s.payment IS NULL THEN s.id ELSE s.session END,
                -r.amount_units
            FROM refund r JOIN stray_transfer s ON s.id = r.stray WHERE r.status = 'completed'
        ) parts GROUP BY chain, owner
    )
    SELECT coalesce(held.owner, told.owner) AS owner, coalesce(held.units, 0)::bigint AS held,
        coalesce(told.units, 0)::bigint AS told
    FROM held FULL JOIN told ON held.owner = told.owner AND held.asset = 'KZTE.' || told.chain
    """  # noqa: S608 - fragments of our own
)


async def suspense_is_explained(db: AsyncSession) -> list[Check]:
    """I5, further: what lies in each suspense is what its payments and strays left there;
    those of redemptions and moves are the reserve's to explain."""
    rows = (await db.execute(_SUSPENSE)).all()
    wrong = [
        f"account suspense:{row.owner}: holds {row.held}, payments and strays left {row.told}"
        for row in sorted(rows, key=lambda row: str(row.owner))
        if row.held != row.told
    ]
    detail = say(wrong) or "suspense = payments and strays that are nobody's yet"
    held, told = sum(row.held for row in rows), sum(row.told for row in rows)
    return [Check("I5", not wrong, held, told, detail)]


_UNSWEPT = text(
    f"""
    WITH held AS (
        SELECT a.asset, {_SUM}::bigint AS units {_POSTED} AND a.book = 'token'
        AND a.code LIKE 'dep:%' GROUP BY a.asset
    ), told AS (
        SELECT chain, sum(amount_units)::bigint AS units FROM payment
        WHERE chain_state = 'final' AND place = 'unswept' AND sweep IS NULL GROUP BY chain
    )
    SELECT coalesce(told.chain, substr(held.asset, length('KZTE.') + 1)) AS chain,
        coalesce(held.units, 0)::bigint AS held, coalesce(told.units, 0)::bigint AS told
    FROM held FULL JOIN told ON held.asset = 'KZTE.' || told.chain ORDER BY 1
    """  # noqa: S608 - fragments of our own
)


async def unswept_is_explained(db: AsyncSession) -> list[Check]:
    """I5, further, per chain with deposit addresses: what the ledger has there is what payments
    brought and no sweep took."""
    return [
        Check(
            "I5",
            row.held == row.told,
            row.held,
            row.told,
            f"{row.chain}: unswept = payments that lie at deposit addresses",
        )
        for row in await db.execute(_UNSWEPT)
    ]


_REFUNDS = text(
    """
    SELECT p.id, p.counted_units, p.refunded_units, p.refunding_units,
        coalesce(r.done, 0)::bigint AS done, coalesce(r.pending, 0)::bigint AS pending
    FROM payment p LEFT JOIN (
        SELECT payment, sum(amount_units) FILTER (WHERE status = 'completed') AS done,
            sum(amount_units) FILTER (WHERE status = 'pending') AS pending
        FROM refund GROUP BY payment
    ) r ON r.payment = p.id
    WHERE r.payment IS NOT NULL OR p.refunded_units <> 0 OR p.refunding_units <> 0 ORDER BY p.id
    """
)


async def refunds_within_payments(db: AsyncSession) -> list[Check]:
    """I7, per payment: Σ refunds, pending ones included, ≤ what it counted for."""
    rows = (await db.execute(_REFUNDS)).all()
    wrong = [
        f"payment {row.id}: refunds of {row.done} and {row.pending} pending, the payment says"
        f" {row.refunded_units} and {row.refunding_units}, it counted for {row.counted_units}"
        for row in rows
        if row.done + row.pending > row.counted_units
        or (row.done, row.pending) != (row.refunded_units, row.refunding_units)
    ]
    detail = say(wrong) or f"refunds of {len(rows)} payments stay within what they counted for"
    left = sum(row.done + row.pending for row in rows)
    return [Check("I7", not wrong, left, sum(row.counted_units for row in rows), detail)]
