"""Lines that cannot be swept leave their batch, and wait for the merchant's next (CONTRACT 6)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.core.money import vat_included_tiyn
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import accounts
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.payments import service as payments
from sandbox.settlement.models import Payout, Settlement, SettlementBurn, SettlementLine
from sandbox.settlement.objects import settlement_event

LINES_PER_EVENT: Final = 50
"""A leaf of the log names its entries, and is bounded (CONTRACT 4)."""
MAX_REASON: Final = 120


def ref(line: SettlementLine) -> str:
    return f"{line.settlement}:deferred:{line.payment}"


async def defer(
    db: AsyncSession, settlement: Settlement, burn: SettlementBurn, reasons: Mapping[str, str]
) -> Changes:
    """Take these payments out of the batch, each with its reason: claims, burn and payout fall.

    A burn of which nothing is left is removed.
    """
    at = await clock.now(db)
    found = select(SettlementLine).where(
        col(SettlementLine.settlement) == settlement.id,
        col(SettlementLine.payment).in_(reasons),
    )
    lines = list(await db.exec(found.order_by(col(SettlementLine.payment))))
    assert len(lines) == len(reasons), f"not all are lines of {settlement.id}"
    units_per_tiyn = burn.units // burn.amount_tiyn
    for line in lines:
        line.deferred_at, line.reason = at, reasons[line.payment][:MAX_REASON]
        db.add(line)
    entries = [_entry(settlement, line, units_per_tiyn, at) for line in lines]
    await payments.release(db, list(reasons))
    await _lower(db, burn, lines, units_per_tiyn)
    net_tiyn = sum(line.amount_tiyn - line.refunded_tiyn - line.fee_tiyn for line in lines)
    await _lower_payout(db, settlement, net_tiyn, at)
    events = []
    for first in range(0, len(entries), LINES_PER_EVENT):
        refs = tuple(entry.ref for entry in entries[first : first + LINES_PER_EVENT])
        data = await settlement_event(db, settlement)
        id_ = new_id("evt", at)
        events.append(
            NewEvent(id_, "settlement.line_deferred", at, data, settlement.merchant, refs)
        )
    return Changes(entries=entries, events=events)


def _entry(
    settlement: Settlement, line: SettlementLine, units_per_tiyn: int, at: datetime
) -> NewEntry:
    units = (line.amount_tiyn - line.refunded_tiyn) * units_per_tiyn
    return NewEntry(
        id=new_id("ent", at),
        kind="posted",
        reason="settlement_line_deferred",
        ref=ref(line),
        chain=line.chain,
        effective_at=at,
        cause=settlement.id,
        legs=(
            debit(accounts.settling(line.chain, settlement.id), units),
            credit(accounts.merchant(line.chain, settlement.merchant), units),
        ),
    )


async def _lower(
    db: AsyncSession, burn: SettlementBurn, lines: Sequence[SettlementLine], units_per_tiyn: int
) -> None:
    amount_tiyn = sum(line.amount_tiyn - line.refunded_tiyn for line in lines)
    if amount_tiyn == burn.amount_tiyn:
        await db.delete(burn)
        return
    burn.amount_tiyn -= amount_tiyn
    burn.units -= amount_tiyn * units_per_tiyn
    burn.fee_tiyn -= sum(line.fee_tiyn for line in lines)
    burn.vat_tiyn = vat_included_tiyn(burn.fee_tiyn, burn.vat_percent)
    db.add(burn)


async def _lower_payout(
    db: AsyncSession, settlement: Settlement, net_tiyn: int, at: datetime
) -> None:
    """What is not burned is not paid; in a batch that is held, it is not carried."""
    found = select(Payout).where(col(Payout.settlement) == settlement.id)
    payout = (await db.exec(found.execution_options(populate_existing=True))).one_or_none()
    if payout is None:
        settlement.carried_tiyn -= net_tiyn
    else:
        settlement.paid_tiyn -= net_tiyn
        payout.amount_tiyn = settlement.paid_tiyn
        if payout.amount_tiyn == 0:
            payout.status, payout.reason = "canceled", "every line was deferred"
            payout.ended_at = at
        db.add(payout)
    db.add(settlement)
