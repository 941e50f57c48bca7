"""Why a payment counts or does not: the verdict of `judge`, rule by rule, with what was compared.

Nothing is judged here. A rule's outcome follows from the verdict alone; the values beside it are
the facts that the verdict was made of.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.core.clock import iso
from sandbox.core.money import tiyn_from_units
from sandbox.payments.judge import Verdict
from sandbox.payments.models import CheckoutSession, Payment, StrayTransfer

Result = Literal["pass", "fail", "waiting", "not_needed"]


@dataclass(frozen=True, slots=True)
class Ground:
    """One rule. `waiting`: not decided yet; `not_needed`: another rule decided before."""

    code: str
    result: Result
    values: Mapping[str, Any]


def why_of(payment: Payment, verdict: Verdict, stray: StrayTransfer | None) -> str:
    """In one word what a payment came to: `counted`, or why it does not count in full.

    Of money that was decided by hand, what the desk said of it before.
    """
    if payment.resolution is not None and stray is not None and stray.reasons:
        return stray.reasons[0]
    if payment.captured_at is not None:
        return "overpaid" if payment.excess_units else "counted"
    why = verdict.shares[payment.id].why
    if why == "counted" and verdict.status == "expired" and "underpaid" in verdict.reasons:
        return "underpaid"
    return why


def grounds(
    session: CheckoutSession,
    payment: Payment,
    verdict: Verdict,
    stray: StrayTransfer | None,
    policy: str,
) -> list[Ground]:
    """Every rule that decides of a payment, in the order in which they are asked."""
    why = why_of(payment, verdict, stray)
    is_gone = payment.chain_state == "reverted"
    found = [_in_chain(payment)]
    ended = is_gone
    for code, failing in _BEFORE_AMOUNT:
        fails = why == failing and (code != "not_canceled" or session.status == "canceled")
        if code == "in_time" and session.status == "canceled":
            fails = False
        result: Result = "not_needed" if ended else "fail" if fails else "pass"
        found.append(Ground(code, result, _compared(code, session, payment)))
        ended = ended or fails
    found += _amount(session, payment, verdict, why, ended=ended)
    if payment.resolution is not None:
        result = "pass" if payment.resolution == "accept" else "fail"
        found.append(Ground("decided_by_hand", result, {"decision": payment.resolution}))
    found.append(_final(payment, policy, ended=ended))
    return found


# Rule → the share's `why` that fails it; a canceled session says `late` of all that comes.
_BEFORE_AMOUNT = (("not_canceled", "late"), ("not_paid_already", "duplicate"), ("in_time", "late"))


def _in_chain(payment: Payment) -> Ground:
    values = {
        "chain": payment.chain,
        "height": payment.height,
        "inclusion": payment.inclusion,
        "state": payment.chain_state,
    }
    return Ground("in_chain", "fail" if payment.chain_state == "reverted" else "pass", values)


def _compared(code: str, session: CheckoutSession, payment: Payment) -> dict[str, Any]:
    if code == "in_time":
        return {
            "block_at": iso(payment.first_block_time),
            "expires_at": iso(session.expires_at),
        }
    if code == "not_canceled":
        at = session.canceled_at
        return {"status": session.status, "canceled_at": None if at is None else iso(at)}
    return {"completed_by": session.completed_payment}


def _amount(
    session: CheckoutSession, payment: Payment, verdict: Verdict, why: str, *, ended: bool
) -> list[Ground]:
    counted = tiyn_from_units(payment.counted_units, payment.decimals)[0]
    values = {
        "asked_tiyn": session.amount_tiyn,
        "paid_tiyn": tiyn_from_units(payment.amount_units, payment.decimals)[0],
        "counted_tiyn": counted,
        "paid_units": payment.amount_units,
        "excess_units": payment.excess_units,
    }
    if ended:
        return [Ground("amount", "not_needed", values)]
    is_short = "underpaid" in verdict.reasons
    waits = is_short and session.status == "open"
    enough: Result = "waiting" if waits else "fail" if is_short else "pass"
    over = Ground("not_too_much", "fail" if why == "overpaid" else "pass", values)
    return [Ground("amount", enough, values), over]


def _final(payment: Payment, policy: str, *, ended: bool) -> Ground:
    values = {"state": payment.chain_state, "policy": policy, "height": payment.height}
    if payment.chain_state == "final":
        return Ground("final", "pass", values)
    return Ground("final", "not_needed" if ended else "waiting", values)
