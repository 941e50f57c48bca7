"""Figures of a chain at its final view, and a way to wait until the books have read as far.

Checks above this slice compare them with the ledger at the same height (invariants I1 and I5);
what this slice stored is judged here row by row.
"""

import asyncio
import time

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import AtHeight, Chain
from sandbox.chains.service import FINAL, cursor
from sandbox.core import chance
from sandbox.core.checks import Check, Faults, find_faults, no_faults
from sandbox.core.db import Database
from sandbox.core.errors import SandboxError

_POLL_S = 0.05


class WatcherBehind(SandboxError):
    """The final cursor did not reach the height at which the chain was read."""

    status, code = 503, "watcher_behind"

    def __init__(self, chain: str, wanted: int, reached: int | None) -> None:
        super().__init__(
            f"{chain}: read the chain at {wanted}, the watcher has handled {reached}",
            chain=chain,
            wanted=wanted,
            reached=reached,
        )


async def final_supply(chain: Chain) -> AtHeight:
    """Units in existence at the final view, and the height of that view."""
    return await chain.supply()


async def await_final_cursor(
    database: Database, chain_name: str, height: int, timeout: float = 30.0
) -> int:
    """Wait until the watcher has handled `height` at final; returns the cursor's height then.

    The caller compares only what is resolved at or below the height it read the chain at.
    Raises `WatcherBehind` after `timeout` seconds of wall time.
    """
    # In its turn nobody waits for another loop: it looks again in the next.
    until = time.monotonic() + (0 if chance.is_turn() else timeout)
    while True:
        async with database.transaction() as db:
            at = await cursor(db, chain_name, FINAL)
        if at is not None and at.height >= height:
            return at.height
        if time.monotonic() >= until:
            raise WatcherBehind(chain_name, height, at.height if at else None)
        await asyncio.sleep(_POLL_S)


# A transaction comes back as the next inclusion; only the newest can stand.
_KEPT = """
WITH inclusions AS (
    SELECT transfer_id, count(*) AS count, min(n) AS first, max(n) AS last,
        count(*) FILTER (WHERE state <> 'reverted') AS standing,
        max(n) FILTER (WHERE state <> 'reverted') AS stands
    FROM chain_inclusion GROUP BY transfer_id
), sent AS (
    SELECT i.id, i.kind, i.command ->> 'action' AS action, i.command ->> 'recipient' AS recipient,
        (i.command ->> 'amount_units')::numeric AS asked, i.state, t.moved, t.first, t.elsewhere,
        t.others
    FROM chain_intent i LEFT JOIN (
        SELECT t.intent, sum(t.amount_units) AS moved, min(t.id) AS first,
            min(t.id) FILTER (WHERE t.kind <> 'burn' AND t.destination
                IS DISTINCT FROM j.command ->> 'recipient') AS elsewhere,
            min(t.id) FILTER (WHERE j.command ->> 'action' = 'seize' AND t.source
                IS DISTINCT FROM j.command ->> 'holder') AS others
        FROM chain_transfer t JOIN chain_intent j ON j.id = t.intent
        JOIN inclusions n ON n.transfer_id = t.id AND n.standing > 0
        -- Units gathered from accounts of one owner go nowhere.
        WHERE t.source IS DISTINCT FROM t.destination
        GROUP BY t.intent
    ) t ON t.intent = i.id
    WHERE i.command ->> 'action' IN ('mint', 'burn', 'transfer', 'seize')
)
SELECT 'chain_transfer ' || t.id AS name, CASE
    WHEN n.transfer_id IS NULL THEN 'stands in no block'
    WHEN n.first <> 1 OR n.last <> n.count THEN 'an inclusion is missing'
    WHEN n.standing > 1 OR n.stands <> n.last THEN 'stands in more than one block'
    WHEN t.intent IS NOT NULL AND i.id IS NULL THEN 'its intent ' || t.intent || ' is missing'
END AS fault
FROM chain_transfer t LEFT JOIN inclusions n ON n.transfer_id = t.id
LEFT JOIN chain_intent i ON i.id = t.intent
UNION ALL
SELECT coalesce('chain_transfer ' || s.first, 'chain_intent ' || s.id), CASE
    WHEN s.state = 'done' AND s.first IS NULL THEN 'is done, and nothing moved'
    WHEN s.first IS NOT NULL AND s.moved IS DISTINCT FROM s.asked
        THEN format('moved %s, chain_intent %s asked for %s', s.moved, s.id, s.asked)
    WHEN s.action <> 'burn' AND s.elsewhere IS NOT NULL
        THEN 'went elsewhere than chain_intent ' || s.id || ' asked'
    WHEN s.others IS NOT NULL
        THEN 'was taken from somebody else than chain_intent ' || s.id || ' asked'
END
FROM sent s
"""


async def transfers_are_whole(db: AsyncSession) -> list[Check]:
    """I5: each stored transfer stands in one block, and what we sent is what was asked for."""
    sound = "stored transfers stand in one block each and move what was asked"
    return await no_faults(db, "I5", sound, _KEPT)


# Who sends units without an intent, finally, out of an address of ours.
_OUTFLOWS = """
SELECT 'chain_transfer ' || t.id AS name, format('%s units left %s without an intent, in %s',
    t.amount_units, t.source, t.tx) AS fault
FROM chain_transfer t WHERE t.chain = :chain AND t.intent IS NULL AND t.kind <> 'mint'
AND (t.source = ANY(CAST(:own AS text[])) OR EXISTS (SELECT FROM session_match m
    WHERE m.chain = t.chain AND m.key = 'addr:' || t.source)
    OR EXISTS (SELECT FROM unit_match m WHERE m.chain = t.chain AND m.key = 'addr:' || t.source))
AND t.destination <> ALL(CAST(:own AS text[]))
AND EXISTS (SELECT FROM chain_inclusion n WHERE n.transfer_id = t.id AND n.state = 'final')
"""

_MINTS = """
SELECT 'chain_transfer ' || t.id AS name, format('%s units minted to %s without an intent, in %s',
    t.amount_units, t.destination, t.tx) AS fault
FROM chain_transfer t WHERE t.chain = :chain AND t.intent IS NULL AND t.kind = 'mint'
AND EXISTS (SELECT FROM chain_inclusion n WHERE n.transfer_id = t.id AND n.state = 'final')
"""


async def unasked_outflows(db: AsyncSession, chain: Chain) -> Faults:
    """The transfers out of the sandbox's own addresses that nobody asked for."""
    values = {"chain": chain.name, "own": list(chain.own_addresses())}
    return await find_faults(db, _OUTFLOWS, values)


async def unasked_mints(db: AsyncSession, chain: Chain) -> Faults:
    """The mints that nobody asked for."""
    return await find_faults(db, _MINTS, {"chain": chain.name})
