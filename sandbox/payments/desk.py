"""The stray desk: every unit in suspense that no session counts stands here, with a proposal."""

from typing import TYPE_CHECKING, NamedTuple

from sandbox.core.ids import new_id
from sandbox.core.money import units_from_tiyn
from sandbox.payments.models import CheckoutSession, Payment, StrayTransfer

if TYPE_CHECKING:
    from sandbox.payments.step import Step


class Wanted(NamedTuple):
    """What the desk should say of one payment."""

    amount_units: int
    reasons: list[str]
    proposal: str


def wanted(session: CheckoutSession, payment: Payment, why: str) -> Wanted | None:
    """What of a judged payment belongs on the desk; None when all of it counts.

    Late money that would have paid the session is proposed to be accepted, all else to be sent
    back; short money waits for more until its session ends.
    """
    if payment.chain_state == "reverted":
        return None
    if why == "late":
        enough = payment.amount_units >= units_from_tiyn(session.amount_tiyn, payment.decimals)
        accept = enough and session.status == "expired"
        return Wanted(payment.amount_units, ["late"], "accept" if accept else "refund")
    if why in ("overpaid", "duplicate") and payment.excess_units:
        return Wanted(payment.excess_units, [why], "refund")
    if session.status == "expired" and "underpaid" in session.reasons:
        return Wanted(payment.amount_units, ["underpaid"], "refund")
    return None


def keep(step: "Step", session_ids: list[str]) -> None:
    """Bring the desk's rows of these judged sessions to what their verdicts say."""
    by_payment = {stray.payment: stray for stray in step.strays.values() if stray.payment}
    payments = step.by_session()
    for session_id in session_ids:
        session, verdict = step.sessions[session_id], step.verdicts[session_id]
        for payment in payments[session_id]:
            stray = by_payment.get(payment.id)
            if payment.resolution is not None or (stray is not None and _by_hand(stray)):
                continue
            fixed = payment.captured_at is not None
            why = "overpaid" if fixed else verdict.shares[payment.id].why
            _keep_one(step, session, payment, stray, wanted(session, payment, why))


def _by_hand(stray: StrayTransfer) -> bool:
    return stray.refund is not None or stray.resolution in ("accepted", "refunded")


def _keep_one(
    step: "Step",
    session: CheckoutSession,
    payment: Payment,
    stray: StrayTransfer | None,
    want: Wanted | None,
) -> None:
    if stray is None:
        if want is not None:
            _add(step, session, payment, want)
        return
    before = (stray.status, stray.amount_units, stray.reasons, stray.inclusion)
    stray.chain_state, stray.inclusion = payment.chain_state, payment.inclusion
    stray.height = payment.height
    if want is not None:
        stray.amount_units, stray.reasons, stray.proposal = want
        stray.status, stray.resolution, stray.resolved_at = "open", None, None
        if (stray.status, stray.amount_units, stray.reasons, stray.inclusion) != before:
            step.tell_stray("stray.recorded", stray)
    elif stray.status == "open":
        gone = payment.chain_state == "reverted"
        stray.status, stray.resolved_at = "resolved", step.now
        stray.resolution = "reverted" if gone else "counted"
        step.tell_stray("stray.reverted" if gone else "stray.resolved", stray)


def _add(step: "Step", session: CheckoutSession, payment: Payment, want: Wanted) -> None:
    stray = StrayTransfer(
        id=new_id("str", step.now),
        chain=payment.chain,
        decimals=payment.decimals,
        tx=payment.tx,
        ordinal=payment.ordinal,
        from_address=payment.from_address,
        amount_units=want.amount_units,
        session=session.id,
        payment=payment.id,
        merchant=session.merchant,
        proposal=want.proposal,
        reasons=want.reasons,
        status="open",
        chain_state=payment.chain_state,
        inclusion=payment.inclusion,
        height=payment.height,
        created_at=step.now,
    )
    step.strays[stray.id] = stray
    step.new_strays.append(stray)
    step.tell_stray("stray.recorded", stray)
