"""The table role × route (CONTRACT 9). `require()` and its test read the same data.

A route that is not here cannot be called by anyone: the application refuses to start with it.
"""

from typing import Literal

Role = Literal["public", "merchant", "developer", "issuer", "operator", "regulator", "fund_officer"]
Access = Literal["own", "all", "read", "totals", "yes", "seeded"]
"""own: the caller's own objects; totals: sums only; seeded: the merchant of endpoints.json only."""

ROLES: tuple[Role, ...] = (
    "public", "merchant", "developer", "issuer", "operator", "regulator", "fund_officer",
)  # fmt: skip

_PUBLIC: dict[Role, Access] = dict.fromkeys(ROLES, "yes")
_MERCHANT_WRITES: dict[Role, Access] = {"merchant": "own", "developer": "own"}
_MERCHANT_READS: dict[Role, Access] = {
    "merchant": "own", "developer": "own", "operator": "all", "regulator": "all",
}  # fmt: skip
_SETTLES: dict[Role, Access] = {"merchant": "own", "developer": "own", "operator": "all"}
_STRAY_READS: dict[Role, Access] = {
    "merchant": "own", "developer": "own", "operator": "all", "regulator": "read",
}  # fmt: skip
_RESERVE_READS: dict[Role, Access] = {
    "merchant": "totals", "developer": "totals", "issuer": "all", "operator": "all",
    "regulator": "read",
}  # fmt: skip
# They hold sums only, and are made for everybody to read.
_ATTESTATIONS: dict[Role, Access] = {
    "merchant": "totals", "developer": "totals", "issuer": "all", "operator": "all",
    "regulator": "read",
}  # fmt: skip
_RESERVE_ACTS: dict[Role, Access] = {"issuer": "all", "operator": "all"}
_RESERVE_LISTS: dict[Role, Access] = {"issuer": "all", "operator": "all", "regulator": "read"}
_STATEMENTS: dict[Role, Access] = {
    "merchant": "own", "developer": "own", "issuer": "read", "operator": "all", "regulator": "all",
}  # fmt: skip
_PARTIES: dict[Role, Access] = {
    "merchant": "own", "developer": "own", "operator": "all", "regulator": "read",
}  # fmt: skip
_PARTIES_WRITE: dict[Role, Access] = {"merchant": "own", "developer": "own", "operator": "all"}
# What a key sent itself, whichever role it has.
_OWN: dict[Role, Access] = {role: "own" for role in ROLES if role != "public"}
_REQUESTS: dict[Role, Access] = {**_OWN, "operator": "all", "regulator": "all"}
_SANDBOX: dict[Role, Access] = {"merchant": "seeded", "developer": "yes", "operator": "yes"}
_AUDIT: dict[Role, Access] = {
    "merchant": "seeded", "developer": "yes", "operator": "yes", "regulator": "yes",
}  # fmt: skip

