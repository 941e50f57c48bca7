"""What can be triggered, as data: simulated payers and scenarios, with the events that follow.

Light to import: the command line reads it for its help and completion. What runs is in `payers` and
`plays`.
"""

from collections.abc import Mapping
from typing import Final

from sandbox.lab.payer_list import PAYERS, Scenario
from sandbox.lab.play_list import PLAYS

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
    "stray.reverted": "stray_reverted",
    "settlement.line_deferred": "line_deferred",
    "settlement.transferred": "settled_to_wallet",
    "merchant.updated": "merchant_terms",
    "merchant.fee_plan_offered": "merchant_terms",
    "merchant.fee_plan_consented": "merchant_terms",
    "api_key.created": "key_rotated",
    "api_key.rotated": "key_rotated",
    "api_key.revoked": "key_rotated",
    "reserve.deposit_announced": "deposit_announced",
    "reserve.shortfall_covered": "minting_halted",
    "reserve.issuance_requested": "minted",
    "reserve.issuance_issued": "minted",
    "reserve.units_confirmed": "redeemed",
    "reserve.units_final": "redeemed",
    "reserve.redemption_burn_requested": "redeemed",
    "reserve.redemption_paid": "redemption_paid",
    "reserve.redemption_rejected": "redemption_rejected",
    "reserve.redemption_returned": "redemption_returned",
    "reserve.redemption_payout_retried": "redemption_rejected",
    "reserve.redemption_canceled": "redemption_canceled",
    "reserve.send_back_requested": "redemption_canceled",
    "reserve.send_back_sent": "redemption_canceled",
    "reserve.redemption_expired": "intakes_expired",
    "reserve.move_expired": "intakes_expired",
    "reserve.move_requested": "moved",
    "reserve.move_received": "moved",
    "reserve.move_burn_requested": "moved",
    "reserve.move_burned": "moved",
    "reserve.move_mint_requested": "moved",
    "reserve.move_minted": "moved",
    "reserve.move_canceled": "move_canceled",
    "minting.halted": "minting_halted",
    "minting.resumed": "minting_halted",
    "reserve.attested": "attested",
    "chain.order_requested": "holder_frozen",
    "chain.order_done": "holder_frozen",
    "chain.order_failed": "seizure_failed",
    "faucet.failed": "holder_frozen",
    "chain.halted": "chain_halted",
    "chain.resumed": "chain_halted",
    "reserve.breach_found": "breach_found",
    "reserve.cover_failed": "shortfall_covered",
    "reserve.receivable_written_off": "shortfall_covered",
    "reserve.receivable_restored": "shortfall_covered",
    "reserve.receivable_repaid": "shortfall_covered",
    "reserve.move_mint_waits": "move_waits",
    "reserve.units_reverted": "units_reorged",
    "reserve.units_swept": "units_swept",
}
"""Event type → the scenario that ends with it most directly."""


def payer_for(amount_tiyn: int) -> Scenario:
    """The payer that an amount asks for by its last two digits; usually `exact`."""
    return BY_ENDING.get(amount_tiyn % ENDING_BASE, BY_NAME["exact"])


def named(name: str) -> Scenario | None:
    """The scenario of this name, or the one that brings about the event of this type."""
    return BY_NAME.get(BY_EVENT.get(name, name))
