"""Which route reads which object, and which object an id names; the command line knows it too."""

from typing import Final

PATHS: Final = {
    "checkout_session": "/v1/checkout/sessions",
    "payment": "/v1/payments",
    "refund": "/v1/refunds",
    "stray_transfer": "/v1/stray_transfers",
    "settlement": "/v1/settlements",
    "payout": "/v1/payouts",
    "deposit": "/v1/reserve/deposits",
    "issuance": "/v1/reserve/issuances",
    "redemption": "/v1/reserve/redemptions",
    "bridge_move": "/v1/reserve/moves",
    "event": "/v1/events",
    "webhook_delivery": "/v1/webhook_deliveries",
    "webhook_endpoint": "/v1/webhook_endpoints",
    "faucet_grant": "/v1/sandbox/faucet",
    "ledger_entry": "/v1/ledger/entries",
    "request_log": "/v1/request_logs",
}
OBJECTS: Final = {
    "cs": "checkout_session",
    "pay": "payment",
    "re": "refund",
    "str": "stray_transfer",
    "stl": "settlement",
    "po": "payout",
    "dep": "deposit",
    "iss": "issuance",
    "red": "redemption",
    "mov": "bridge_move",
    "evt": "event",
    "wd": "webhook_delivery",
    "we": "webhook_endpoint",
    "fau": "faucet_grant",
    "req": "request_log",
}
"""Prefix of an id → the object it names (CONTRACT 1)."""
EXPLAINED: Final = (
    "checkout_session", "payment", "refund", "stray_transfer", "settlement", "payout", "deposit",
    "issuance", "redemption", "bridge_move", "event", "webhook_delivery", "faucet_grant",
)  # fmt: skip
"""Objects that have an explanation, at their path and `/explain`."""