RULES: dict[tuple[str, str], dict[Role, Access]] = {
    ("GET", "/healthz"): _PUBLIC,
    ("GET", "/readyz"): _PUBLIC,
    ("GET", "/metrics"): {"operator": "yes"},
    ("GET", "/openapi.json"): _PUBLIC,
    ("GET", "/docs"): _PUBLIC,
    ("GET", "/docs/errors"): _PUBLIC,
    ("GET", "/"): _PUBLIC,
    ("GET", "/pay/assets/{name}"): _PUBLIC,
    ("GET", "/pay/{session_id}"): _PUBLIC,
    ("GET", "/pay/{session_id}/{chain}.svg"): _PUBLIC,
    ("GET", "/pay/{session_id}/state"): _PUBLIC,
    ("GET", "/pay/{session_id}/{chain}/transaction"): _PUBLIC,
    ("POST", "/pay/{session_id}/{chain}/transaction"): _PUBLIC,
    ("GET", "/log/checkpoint"): _PUBLIC,
    ("GET", "/log/vkey"): _PUBLIC,
    ("GET", "/log/tile/entries/{path:path}"): {"regulator": "yes"},
    ("GET", "/log/tile/{level}/{path:path}"): _PUBLIC,
    ("POST", "/v1/merchants"): {"operator": "all"},
    ("GET", "/v1/merchants"): _PARTIES,
    ("GET", "/v1/merchants/{merchant_id}"): _PARTIES,
    ("POST", "/v1/merchants/{merchant_id}"): _PARTIES_WRITE,
    ("POST", "/v1/merchants/{merchant_id}/status"): {"operator": "all"},
    ("POST", "/v1/merchants/{merchant_id}/settlement_terms"): _PARTIES_WRITE,
    ("GET", "/v1/merchants/{merchant_id}/fee_plans"): _PARTIES,
    ("POST", "/v1/merchants/{merchant_id}/fee_plans"): {"operator": "all"},
    ("POST", "/v1/merchants/{merchant_id}/fee_plans/{version}/consent"): _MERCHANT_WRITES,
    ("POST", "/v1/api_keys"): _PARTIES_WRITE,
    ("GET", "/v1/api_keys"): _PARTIES,
    ("GET", "/v1/api_keys/{key_id}"): _PARTIES,
    ("POST", "/v1/api_keys/{key_id}/rotate"): _PARTIES_WRITE,
    ("DELETE", "/v1/api_keys/{key_id}"): _PARTIES_WRITE,
    ("GET", "/v1/request_logs"): _REQUESTS,
    ("GET", "/v1/request_logs/{request_id}"): _REQUESTS,
    ("GET", "/v1/idempotency_keys/{idempotency_key:path}"): _OWN,
    ("POST", "/v1/checkout/sessions"): _MERCHANT_WRITES,
    ("GET", "/v1/checkout/sessions"): _MERCHANT_READS,
    ("GET", "/v1/checkout/sessions/{session_id}"): _MERCHANT_READS,
    ("POST", "/v1/checkout/sessions/{session_id}/cancel"): _MERCHANT_WRITES,
    ("GET", "/v1/payments"): _MERCHANT_READS,
    ("GET", "/v1/payments/{payment_id}"): _MERCHANT_READS,
    ("POST", "/v1/refunds"): _MERCHANT_WRITES,
    ("GET", "/v1/refunds"): _MERCHANT_READS,
    ("GET", "/v1/refunds/{refund_id}"): _MERCHANT_READS,
    ("GET", "/v1/stray_transfers"): _STRAY_READS,
    ("GET", "/v1/stray_transfers/{stray_id}"): _STRAY_READS,
    ("POST", "/v1/stray_transfers/{stray_id}/resolve"): _SETTLES,
    ("POST", "/v1/settlements"): _SETTLES,
    ("GET", "/v1/settlements"): _MERCHANT_READS,
    ("GET", "/v1/settlements/{settlement_id}"): _MERCHANT_READS,
    ("GET", "/v1/settlements/{settlement_id}/report"): _MERCHANT_READS,
    ("GET", "/v1/payouts"): _MERCHANT_READS,
    ("GET", "/v1/payouts/{payout_id}"): _MERCHANT_READS,
    ("GET", "/v1/reserve"): _RESERVE_READS,
    ("GET", "/v1/reserve/deposits"): {"issuer": "all", "operator": "all", "regulator": "read"},
    ("GET", "/v1/reserve/deposits/{deposit_id}"): {
        "issuer": "all", "operator": "all", "regulator": "read",
    },
    ("POST", "/v1/reserve/deposits"): _RESERVE_ACTS,
    ("GET", "/v1/reserve/reversals"): {"issuer": "all", "operator": "all", "regulator": "read"},
    ("GET", "/v1/reserve/reversals/{reversal_id}"): {
        "issuer": "all", "operator": "all", "regulator": "read",
    },
    ("POST", "/v1/reserve/reversals/{reversal_id}/cover"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/reversals/{reversal_id}/repay"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/reversals/{reversal_id}/write_off"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/reversals/{reversal_id}/undo_write_off"): _RESERVE_ACTS,
    ("GET", "/v1/reserve/issuances"): {"issuer": "all", "operator": "all", "regulator": "read"},
    ("GET", "/v1/reserve/issuances/{issuance_id}"): {
        "issuer": "all", "operator": "all", "regulator": "read",
    },
    ("POST", "/v1/reserve/issuances"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/minting/resume"): _RESERVE_ACTS,
    ("GET", "/v1/ledger/accounts"): _RESERVE_LISTS,
    ("GET", "/v1/ledger/entries"): _RESERVE_LISTS,
    ("GET", "/v1/ledger/entries/{entry_id}"): _RESERVE_LISTS,
    ("POST", "/v1/reserve/attestations"): _RESERVE_ACTS,
    ("GET", "/v1/reserve/attestations"): _ATTESTATIONS,
    ("GET", "/v1/reserve/attestations/{attestation_id}"): _ATTESTATIONS,
    ("GET", "/v1/reserve/attestations/{attestation_id}/branch"): _MERCHANT_WRITES,
    ("GET", "/v1/reserve/redemptions"): _RESERVE_LISTS,
    ("GET", "/v1/reserve/redemptions/{redemption_id}"): _RESERVE_LISTS,
    ("POST", "/v1/reserve/redemptions"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/redemptions/{redemption_id}/retry"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/redemptions/{redemption_id}/cancel"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/redemptions/{redemption_id}/send_back"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/burns/{stray_id}/redeem"): _RESERVE_ACTS,
    ("GET", "/v1/reserve/moves"): _RESERVE_LISTS,
    ("GET", "/v1/reserve/moves/{move_id}"): _RESERVE_LISTS,
    ("POST", "/v1/reserve/moves"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/moves/{move_id}/retry"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/moves/{move_id}/cancel"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/moves/{move_id}/send_back"): _RESERVE_ACTS,
    ("POST", "/v1/reserve/moves/{move_id}/give_back"): _RESERVE_ACTS,
    ("GET", "/v1/chains/{chain}/token"): _RESERVE_LISTS,
    ("POST", "/v1/chains/{chain}/roles/{role}/rotate"): {"operator": "all"},
    ("GET", "/v1/chains/{chain}/orders/{order_id}"): _RESERVE_LISTS,
    ("GET", "/v1/bank/statements"): _STATEMENTS,
    ("GET", "/v1/bank/statements/{iban}/{day}.xml"): _STATEMENTS,
    ("GET", "/v1/bank/held"): {"issuer": "all", "operator": "all", "regulator": "all"},
    ("GET", "/v1/events"): _MERCHANT_READS,
    ("GET", "/v1/events/stream"): _MERCHANT_READS,
    ("GET", "/v1/events/{event_id}"): _MERCHANT_READS,
    ("GET", "/v1/events/{event_id}/proof"): _MERCHANT_READS,
    ("POST", "/v1/webhook_endpoints"): _MERCHANT_WRITES,
    ("GET", "/v1/webhook_endpoints"): _MERCHANT_READS,
    ("GET", "/v1/webhook_endpoints/{endpoint_id}"): _MERCHANT_READS,
    ("DELETE", "/v1/webhook_endpoints/{endpoint_id}"): _MERCHANT_WRITES,
    ("GET", "/v1/webhook_deliveries"): _MERCHANT_READS,
    ("POST", "/v1/sandbox/faucet"): _SANDBOX,
    ("GET", "/v1/sandbox/faucet/{grant_id}"): _SANDBOX,
    ("GET", "/v1/sandbox/clock"): _SANDBOX,
    ("POST", "/v1/sandbox/clock"): _SANDBOX,
    ("POST", "/v1/sandbox/quiesce"): _SANDBOX,
    ("POST", "/v1/sandbox/chains/{chain}/resume"): {"operator": "yes"},
    ("POST", "/v1/sandbox/bank/credits"): _SANDBOX,
    ("POST", "/v1/sandbox/bank/reversals"): _SANDBOX,
    ("GET", "/v1/sandbox/faults"): _SANDBOX,
    ("POST", "/v1/sandbox/faults"): _SANDBOX,
    ("GET", "/v1/sandbox/rate_limits"): _SANDBOX,
    ("POST", "/v1/sandbox/rate_limits"): _SANDBOX,
    ("GET", "/v1/sandbox/audit"): _AUDIT,
    ("GET", "/v1/checkout/sessions/{session_id}/explain"): _MERCHANT_READS,
    ("GET", "/v1/payments/{payment_id}/explain"): _MERCHANT_READS,
    ("GET", "/v1/refunds/{refund_id}/explain"): _MERCHANT_READS,
    ("GET", "/v1/stray_transfers/{stray_id}/explain"): _STRAY_READS,
    ("GET", "/v1/settlements/{settlement_id}/explain"): _MERCHANT_READS,
    ("GET", "/v1/payouts/{payout_id}/explain"): _MERCHANT_READS,
    ("GET", "/v1/reserve/deposits/{deposit_id}/explain"): _RESERVE_LISTS,
    ("GET", "/v1/reserve/issuances/{issuance_id}/explain"): _RESERVE_LISTS,
    ("GET", "/v1/reserve/redemptions/{redemption_id}/explain"): _RESERVE_LISTS,
    ("GET", "/v1/reserve/moves/{move_id}/explain"): _RESERVE_LISTS,
    ("GET", "/v1/events/{event_id}/explain"): _MERCHANT_READS,
    ("GET", "/v1/webhook_deliveries/{delivery_id}/explain"): _MERCHANT_READS,
    ("GET", "/v1/sandbox/faucet/{grant_id}/explain"): _SANDBOX,
}  # fmt: skip
