"""Capture: when counted money becomes the merchant's, and what the fee is."""

from sandbox.core.money import fee_tiyn, tiyn_from_units
from sandbox.payments import books
from sandbox.payments.models import Payment
from sandbox.payments.step import Step


def fee_of(payment: Payment) -> int:
    """The fee in tiyn on what a captured payment still counts for, without completed refunds.

    Of the plan in force at the capture, on amount − refunds: a refund before settlement gives its
    share of the fee back (DESIGN 4.6). The fixed part and the minimum stay, up to what was paid:
    they may be more than what a refund left.
    """
    assert payment.fee_bps is not None
    kept = payment.counted_units - payment.refunded_units
    return fee_tiyn(
        tiyn_from_units(kept, payment.decimals)[0],
        payment.fee_bps,
        # Captured before plans had these parts.
        payment.fee_fixed_tiyn or 0,
        payment.fee_minimum_tiyn or 0,
        at_most_tiyn=tiyn_from_units(payment.counted_units, payment.decimals)[0],
    )


def capture_due(step: Step, session_ids: list[str]) -> None:
    """Capture the sessions that are complete and whose counted payments are all final."""
    grouped = step.by_session()
    for session_id in session_ids:
        session, verdict = step.sessions[session_id], step.verdicts[session_id]
        counted = [
            payment
            for payment in grouped[session_id]
            if verdict.shares[payment.id].why in ("counted", "overpaid")
        ]
        if session.captured_at is not None or session.status != "complete":
            continue
        if any(payment.chain_state != "final" for payment in counted):
            continue
        session.captured_at = step.now
        for payment in counted:
            if payment.captured_at is not None:
                continue  # accepted by hand while the session seemed over
            payment.captured_at = step.now
            if payment.counted_units:
                take(step, payment, payment.counted_units, f"{payment.id}:capture")


def take(step: Step, payment: Payment, units: int, ref: str, event: str = "captured") -> None:
    """Make `units` of a final payment the merchant's; `payment.counted_units` holds them already.

    The plan in force at this moment gives the fee, and stays with the payment.
    """
    entry = books.captured(payment, ref, units, step.now, step.cause)
    step.changes.entries.append(entry)
    if payment.fee_bps is None:
        plan = step.plans[payment.merchant]
        payment.fee_plan, payment.fee_bps = plan.version, plan.fee_bps
        payment.fee_fixed_tiyn, payment.fee_minimum_tiyn = plan.fixed_tiyn, plan.minimum_tiyn
    payment.fee_tiyn = fee_of(payment)
    payment.settlement_state = "unsettled"
    payment.capture_entry = payment.capture_entry or entry.id
    step.tell_payment(f"payment.{event}", payment, refs=(ref,))
