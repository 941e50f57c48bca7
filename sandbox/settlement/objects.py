"""Settlements and payouts as the API and the log show them (CONTRACT 8)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.payments import service as payments
from sandbox.payments.models import Sweep
from sandbox.settlement.models import Payout, Settlement, SettlementBurn, SettlementLine
from sandbox.settlement.report import lines_hash

LINES_IN_AN_EVENT: Final = 100
"""A leaf of the log is bounded; of a longer batch it holds the first lines and a hash of all."""
SWEEPS_IN_AN_EVENT: Final = 10
"""Each has an event of its own besides."""


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else clock.iso(moment)


def payout_object(payout: Payout) -> dict[str, Any]:
    """The payout as its own object; a settlement shows the same."""
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


def _sweep_object(sweep: Sweep) -> dict[str, Any]:
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


def _burn_object(burn: SettlementBurn) -> dict[str, Any]:
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


def _check(
    settlement: Settlement,
    lines: Sequence[SettlementLine],
    openings: Sequence[Mapping[str, Any]],
    payout: Payout | None,
) -> dict[str, int]:
    """The batch's arithmetic, each figure from its own rows and none from the difference."""
    opening_tiyn = sum(one["amount_tiyn"] for one in openings)
    lines = [line for line in lines if line.deferred_at is None]
    gross = sum(line.amount_tiyn for line in lines)
    fees = sum(line.fee_tiyn for line in lines)
    refunds = sum(line.refunded_tiyn for line in lines)
    paid = 0 if payout is None else payout.amount_tiyn
    owed = opening_tiyn + gross - fees - refunds
    return {
        "opening_tiyn": opening_tiyn,
        "gross_tiyn": gross,
        "fees_tiyn": fees,
        "refunds_tiyn": refunds,
        "paid_tiyn": paid,
        "carried_tiyn": settlement.carried_tiyn,
        "unexplained_tiyn": owed - paid - settlement.carried_tiyn,
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
    fresh = {"populate_existing": True}
    lines: dict[str, list[SettlementLine]] = {id_: [] for id_ in ids}
    found = select(SettlementLine).where(col(SettlementLine.settlement).in_(ids))
    for line in await db.exec(
        found.order_by(col(SettlementLine.payment)).execution_options(**fresh)
    ):
        lines[line.settlement].append(line)
    burns: dict[str, list[SettlementBurn]] = {id_: [] for id_ in ids}
    burned = select(SettlementBurn).where(col(SettlementBurn.settlement).in_(ids))
    for burn in await db.exec(
        burned.order_by(col(SettlementBurn.chain)).execution_options(**fresh)
    ):
        burns[burn.settlement].append(burn)
    paid = select(Payout).where(col(Payout.settlement).in_(ids)).execution_options(**fresh)
    payouts = {payout.settlement: payout for payout in await db.exec(paid)}
    sweeps = await payments.sweeps_of(db, ids)
    openings: dict[str, list[dict[str, Any]]] = {id_: [] for id_ in ids}
    for row in await db.execute(text(_OPENINGS), {"ids": ids}):
        openings[row.into_].append({"source": row.id, "amount_tiyn": row.amount})
    return [
        {
            "object": "settlement",
            "id": one.id,
            "merchant": one.merchant,
            "status": one.status,
            "hold": one.hold,
            "cut_off": None if one.cut_off is None else one.cut_off.isoformat(),
            "value_date": one.value_date.isoformat(),
            "openings": openings[one.id],
            "lines": [line_object(line) for line in lines[one.id]],
            "sweeps": [_sweep_object(sweep) for sweep in sweeps[one.id]],
            "burns": [_burn_object(burn) for burn in burns[one.id]],
            "check": _check(one, lines[one.id], openings[one.id], payouts.get(one.id)),
            "fee_status": one.fee_status,
            "payout": payout_object(payouts[one.id]) if one.id in payouts else None,
            "created_at": clock.iso(one.created_at),
            "settled_at": _time(one.settled_at),
        }
        for one in settlements
    ]


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
