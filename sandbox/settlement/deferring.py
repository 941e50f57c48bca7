"""Lines that cannot be swept leave their batch, and wait for the merchant's next (CONTRACT 6)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.core.money import BPS_PER_WHOLE, units_from_tiyn, vat_included_tiyn
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import accounts
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.payments import service as payments
from sandbox.settlement import payouts, sums
from sandbox.settlement.models import (
    Payout,
    Settlement,
    SettlementBurn,
    SettlementLine,
    SettlementReserve,
    SettlementTransfer,
)
from sandbox.settlement.objects import settlement_event

LINES_PER_EVENT: Final = 50
"""A leaf of the log names its entries, and is bounded (CONTRACT 4)."""
MAX_REASON: Final = 120


def ref(line: SettlementLine) -> str:
    return f"{line.settlement}:deferred:{line.payment}"


async def defer(
    db: AsyncSession, settlement: Settlement, chain: str, decimals: int, reasons: Mapping[str, str]
) -> Changes:
    """Take these payments out of the batch, each with its reason: claims, burn and payout fall.

    Of a burn, a transfer or a part for the reserve of which nothing is left the row is removed.
    """
    at = await clock.now(db)
    found = select(SettlementLine).where(
        col(SettlementLine.settlement) == settlement.id,
        col(SettlementLine.payment).in_(reasons),
    )
    lines = list(await db.exec(found.order_by(col(SettlementLine.payment))))
    assert len(lines) == len(reasons), f"not all are lines of {settlement.id}"
    for line in lines:
        line.deferred_at, line.reason = at, reasons[line.payment][:MAX_REASON]
        db.add(line)
    entries = [_entry(settlement, line, decimals, at) for line in lines]
    await payments.release(db, list(reasons))
    await _divide_again(db, settlement, chain, decimals)
    await _lower_payout(db, settlement, at)
    events = []
    for first in range(0, len(entries), LINES_PER_EVENT):
        refs = tuple(entry.ref for entry in entries[first : first + LINES_PER_EVENT])
        data = await settlement_event(db, settlement)
        id_ = new_id("evt", at)
        events.append(
            NewEvent(id_, "settlement.line_deferred", at, data, settlement.merchant, refs)
        )
    return Changes(entries=entries, events=events)


def _entry(settlement: Settlement, line: SettlementLine, decimals: int, at: datetime) -> NewEntry:
    units = units_from_tiyn(line.amount_tiyn - line.refunded_tiyn, decimals)
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


def wallet_bps(settlement: Settlement) -> int:
    """The share of a net that goes to the merchant's wallet, by the batch's mode."""
    match settlement.mode:
        case "hold":
            return BPS_PER_WHOLE
        case "split":
            assert settlement.split_bps is not None
            return BPS_PER_WHOLE - settlement.split_bps
    return 0


async def _divide_again(
    db: AsyncSession, settlement: Settlement, chain: str, decimals: int
) -> None:
    """Burn, transfer and reserve of what the chain's lines come to now."""
    await db.flush()
    found = select(SettlementLine).where(
        col(SettlementLine.settlement) == settlement.id,
        col(SettlementLine.chain) == chain,
        col(SettlementLine.deferred_at).is_(None),
    )
    lines = list(await db.exec(found))
    key = (settlement.id, chain)
    burn = await db.get(SettlementBurn, key, populate_existing=True)
    sent = await db.get(SettlementTransfer, key, populate_existing=True)
    reserve = await db.get(SettlementReserve, key, populate_existing=True)
    parts = sums.parts(
        sum(line.amount_tiyn - line.refunded_tiyn for line in lines),
        sum(line.fee_tiyn for line in lines),
        reserve=0 if reserve is None else reserve.amount_tiyn,
        wallet_bps=0 if sent is None else wallet_bps(settlement),
    )
    if burn is not None:
        burn.fee_tiyn = parts.fee
        burn.vat_tiyn = vat_included_tiyn(parts.fee, burn.vat_percent)
    rows = ((burn, parts.burned), (sent, parts.to_wallet), (reserve, parts.reserved))
    for row, amount_tiyn in rows:
        if row is None:
            assert amount_tiyn == 0
        elif amount_tiyn == 0:
            await db.delete(row)
        else:
            row.amount_tiyn, row.units = amount_tiyn, units_from_tiyn(amount_tiyn, decimals)
            db.add(row)


async def _lower_payout(db: AsyncSession, settlement: Settlement, at: datetime) -> None:
    """What is not burned is not paid; in a batch that is held, it is not carried.

    A payout never rises: should more be left than before, because a line went whose fee was more
    than itself, the rest is carried.
    """
    owed, _ = await payouts.owed_of(db, settlement.id)
    found = select(Payout).where(col(Payout.settlement) == settlement.id)
    payout = (await db.exec(found.execution_options(populate_existing=True))).one_or_none()
    paid = 0
    if payout is not None and payout.status != "canceled":
        paid = min(payout.amount_tiyn, max(0, owed.net))
        payout.amount_tiyn = paid
        if paid == 0:
            payout.status, payout.reason = "canceled", "every line was deferred"
            payout.ended_at = at
        db.add(payout)
    settlement.paid_tiyn, settlement.carried_tiyn = paid, owed.net - paid
    db.add(settlement)
