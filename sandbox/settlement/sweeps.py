"""Burns and transfers that wait for sweeps: what must be swept is asked for, what cannot be is
deferred, and they are asked for when their units lie in the treasury.

A step of its own, and not part of a sweep's end: whatever is short here, the chain is followed on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Chain
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.parties import service as parties
from sandbox.payments import service as payments
from sandbox.settlement import burns, deferring, payouts
from sandbox.settlement.models import Settlement, SettlementBurn, SettlementTransfer

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
    """Payments of a batch that lie at deposit addresses: what can be done for each."""

    awaited: Sequence[str]
    untried: Sequence[str]
    failed: dict[str, str]


async def _unswept(db: AsyncSession, settlement_id: str, chain: str) -> _Unswept:
    values = {"settlement": settlement_id, "chain": chain}
    awaited, untried, failed = [], [], {}
    for row in await db.execute(_UNSWEPT, values):
        if row.is_pending:
            awaited.append(row.payment)
        elif row.is_tried:
            failed[row.payment] = row.reason or NOTHING_CAME
        else:
            untried.append(row.payment)
    return _Unswept(awaited, untried, failed)


async def begin(db: AsyncSession, settlement: Settlement, chain: str, batch: int) -> Changes:
    """Ask for the sweeps that a batch needs on a chain; `batch` sessions go into one."""
    entries = await payments.plan_sweeps(
        db, chain=chain, merchant=settlement.merchant, settlement=settlement.id, batch=batch
    )
    return Changes(entries=entries)


DUE = (
    "EXISTS (SELECT FROM settlement_burn WHERE status = 'sweeping')"
    " OR EXISTS (SELECT FROM settlement_transfer WHERE status = 'sweeping')"
)
"""SQL: something waits for sweeps."""

_WAITING = text(
    """
    SELECT s.merchant, s.id, w.chain FROM settlement s JOIN (
        SELECT settlement, chain FROM settlement_burn WHERE status = 'sweeping'
        UNION SELECT settlement, chain FROM settlement_transfer WHERE status = 'sweeping'
    ) w ON w.settlement = s.id ORDER BY s.id, w.chain
    """
)


async def waiting(db: AsyncSession) -> list[tuple[str, str, str]]:
    """What waits for sweeps: (merchant, settlement, chain), oldest first."""
    return [(row.merchant, row.id, row.chain) for row in await db.execute(_WAITING)]


async def go_on(db: AsyncSession, settlement_id: str, chain: Chain) -> Changes:
    """What can be done now for a batch that waits on this chain; empty when nothing can.

    The caller holds the merchant's lock, so nobody else plans sweeps for its sessions.
    """
    changes = Changes()
    settlement = await payouts.locked(db, settlement_id)
    if not await _leaving(db, settlement_id, chain.name):
        return changes  # another worker was here
    lying = await _unswept(db, settlement_id, chain.name)
    if lying.failed:
        changes.extend(
            await deferring.defer(db, settlement, chain.name, chain.decimals, lying.failed)
        )
    if lying.untried:
        changes.extend(await begin(db, settlement, chain.name, chain.sweep_batch))
    elif not lying.awaited:
        changes.extend(await _ask(db, settlement, chain.name))
    return changes


async def _leaving(db: AsyncSession, settlement_id: str, chain: str) -> list[burns.Leaving]:
    """Burn and transfer of a batch on a chain that are not asked for yet."""
    await db.flush()
    key = (settlement_id, chain)
    found = (
        await db.get(SettlementBurn, key, populate_existing=True),
        await db.get(SettlementTransfer, key, populate_existing=True),
    )
    return [one for one in found if one is not None and one.status == "sweeping"]


async def _ask(db: AsyncSession, settlement: Settlement, chain: str) -> Changes:
    """Ask for what is left; a batch of which nothing is left is settled."""
    leaving = await _leaving(db, settlement.id, chain)
    if not leaving:
        return await burns.settled_if_gone(db, settlement)
    treasury = (await ledger.balance(db, accounts.treasury(chain))).available
    changes = Changes()
    for one in leaving:
        why = await _why_not(db, settlement, one, treasury)
        if why is not None:
            if one.reason != why:
                log.warning("a batch waits", settlement=settlement.id, chain=chain, why=why)
                one.reason = why
                db.add(one)
            continue
        treasury -= one.units
        one.status, one.reason = "pending", None
        db.add(one)
        changes.entries.append(await burns.request(db, settlement, one))
    return changes


async def _why_not(
    db: AsyncSession, settlement: Settlement, one: burns.Leaving, treasury: int
) -> str | None:
    if isinstance(one, SettlementTransfer):
        merchant = await parties.merchant(db, settlement.merchant, steady=True)
        if merchant.status in parties.NO_PAYOUT:
            return f"the merchant is {merchant.status}"
    if treasury < one.units:
        return f"the treasury is short of {one.units - treasury} units"
    return None
