"""Where an object is read, for whoever may read it."""

from typing import Final

from sandbox.explain.words import Link

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
_NOT_FOR_MERCHANTS = ("ledger_entry", "deposit", "issuance", "redemption", "bridge_move")


def link(object_: str, id_: str, viewer: str | None) -> Link:
    """A link for a merchant (its id) or, None, for who sees everything."""
    if viewer is not None and object_ in _NOT_FOR_MERCHANTS:
        return Link(object_, id_, "")
    return Link(object_, id_, f"{PATHS[object_]}/{id_}")


def of_id(id_: str, viewer: str | None) -> Link | None:
    """The same for an id whose prefix says what it is."""
    object_ = OBJECTS.get(id_.partition("_")[0])
    return None if object_ is None else link(object_, id_, viewer)
