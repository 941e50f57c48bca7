"""Settlements and payouts as the API and the log show them (CONTRACT 8)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.core import clock
from sandbox.core.money import vat_included_tiyn
from sandbox.core.shapes import plain
from sandbox.payments import service as payments
from sandbox.payments.models import Sweep
from sandbox.settlement import shapes, sums, vat
from sandbox.settlement.models import (
    Payout,
    Settlement,
    SettlementBurn,
    SettlementLine,
    SettlementReserve,
    SettlementTransfer,
)
from sandbox.settlement.report import lines_hash

_Part = TypeVar(
    "_Part", SettlementLine, SettlementBurn, SettlementTransfer, SettlementReserve, Payout
)
LINES_IN_AN_EVENT: Final = 100
"""A leaf of the log is bounded; of a longer batch it holds the first lines and a hash of all."""
SWEEPS_IN_AN_EVENT: Final = 10
"""Each has an event of its own besides."""


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else clock.iso(moment)


def payout_object(payout: Payout) -> dict[str, Any]:
    """The payout as its own object; a settlement shows the same."""
    return plain(_payout(payout))


def _payout(payout: Payout) -> shapes.Payout:
    return {
        "object": "payout",
        "id": payout.id,
        "settlement": payout.settlement,
        "merchant": payout.merchant,
        "status": payout.status,
        "reason": payout.reason,
        "amount_tiyn": payout.amount_tiyn,
        "iban": payout.iban,
        "knp": payout.knp,
        "kbe": payout.kbe,
        "value_date": payout.value_date.isoformat(),
        "carried_into": payout.carried_into,
        "created_at": clock.iso(payout.created_at),
        "instructed_at": _time(payout.instructed_at),
        "ended_at": _time(payout.ended_at),
    }


def line_object(line: SettlementLine) -> dict[str, Any]:
    """A line as every telling of its batch has it."""
    return plain(_line(line))


def _line(line: SettlementLine) -> shapes.SettlementLine:
    return {
        "payment": line.payment,
        "tx": line.tx,
        "chain": line.chain,
        "amount_tiyn": line.amount_tiyn,
        "refunded_tiyn": line.refunded_tiyn,
        "fee_tiyn": line.fee_tiyn,
        "entry": line.entry,
        "deferred": line.deferred_at is not None,
        "reason": line.reason,
    }


def _sweep_object(sweep: Sweep) -> shapes.SettlementSweep:
    return {
        "id": sweep.id,
        "chain": sweep.chain,
        "status": sweep.status,
        "attempt": sweep.attempt,
        "tx": sweep.tx,
        "planned_units": sweep.planned_units,
        "moved_units": sweep.moved_units,
        "reason": sweep.reason,
    }


def _burn_object(burn: SettlementBurn) -> shapes.SettlementBurn:
    return {
        "chain": burn.chain,
        "units": burn.units,
        "tx": burn.tx,
        "status": burn.status,
        "attempt": burn.attempt,
        "reason": burn.reason,
        "amount_tiyn": burn.amount_tiyn,
        "fee_tiyn": burn.fee_tiyn,
        "vat_tiyn": burn.vat_tiyn,
        "vat_percent": burn.vat_percent,
        "vat_version": burn.vat_version,
    }


def _transfer_object(sent: SettlementTransfer) -> shapes.SettlementTransfer:
    return {
        "chain": sent.chain,
        "recipient": sent.recipient,
        "units": sent.units,
        "amount_tiyn": sent.amount_tiyn,
        "tx": sent.tx,
        "status": sent.status,
        "attempt": sent.attempt,
        "reason": sent.reason,
    }


def _reserve_object(kept: SettlementReserve) -> shapes.RefundReserve:
    return {
        "chain": kept.chain,
        "amount_tiyn": kept.amount_tiyn,
        "units": kept.units,
        "target_tiyn": kept.target_tiyn,
    }


@dataclass(slots=True)
class _Rows:
    """The rows of one batch, as they are shown."""

    lines: list[SettlementLine] = field(default_factory=list)
    burns: list[SettlementBurn] = field(default_factory=list)
    transfers: list[SettlementTransfer] = field(default_factory=list)
    reserve: list[SettlementReserve] = field(default_factory=list)
    openings: list[shapes.SettlementOpening] = field(default_factory=list)
    payout: Payout | None = None

    @property
    def fees(self) -> int:
        return sum(line.fee_tiyn for line in self.lines if line.deferred_at is None)


def _check(settlement: Settlement, rows: _Rows) -> shapes.SettlementCheck:
    """The batch's arithmetic, each figure from its own rows and none from the difference."""
    opening_tiyn = sum(one["amount_tiyn"] for one in rows.openings)
    lines = [line for line in rows.lines if line.deferred_at is None]
    gross = sum(line.amount_tiyn for line in lines)
    refunds = sum(line.refunded_tiyn for line in lines)
    reserved = sum(one.amount_tiyn for one in rows.reserve)
    to_wallet = sum(one.amount_tiyn for one in rows.transfers)
    paid = 0 if rows.payout is None else rows.payout.amount_tiyn
    owed = opening_tiyn + gross - rows.fees - refunds
    return {
        "opening_tiyn": opening_tiyn,
        "gross_tiyn": gross,
        "fees_tiyn": rows.fees,
        "refunds_tiyn": refunds,
        "paid_tiyn": paid,
        "to_wallet_tiyn": to_wallet,
        "reserved_tiyn": reserved,
        "carried_tiyn": settlement.carried_tiyn,
        "unexplained_tiyn": owed - paid - to_wallet - reserved - settlement.carried_tiyn,
    }


