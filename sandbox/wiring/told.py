"""What events tell: the shapes of all slices, by the object's name or the event's type."""

from collections.abc import Mapping
from typing import Final

from sandbox.bank import shapes as bank
from sandbox.chains import shapes as chains
from sandbox.core.http.answers import Shape
from sandbox.lab import shapes as lab
from sandbox.ledger import shapes as ledger
from sandbox.parties import shapes as parties
from sandbox.payments import shapes as payments
from sandbox.reserve import shapes as reserve
from sandbox.settlement import shapes as settlement
from sandbox.webhooks import shapes as webhooks

TOLD: Final[Mapping[str, Shape]] = {
    "api_key": parties.ApiKey,
    "attestation": reserve.ToldAttestation,
    "breach": reserve.Breach,
    "bridge_move": reserve.ToldMove,
    "chain.halted": chains.ChainHalted,
    "chain.reorged": chains.ChainReorged,
    "chain.resumed": chains.ChainResumed,
    "chain.unexplained_outflow": chains.UnexplainedTransfer,
    "chain.unexplained_supply": chains.UnexplainedTransfer,
    "chain_order": reserve.ChainOrder,
    "checkout_session": payments.ToldSession,
    "clock": lab.ToldClock,
    "credit_reversal": reserve.ToldReversal,
    "deposit": reserve.Deposit,
    "faucet_grant": lab.FaucetGrant,
    "fee_plan": parties.FeePlan,
    "issuance": reserve.Issuance,
    "merchant": parties.Merchant,
    "minting.halted": reserve.MintingHalted,
    "minting.resumed": reserve.MintingResumed,
    "payment": payments.Payment,
    "payout": settlement.Payout,
    "pending_credit": reserve.PendingCredit,
    "received_statement": bank.ReceivedStatement,
    "redemption": reserve.ToldRedemption,
    "refund": payments.Refund,
    "sealed_day": ledger.SealedDay,
    "send_back": reserve.SendBack,
    "settlement": settlement.ToldSettlement,
    "stray_transfer": payments.AnyStray,
    "sweep": payments.Sweep,
    "unit_receipt": reserve.UnitReceipt,
    "unit_sweep": reserve.UnitSweep,
    "webhook_endpoint": webhooks.WebhookEndpoint,
    "world": lab.ToldWorld,
}
