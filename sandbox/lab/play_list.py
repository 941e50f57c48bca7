"""Scenarios of business, as data: what each does, and the events that follow."""

from typing import Final

from sandbox.lab.payer_list import PAID, Scenario

_REDEEMED: Final = (
    "reserve.redemption_requested",
    "reserve.units_confirmed",
    "reserve.units_final",
    "reserve.redemption_received",
    "reserve.redemption_burn_requested",
    "reserve.redemption_burned",
    "reserve.redemption_sent",
)
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
        "deposit_announced",
        "has the bank tell of a payment that is on its way, and then book it",
        ("reserve.deposit_announced", "reserve.deposit_received"),
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
        _REDEEMED,
    ),
    Scenario(
        "redemption_paid",
        "redeems and moves the clock to the value date: the bank pays the holder",
        (*_REDEEMED, "reserve.redemption_paid"),
        moves_clock=True,
    ),
    Scenario(
        "redemption_rejected",
        "redeems to an account that the bank rejects orders to; it is ordered again, elsewhere",
        (
            "reserve.redemption_requested",
            "reserve.redemption_rejected",
            "reserve.redemption_payout_retried",
            "reserve.redemption_sent",
        ),
    ),
    Scenario(
        "redemption_returned",
        "redeems; the payee's bank sends the payment back; it is ordered again, elsewhere",
        (
            "reserve.redemption_sent",
            "reserve.redemption_returned",
            "reserve.redemption_payout_retried",
        ),
        moves_clock=True,
    ),
    Scenario(
        "units_reorged",
        "redeems; a reorganisation takes the units' block, and the new blocks have them again",
        (
            "reserve.units_confirmed",
            "chain.reorged",
            "reserve.units_reverted",
            "reserve.units_final",
            "reserve.redemption_sent",
        ),
    ),
    Scenario(
        "units_swept",
        "redeems to an address of its own, wherever a chain has them: it is emptied",
        ("reserve.units_swept", *_REDEEMED),
    ),
    Scenario(
        "redemption_canceled",
        "lets a holder give half, and gives the redemption up: what came goes back",
        (
            "reserve.redemption_requested",
            "reserve.units_final",
            "reserve.redemption_canceled",
            "reserve.send_back_requested",
            "reserve.send_back_sent",
        ),
    ),
    Scenario(
        "intakes_expired",
        "asks for a redemption and a move that nobody sends units for",
        ("reserve.redemption_expired", "reserve.move_expired"),
        moves_clock=True,
    ),
    Scenario(
        "moved",
        "lets a holder move tokens to another chain: burned here, minted there",
        (
            "reserve.move_requested",
            "reserve.units_confirmed",
            "reserve.units_final",
            "reserve.move_received",
            "reserve.move_burn_requested",
            "reserve.move_burned",
            "reserve.move_mint_requested",
            "reserve.move_minted",
        ),
    ),
    Scenario(
        "move_waits",
        "lets a holder move tokens while minting is off: they are minted when it is on again",
        (
            "minting.halted",
            "reserve.move_burned",
            "reserve.move_mint_waits",
            "minting.resumed",
            "reserve.move_minted",
        ),
        note="nothing is minted meanwhile, for nobody",
    ),
    Scenario(
        "move_canceled",
        "asks for a move and gives it up",
        ("reserve.move_requested", "reserve.move_canceled"),
    ),
    Scenario(
        "minted",
        "lets a payment reach the reserve account and makes tokens of it",
        ("reserve.deposit_received", "reserve.issuance_requested", "reserve.issuance_issued"),
    ),
    Scenario(
        "minting_halted",
        "makes tokens of a payment that the bank then takes back: minting is off until it is made"
        " good",
        (
            "reserve.issuance_issued",
            "reserve.deposit_reversed",
            "minting.halted",
            "reserve.shortfall_covered",
            "minting.resumed",
        ),
        note="nothing is minted meanwhile, for nobody",
    ),
    Scenario(
        "shortfall_covered",
        "makes tokens of a payment that the bank then takes back; the issuer covers it with its"
        " fees, at the second try, and the customer pays late",
        (
            "reserve.deposit_reversed",
            "minting.halted",
            "reserve.cover_failed",
            "reserve.shortfall_covered",
            "reserve.receivable_written_off",
            "reserve.receivable_restored",
            "reserve.receivable_repaid",
            "minting.resumed",
        ),
        moves_clock=True,
        note="nothing is minted meanwhile, for nobody",
    ),
    Scenario(
        "breach_found",
        "lets the bank tell two amounts of one payment: I6 is red and minting off until it takes"
        " the wrong one back",
        ("reserve.breach_found", "minting.halted", "minting.resumed"),
        note="nothing is minted meanwhile, for nobody",
    ),
    Scenario("attested", "has supply and reserve attested", ("reserve.attested",)),
    Scenario(
        "holder_frozen",
        "gives a customer tokens and freezes it: the next grant fails",
        ("faucet.sent", "chain.order_requested", "chain.order_done", "faucet.failed"),
    ),
    Scenario(
        "seizure_failed",
        "freezes a customer and seizes more than it has",
        ("chain.order_requested", "chain.order_failed"),
    ),
    Scenario(
        "key_rotated",
        "makes an API key, gives it a new secret and ends it",
        ("api_key.created", "api_key.rotated", "api_key.revoked"),
    ),
    Scenario(
        "merchant_terms",
        "signs a merchant up, changes its terms, and has it consent to a fee plan",
        (
            "merchant.created",
            "merchant.updated",
            "merchant.fee_plan_offered",
            "merchant.fee_plan_consented",
        ),
    ),
    Scenario(
        "settled_to_wallet",
        "signs a merchant up that keeps its tokens, pays it and settles: they go to its wallet",
        ("merchant.updated", "settlement.created", "settlement.transferred", "settlement.settled"),
    ),
    Scenario(
        "stray_reverted",
        "pays too much; a reorganisation takes payment and excess",
        ("stray.recorded", "payment.reverted", "stray.reverted"),
    ),
    Scenario(
        "line_deferred",
        "pays at a deposit address that is then frozen, and settles: the payment waits",
        ("payment.captured", "chain.order_done", "settlement.line_deferred"),
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
    Scenario(
        "chain_halted",
        "pays; the worker fails three times at the payment's block and halts; somebody lets it"
        " follow the chain again, and then mint",
        ("chain.halted", "minting.halted", "chain.resumed", "payment.captured", "minting.resumed"),
        note="the chain's payments wait meanwhile, and nothing is minted, for nobody",
    ),
)