def _fee_debt(settlement: Settlement, rows: _Rows) -> shapes.FeeDebt:
    """Fees that earlier batches left unpaid, that this one adds, and what of both it takes."""
    owed = sums.owed(
        (one["amount_tiyn"] for one in rows.openings),
        rows.fees,
        ((burn.amount_tiyn, burn.fee_tiyn) for burn in rows.burns),
    )
    rate = vat.rate_on(calendar.local_date(settlement.created_at))
    return {
        "opening_tiyn": owed.opening,
        "added_tiyn": owed.added,
        "added_vat_tiyn": vat_included_tiyn(owed.added, rate.percent),
        "collected_tiyn": owed.collected,
        "left_tiyn": owed.opening + owed.added - owed.collected,
    }


_OPENINGS = """
SELECT id, into_, amount FROM (
    SELECT id, carried_into AS into_, carried_tiyn AS amount FROM settlement
    WHERE carried_into = ANY(:ids)
    UNION ALL SELECT id, carried_into, amount_tiyn FROM payout WHERE carried_into = ANY(:ids)
) AS sources ORDER BY id
"""


async def settlement_objects(
    db: AsyncSession, settlements: Sequence[Settlement]
) -> list[dict[str, Any]]:
    """The settlements in the given order, each with all of its lines and sweeps."""
    ids = [settlement.id for settlement in settlements]
    if not ids:
        return []
    found = {id_: _Rows() for id_ in ids}
    for line in await _of(db, SettlementLine, ids, "payment"):
        found[line.settlement].lines.append(line)
    for burn in await _of(db, SettlementBurn, ids, "chain"):
        found[burn.settlement].burns.append(burn)
    for sent in await _of(db, SettlementTransfer, ids, "chain"):
        found[sent.settlement].transfers.append(sent)
    for kept in await _of(db, SettlementReserve, ids, "chain"):
        found[kept.settlement].reserve.append(kept)
    for payout in await _of(db, Payout, ids, "id"):
        found[payout.settlement].payout = payout
    for row in await db.execute(text(_OPENINGS), {"ids": ids}):
        found[row.into_].openings.append({"source": row.id, "amount_tiyn": row.amount})
    sweeps = await payments.sweeps_of(db, ids)
    return [_object(one, found[one.id], sweeps[one.id]) for one in settlements]


async def _of(db: AsyncSession, model: type[_Part], ids: Sequence[str], order: str) -> list[_Part]:
    """The rows of these batches, fresh."""
    found = select(model).where(col(model.settlement).in_(ids)).order_by(text(order))
    return list(await db.exec(found.execution_options(populate_existing=True)))


def _object(one: Settlement, rows: _Rows, sweeps: Sequence[Sweep]) -> dict[str, Any]:
    shown: shapes.Settlement = {
        "object": "settlement",
        "id": one.id,
        "merchant": one.merchant,
        "status": one.status,
        "hold": one.hold,
        "mode": one.mode,
        "split_bps": one.split_bps,
        "cut_off": None if one.cut_off is None else one.cut_off.isoformat(),
        "value_date": one.value_date.isoformat(),
        "openings": rows.openings,
        "lines": [_line(line) for line in rows.lines],
        "sweeps": [_sweep_object(sweep) for sweep in sweeps],
        "burns": [_burn_object(burn) for burn in rows.burns],
        "transfers": [_transfer_object(sent) for sent in rows.transfers],
        "reserve": [_reserve_object(kept) for kept in rows.reserve],
        "fee_debt": _fee_debt(one, rows),
        "check": _check(one, rows),
        "fee_status": one.fee_status,
        "payout": None if rows.payout is None else _payout(rows.payout),
        "created_at": clock.iso(one.created_at),
        "settled_at": _time(one.settled_at),
    }
    return plain(shown)


async def settlement_event(db: AsyncSession, settlement: Settlement) -> dict[str, Any]:
    """The settlement as the log tells it: as the API shows it, long batches shortened.

    `lines_sha256` is over the RFC 8785 form of all lines, amounts as decimal strings.
    """
    await db.flush()
    (made,) = await settlement_objects(db, [settlement])
    lines, sweeps = made["lines"], made["sweeps"]
    if len(sweeps) > SWEEPS_IN_AN_EVENT:
        made["sweeps"] = sweeps[:SWEEPS_IN_AN_EVENT]
        made["sweeps_left_out"] = len(sweeps) - SWEEPS_IN_AN_EVENT
    if len(lines) > LINES_IN_AN_EVENT:
        made["lines"] = lines[:LINES_IN_AN_EVENT]
        made["lines_left_out"] = len(lines) - LINES_IN_AN_EVENT
        made["lines_sha256"] = lines_hash(lines)
    return made
