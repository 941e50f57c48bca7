"""What a checkout came to in one word, and what it waits for. Pure."""

from typing import Any

from sandbox.core.clock import iso
from sandbox.core.money import tiyn_from_units
from sandbox.explain import backbone
from sandbox.explain.checkout import Checkout
from sandbox.explain.links import of_id
from sandbox.explain.words import Link, Wait
from sandbox.payments.grounds import why_of
from sandbox.payments.models import CheckoutSession, Payment


def why(read: Checkout, payment: Payment) -> str:
    """`counted`, or why a payment does not count in full."""
    assert read.verdict is not None, "a payment without its session"
    if payment.chain_state == "reverted":
        return "reverted"
    return why_of(payment, read.verdict, read.stray_of(payment))


def summary(read: Checkout) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    match read.object:
        case "payment":
            [payment] = read.told
            values: dict[str, Any] = {
                "payment": payment.id,
                "session": payment.session,
                "chain": payment.chain,
                "paid_tiyn": tiyn_from_units(payment.amount_units, payment.decimals)[0],
                "counted_tiyn": tiyn_from_units(payment.counted_units, payment.decimals)[0],
                "chain_state": payment.chain_state,
                "settlement_state": payment.settlement_state,
                "fee_tiyn": payment.fee_tiyn,
            }
            found = why(read, payment)
            reasons = () if found in ("counted", "reverted") else (found,)
            return f"payment.{payment.chain_state}", values, reasons
        case "refund":
            [refund] = read.refunds
            values = {
                "refund": refund.id,
                "amount_tiyn": tiyn_from_units(refund.amount_units, refund.decimals)[0],
                "recipient": refund.recipient,
                "tx": refund.tx,
                "failure": refund.failure,
            }
            return f"refund.{refund.status}", values, ()
        case "stray_transfer":
            stray = next(one for one in read.strays if one.id == read.id)
            values = {
                "stray": stray.id,
                "chain": stray.chain,
                "tx": stray.tx,
                "amount_units": stray.foreign_amount or str(stray.amount_units),
                "token": stray.token,
                "resolution": stray.resolution,
                "proposal": stray.proposal,
            }
            return f"stray.{stray.status}", values, tuple(stray.reasons)
    session = read.session
    assert session is not None
    values = {
        "session": session.id,
        "amount_tiyn": session.amount_tiyn,
        "received_tiyn": _received_tiyn(read),
        "expires_at": iso(session.expires_at),
        "payment": session.completed_payment,
        "payments": len(read.payments),
        "is_captured": session.captured_at is not None,
    }
    return f"session.{session.status}", values, tuple(session.reasons)


def _received_tiyn(read: Checkout) -> int:
    return sum(
        tiyn_from_units(one.amount_units, one.decimals)[0]
        for one in read.payments
        if one.chain_state != "reverted"
    )


def linked(read: Checkout) -> list[Link]:
    ids: list[str] = []
    session = read.session
    if session is not None and session.id != read.id:
        ids.append(session.id)
    for payment in read.told:
        ids += [payment.id, *([payment.settlement] if payment.settlement else [])]
    ids += [one.id for one in read.strays] + [one.id for one in read.refunds]
    found = [of_id(id_, read.facts.viewer) for id_ in dict.fromkeys(ids) if id_ != read.id]
    return [one for one in found if one is not None]


def waits(read: Checkout) -> list[Wait]:
    made: list[Wait] = []
    if read.object != "refund":
        if read.session is not None:
            made += _session_waits(read, read.session)
        made += _payment_waits(read)
        made += _desk_waits(read)
    return [*made, *backbone.order_waits(read.facts), *backbone.log_waits(read.facts)]


def _session_waits(read: Checkout, session: CheckoutSession) -> list[Wait]:
    if session.status != "open" or read.object == "stray_transfer":
        return []
    left = session.amount_tiyn - sum(
        tiyn_from_units(one.counted_units, one.decimals)[0] for one in read.payments
    )
    code = "customer_pays" if left == session.amount_tiyn else "customer_pays_rest"
    if left <= 0:
        return []  # enough is there, and not final yet
    values = {"left_tiyn": left, "expires_at": iso(session.expires_at)}
    return [Wait(code, "customer", session.created_at, session.expires_at, values)]


def _payment_waits(read: Checkout) -> list[Wait]:
    made: list[Wait] = []
    unfinal = [one for one in read.named if one.chain_state == "confirmed"]
    # One for each chain: the youngest block decides.
    for chain in dict.fromkeys(one.chain for one in unfinal):
        height = max(one.height for one in unfinal if one.chain == chain)
        since = min(one.confirmed_at for one in unfinal if one.chain == chain)
        made += backbone.chain_waits(read.facts, chain, height, since)
    for chain in dict.fromkeys(one.chain for one in read.named):
        if chain in read.facts.state.halts and all(one.chain != chain for one in unfinal):
            made += backbone.chain_waits(read.facts, chain, None)
    if any(one.chain_state == "reverted" for one in read.named):
        made.append(Wait("tx_returns", "customer"))
    unsettled = [one for one in read.named if one.settlement_state == "unsettled"]
    if unsettled:
        captured = min((one.captured_at for one in unsettled if one.captured_at), default=None)
        made.append(Wait("settlement", "worker", captured, values={"count": len(unsettled)}))
    batches = {one.settlement for one in read.named if one.settlement_state == "in_batch"}
    made += [
        Wait("settlement_runs", "worker", values={"settlement": id_})
        for id_ in sorted(filter(None, batches))
    ]
    return made


def _desk_waits(read: Checkout) -> list[Wait]:
    made = []
    for stray in read.strays:
        if stray.status != "open":
            continue
        if stray.payment is None and stray.chain_state == "confirmed":
            made += backbone.chain_waits(read.facts, stray.chain, stray.height, stray.created_at)
        values = {"stray": stray.id, "proposal": stray.proposal, "reasons": stray.reasons}
        if stray.token is not None:
            code, whose = "desk_foreign", "nobody"
        elif stray.refund is not None:
            code, whose = "desk_refunding", "worker"
            values["refund"] = stray.refund
        else:
            code = f"desk_{stray.proposal}" if stray.session else "desk_unnamed"
            whose = "merchant" if stray.session else "operator"
        made.append(Wait(code, whose, stray.created_at, values=values))
    return made
