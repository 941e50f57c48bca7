"""Resolving stray transfers by hand: send the money back, or accept it for its session."""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.errors import NotFound
from sandbox.core.money import tiyn_from_units, units_from_tiyn
from sandbox.ledger import service as ledger
from sandbox.payments import books, refunding, rows
from sandbox.payments.capture import take
from sandbox.payments.errors import (
    StrayNotAcceptable,
    StrayNotFinal,
    StrayNotRefundable,
    StrayResolved,
)
from sandbox.payments.models import StrayTransfer
from sandbox.payments.shapes import Action
from sandbox.payments.step import Step


async def resolve(
    db: AsyncSession, stray_id: str, action: Action, *, merchant: str | None
) -> StrayTransfer:
    """Send a stray back to where it came from, or accept it for the session it names.

    `merchant` limits it to strays of that merchant's sessions. Raises `NotFound`,
    `StrayResolved`, `StrayNotFinal`, `StrayNotRefundable`, `StrayNotAcceptable`, `TreasuryShort`.
    """
    step, stray = await _load(db, stray_id, merchant)
    if stray.status == "resolved" or stray.refund is not None:
        raise StrayResolved(stray.id, stray.resolution or "refund pending")
    if stray.token is not None:
        raise StrayNotRefundable(stray.id, stray.token)
    if stray.chain_state != "final":
        raise StrayNotFinal(stray.id, stray.chain_state)
    if _may_still_count(step, stray):
        raise StrayNotFinal(stray.id, stray.chain_state)
    if action == "refund":
        await _refund(step, stray)
    else:
        await _accept(step, stray)
    return stray


def _may_still_count(step: Step, stray: StrayTransfer) -> bool:
    """Whether a revert or an end still to come could make the session count this money."""
    if stray.payment is None or stray.session is None:
        return False
    session, payment = step.sessions[stray.session], step.payments[stray.payment]
    if session.captured_at is not None:
        return False
    whole = stray.amount_units == payment.amount_units
    return session.status in ("open", "complete") or not whole


async def _load(db: AsyncSession, id_: str, merchant: str | None) -> tuple[Step, StrayTransfer]:
    column = rows.table(StrayTransfer).c
    where = column.id == id_
    if merchant is not None:
        where &= column.merchant == merchant
    found = await rows.fetch(db, StrayTransfer, where)
    if not found:
        raise NotFound("stray_transfer", id_)
    step = await Step.begin(db, f"resolution of {id_}")
    if found[0].session is None:
        await step.load_strays(where)
    else:
        await step.load([found[0].session])
    return step, step.strays[id_]


async def _refund(step: Step, stray: StrayTransfer) -> None:
    if stray.payment is not None:
        payment = step.payments[stray.payment]
        # Excess of a captured payment leaves the payment as it is; else all of it goes back,
        # and none of it may count for the session any more.
        if payment.captured_at is None:
            payment.resolution = "refund"
            payment.counted_units, payment.excess_units = 0, payment.amount_units
    refund = refunding.refund_of_stray(step, stray)
    await refunding.send(step, refund, books.suspense_of(stray))


async def _accept(step: Step, stray: StrayTransfer) -> None:
    if stray.payment is None:
        raise StrayNotAcceptable(stray.id, "it names no session, so no merchant can have it")
    payment = step.payments[stray.payment]
    if payment.settlement_state not in ("none", "unsettled"):
        raise StrayNotAcceptable(stray.id, "its payment is in a settlement; send it back instead")
    units = units_from_tiyn(tiyn_from_units(stray.amount_units, stray.decimals)[0], stray.decimals)
    if units == 0:
        raise StrayNotAcceptable(stray.id, "it is less than a tiyn")
    stray.status, stray.resolution, stray.resolved_at = "resolved", "accepted", step.now
    if payment.captured_at is None:
        payment.captured_at, ref = step.now, f"{payment.id}:capture"
        payment.counted_units, payment.excess_units = units, payment.amount_units - units
    else:
        ref = f"{stray.id}:capture"
        payment.counted_units += units
        payment.excess_units -= units
    payment.resolution = "accept"
    take(step, payment, units, ref, event="resolved")
    step.tell_stray("stray.resolved", stray)
    await step.write()
    await ledger.record(step.db, step.changes)
