"""What can be triggered, as data: simulated payers and scenarios, with the events that follow.

Light to import: the command line reads it for its help and completion. What runs is in `payers` and
`plays`.
"""

from collections.abc import Mapping
from typing import Final

from sandbox.lab.payer_list import PAID, PAYERS, Scenario

__all__ = [
    "ALL",
    "BY_ENDING",
    "BY_EVENT",
    "BY_NAME",
    "PAYERS",
    "PLAYS",
    "Scenario",
    "named",
    "payer_for",
]

ENDING_BASE: Final = 100
"""An amount's last two digits are whole tiyn, which no price in a shop has."""

_SETTLED: Final = ("settlement.created", "settlement.burned", "settlement.settled", "payout.sent")

PLAYS: Final = (
    Scenario("session", "makes a session and leaves it open", ("checkout.session.created",)),
    Scenario(
        "session_expired",
        "makes a session and moves the clock past its end",
        ("checkout.session.created", "checkout.session.expired"),
        moves_clock=True,
    ),
    Scenario(
        "session_canceled",
        "makes a session and cancels it",
        ("checkout.session.created", "checkout.session.canceled"),
    ),
    Scenario(
        "final",
        "pays exactly and waits until the block is final",
        (*PAID, "payment.final", "payment.captured"),
    ),
    Scenario(
        "reorg_healed",
        "pays; a reorganisation takes the block, and the new blocks have the payment again",
        ("payment.confirmed", "chain.reorged", "payment.captured"),
        note="waits until the payment is final",
    ),
    Scenario(
        "refunded",
        "pays, waits for the capture, refunds the whole",
        (*PAID, "refund.requested", "refund.completed"),
    ),
    Scenario(
        "refund_failed",
        "pays, freezes the payer, refunds: the chain refuses, the merchant has the money again",
        (*PAID, "refund.requested", "refund.failed"),
    ),
    Scenario(
        "overpaid_returned",
        "pays too much and sends the excess back",
        (*PAID, "stray.recorded", "payment.resolved", "refund.completed"),
    ),
    Scenario(
        "stray_final",
        "pays with another token and waits until its block is final",
        ("stray.recorded", "stray.final"),
    ),
    Scenario(
        "stray_returned",
        "pays twice and sends the second payment back once it is final",
        (*PAID, "stray.recorded", "stray.resolved"),
    ),
    Scenario(
        "late_accepted",
        "pays late; the merchant takes the money all the same",
        ("checkout.session.expired", "stray.recorded", "payment.resolved"),
        moves_clock=True,
    ),
    Scenario(
        "settled",
        "pays and settles: the units are burned, the bank has the payout's order",
        (*PAID, *_SETTLED),
        note="`paid_out` moves the clock to where the bank books it",
    ),
    Scenario(
        "settle_race",
        "pays and settles ten times at once: one wins, nine find nothing to settle",
        (*PAID, *_SETTLED),
    ),
    Scenario(
        "paid_out",
        "settles and moves the clock to the value date: the bank books payout and fee",
        (*_SETTLED, "payout.completed", "settlement.fee_paid"),
        moves_clock=True,
    ),
    Scenario(
        "payout_rejected",
        "settles while the bank rejects the order; the next batch opens with the money",
        ("settlement.settled", "payout.rejected"),
        moves_clock=True,
    ),
    Scenario(
        "payout_returned",
        "settles; the bank books the payout, and the payee's bank sends it back",
        ("settlement.settled", "payout.sent", "payout.returned"),
        moves_clock=True,
    ),
    Scenario(
        "deposit",
        "lets a payment reach the reserve account",
        ("reserve.deposit_received",),
    ),
    Scenario(
        "deposit_reversed",
        "lets a payment reach the reserve account, and the bank take it back",
        ("reserve.deposit_received", "reserve.deposit_reversed"),
    ),
    Scenario("faucet", "gives test tokens and coin to a customer", ("faucet.sent",)),
    Scenario("merchant", "signs a merchant up", ("merchant.created",)),
    Scenario(
        "merchant_suspended",
        "signs a merchant up and suspends it",
        ("merchant.created", "merchant.status_changed"),
    ),
    Scenario(
        "redeemed",
        "lets a holder give tokens back: they are burned, the bank has the order to pay it",
        (
            "reserve.redemption_requested",
            "reserve.redemption_received",
            "reserve.redemption_burned",
            "reserve.redemption_sent",
        ),
    ),
    Scenario(
        "swept",
        "pays at a deposit address, wherever a chain has them, and settles: it is emptied",
        (*PAID, "sweep.final", *_SETTLED),
    ),
    Scenario("clock", "moves the clock by one minute", ("clock.moved",), moves_clock=True),
    Scenario(
        "day_ends",
        "pays and moves the clock behind midnight in Almaty: statements come, the books are sealed",
        ("clock.moved", "bank.statement_received", "ledger.day_sealed"),
        moves_clock=True,
    ),
    Scenario(
        "rpc_trouble",
        "pays; the chain's node then answers nothing but errors for a while: nothing is lost",
        PAID,
    ),
    Scenario(
        "broadcast_lost",
        "refunds while the node loses what it is sent: the worker finds out and sends anew",
        (*PAID, "refund.requested", "refund.completed"),
        note="waits until the lost transaction can never happen any more",
    ),
)

ALL: Final = (*PAYERS, *PLAYS)
BY_NAME: Final[Mapping[str, Scenario]] = {one.name: one for one in ALL}
BY_ENDING: Final[Mapping[int, Scenario]] = {
    one.ending: one for one in PAYERS if one.ending is not None
}

BY_EVENT: Final[Mapping[str, str]] = {
    "checkout.session.created": "session",
    "checkout.session.underpaid": "short",
    "checkout.session.completed": "exact",
    "checkout.session.expired": "session_expired",
    "checkout.session.canceled": "session_canceled",
    "checkout.session.reverted": "reorged",
    "payment.confirmed": "exact",
    "payment.final": "final",
    "payment.reverted": "reorged",
    "payment.captured": "final",
    "payment.resolved": "overpaid_returned",
    "refund.requested": "refunded",
    "refund.completed": "refunded",
    "refund.failed": "refund_failed",
    "stray.recorded": "twice",
    "stray.resolved": "stray_returned",
    "stray.final": "stray_final",
    "settlement.created": "settled",
    "settlement.burned": "settled",
    "settlement.settled": "settled",
    "settlement.fee_paid": "paid_out",
    "payout.sent": "settled",
    "payout.completed": "paid_out",
    "payout.rejected": "payout_rejected",
    "payout.returned": "payout_returned",
    "merchant.created": "merchant",
    "merchant.status_changed": "merchant_suspended",
    "reserve.redemption_requested": "redeemed",
    "reserve.redemption_received": "redeemed",
    "reserve.redemption_burned": "redeemed",
    "reserve.redemption_sent": "redeemed",
    "sweep.final": "swept",
    "reserve.deposit_received": "deposit",
    "reserve.deposit_reversed": "deposit_reversed",
    "chain.reorged": "reorged",
    "faucet.sent": "faucet",
    "clock.moved": "clock",
    "bank.statement_received": "day_ends",
    "ledger.day_sealed": "day_ends",
}
"""Event type → the scenario that ends with it most directly."""


def payer_for(amount_tiyn: int) -> Scenario:
    """The payer that an amount asks for by its last two digits; usually `exact`."""
    return BY_ENDING.get(amount_tiyn % ENDING_BASE, BY_NAME["exact"])


def named(name: str) -> Scenario | None:
    """The scenario of this name, or the one that brings about the event of this type."""
    return BY_NAME.get(BY_EVENT.get(name, name))
