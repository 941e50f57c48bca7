"""Burns that wait for sweeps: what must be swept is asked for, what cannot be is deferred, and
the burn is asked for when its units lie in the treasury.

A step of its own, and not part of a sweep's end: whatever is short here, the chain is followed on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Chain
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.payments import service as payments
from sandbox.settlement import burns, deferring, payouts
from sandbox.settlement.models import Settlement, SettlementBurn

NOTHING_CAME = "the sweep left it at its deposit address"

log = structlog.get_logger(__name__)

# One statement, so one view of lines and sweeps: a sweep that ends meanwhile changes neither.
_UNSWEPT = text(
    """
    SELECT l.payment,
        bool_or(s.moved_units IS NULL) FILTER (WHERE s.sweep IS NOT NULL) AS is_pending,
        bool_or(w.settlement = l.settlement AND s.moved_units IS NOT NULL) AS is_tried,
        max(w.reason) FILTER (WHERE w.settlement = l.settlement) AS reason
    FROM settlement_line l JOIN payment p ON p.id = l.payment
    LEFT JOIN sweep_session s ON s.session = p.session AND s.chain = p.chain
    LEFT JOIN sweep w ON w.id = s.sweep
    WHERE l.settlement = :settlement AND l.chain = :chain AND l.deferred_at IS NULL
        AND l.amount_tiyn > l.refunded_tiyn AND p.place = 'unswept' AND p.sweep IS NULL
    GROUP BY l.payment ORDER BY l.payment
    """
)


@dataclass(frozen=True, slots=True)
class _Unswept:
    """Payments of a burn that lie at deposit addresses: what can be done for each."""

    awaited: Sequence[str]
    untried: Sequence[str]
    failed: dict[str, str]


async def _unswept(db: AsyncSession, burn: SettlementBurn) -> _Unswept:
    values = {"settlement": burn.settlement, "chain": burn.chain}
    awaited, untried, failed = [], [], {}
    for row in await db.execute(_UNSWEPT, values):
        if row.is_pending:
            awaited.append(row.payment)
        elif row.is_tried:
            failed[row.payment] = row.reason or NOTHING_CAME
        else:
            untried.append(row.payment)
    return _Unswept(awaited, untried, failed)


async def begin(
    db: AsyncSession, settlement: Settlement, burn: SettlementBurn, batch: int
) -> Changes:
    """Ask for the sweeps that a new burn needs; `batch` sessions go into one."""
    entries = await payments.plan_sweeps(
        db, chain=burn.chain, merchant=settlement.merchant, settlement=settlement.id, batch=batch
    )
    return Changes(entries=entries)


async def waiting(db: AsyncSession) -> list[tuple[str, str, str]]:
    """Burns that wait for sweeps: (merchant, settlement, chain), oldest first."""
    found = (
        select(Settlement.merchant, Settlement.id, SettlementBurn.chain)
        .join(SettlementBurn, col(SettlementBurn.settlement) == col(Settlement.id))
        .where(col(SettlementBurn.status) == "sweeping")
        .order_by(col(Settlement.id), col(SettlementBurn.chain))
    )
    return [(merchant, id_, chain) for merchant, id_, chain in await db.exec(found)]


async def go_on(db: AsyncSession, settlement_id: str, chain: Chain) -> Changes:
    """What can be done now for a burn that waits on this chain; empty when nothing can.

    The caller holds the merchant's lock, so nobody else plans sweeps for its sessions.
    """
    changes = Changes()
    settlement = await payouts.locked(db, settlement_id)
    burn = await db.get(SettlementBurn, (settlement_id, chain.name), populate_existing=True)
    if burn is None or burn.status != "sweeping":
        return changes  # another worker was here
    lying = await _unswept(db, burn)
    if lying.failed:
        changes.extend(await deferring.defer(db, settlement, burn, lying.failed))
    if lying.untried:
        changes.extend(await begin(db, settlement, burn, chain.sweep_batch))
    elif not lying.awaited:
        changes.extend(await _ask(db, settlement, burn))
    return changes


async def _ask(db: AsyncSession, settlement: Settlement, burn: SettlementBurn) -> Changes:
    """Ask for the burn of what is left of it; a batch of which nothing is left is settled."""
    if burn not in db:
        return await burns.settled_if_burned(db, settlement)
    treasury = await ledger.balance(db, accounts.treasury(burn.chain))
    if treasury.available < burn.units:
        short = f"the treasury is short of {burn.units - treasury.available} units"
        if burn.reason != short:
            log.warning("a burn waits", settlement=burn.settlement, chain=burn.chain, why=short)
            burn.reason = short
            db.add(burn)
        return Changes()
    burn.status, burn.reason = "pending", None
    db.add(burn)
    return Changes(entries=[await burns.request(db, settlement, burn)])
