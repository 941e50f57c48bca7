"""States, figures and waits of what is neither a session nor money for one. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.explain.facts import Facts
from sandbox.explain.words import Wait

Shown = Mapping[str, Any]


def state_of(object_: str, shown: Shown) -> tuple[str, tuple[str, ...]]:
    """The word that the summary is written from; a deposit and an event have one state only."""
    match object_:
        case "deposit":
            return ("unminted" if shown["unminted_tiyn"] else "minted"), ()
        case "event":
            return "logged", ()
        case "stray_transfer":
            return str(shown["status"]), ("holder_burn",)
        case _:
            return str(shown["status"]), ()


def figures_of(object_: str, shown: Shown) -> dict[str, Any]:
    """What the summary is filled with."""
    found: dict[str, Any] = {"id": shown.get("id")}
    if object_ == "stray_transfer" and shown["redemption"]:
        found["resolution"] = shown["redemption"]
    names = _FIGURES[object_]
    found |= {name: shown.get(name) for name in names}
    if object_ == "settlement":
        found |= {f"check_{name}": value for name, value in shown["check"].items()}
        payout = shown["payout"]
        found |= {
            "lines": len(shown["lines"]),
            "payout": None if payout is None else payout["id"],
            "payout_status": None if payout is None else payout["status"],
        }
    return found


_FIGURES: Mapping[str, tuple[str, ...]] = {
    "stray_transfer": ("chain", "tx", "amount_units", "redemption"),
    "settlement": ("merchant", "status", "mode", "value_date", "hold", "fee_status"),
    "payout": ("settlement", "status", "amount_tiyn", "value_date", "reason"),
    "deposit": ("amount_tiyn", "unminted_tiyn", "bank_reference"),
    "issuance": ("deposit", "chain", "amount_tiyn", "recipient", "status", "tx", "reason"),
    "redemption": ("chain", "amount_tiyn", "status", "reason", "payout_status", "value_date",
                   "payout_reason"),
    "bridge_move": ("from_chain", "to_chain", "amount_tiyn", "status", "reason", "mint_reason"),
    "faucet_grant": ("chain", "address", "amount_tiyn", "status", "tx", "reason"),
    "event": ("type", "created", "epoch", "position", "sequence"),
    "webhook_delivery": ("status", "event", "endpoint", "attempts", "last_status", "last_error"),
}  # fmt: skip


def waits_of(object_: str, shown: Shown, facts: Facts) -> list[Wait]:
    """What the object itself waits for, beside its orders and deliveries."""
    match object_:
        case "settlement":
            return _of_settlement(shown)
        case "payout":
            return _of_payout(shown)
        case "redemption" | "bridge_move":
            return _of_intake(shown)
        case "stray_transfer" if shown["status"] == "open":
            values = {"stray": shown["id"], "amount_units": shown["amount_units"]}
            return [Wait("desk_holder_burn", "issuer", values=values)]
        case "deposit" if shown["unminted_tiyn"]:
            values = {"unminted_tiyn": shown["unminted_tiyn"]}
            return [Wait("deposit_unminted", "issuer", _at(shown["created_at"]), values=values)]
    return []


def _at(moment: str | None) -> datetime | None:
    return None if moment is None else datetime.fromisoformat(moment)


def _of_settlement(shown: Shown) -> list[Wait]:
    made = []
    since = _at(shown["created_at"])
    for kind, leaving in (*(("burn", one) for one in shown["burns"]),
                          *(("transfer", one) for one in shown["transfers"])):  # fmt: skip
        if leaving["status"] not in ("sweeping", "stuck"):
            continue
        values = {"chain": leaving["chain"], "units": leaving["units"], "what": kind,
                  "reason": leaving["reason"], "attempt": leaving["attempt"]}  # fmt: skip
        if leaving["status"] == "stuck":
            made.append(Wait(f"{kind}_stuck", "merchant", since, values=values))
        elif leaving["reason"]:
            made.append(Wait("leaving_held", "operator", since, values=values))
        else:
            made.append(Wait("sweeps", "worker", since, values=values))
    if shown["fee_status"] in ("pending", "stuck"):
        made.append(Wait(f"fee_{shown['fee_status']}", "bank", _at(shown["settled_at"])))
    if shown["hold"] is not None:
        made.append(Wait("payouts_held", "merchant", since, values={"hold": shown["hold"]}))
    payout = shown["payout"]
    return made if payout is None else made + _of_payout(payout)


def _of_payout(shown: Shown) -> list[Wait]:
    values = {
        "payout": shown["id"],
        "amount_tiyn": shown["amount_tiyn"],
        "value_date": shown["value_date"],
        "reason": shown["reason"],
        "carried_into": shown["carried_into"],
    }
    since = _at(shown["instructed_at"]) or _at(shown["created_at"])
    match shown["status"]:
        case "pending":
            code = "payout_bank" if shown["instructed_at"] else "payout_burns"
            return [Wait(code, "bank" if shown["instructed_at"] else "chain", since, values=values)]
        case "sent":
            return [Wait("payout_value_date", "bank", since, values=values)]
        case "rejected" | "returned" if shown["carried_into"] is None:
            return [Wait("payout_held", "merchant", _at(shown["ended_at"]), values=values)]
    return []


def _of_intake(shown: Shown) -> list[Wait]:
    values = {
        "amount_units": shown["amount_units"],
        "received_units": shown["received_units"],
        "remainder_units": shown["remainder_units"],
        "expires_at": shown["expires_at"],
        "value_date": shown.get("value_date"),
        "reason": shown.get("payout_reason") or shown.get("mint_reason") or shown["reason"],
    }
    made = []
    since = _at(shown["burned_at"]) or _at(shown["created_at"])
    whose = {
        "open": "holder", "received": "worker", "stuck": "issuer", "waiting": "issuer",
        "pending": "bank", "sent": "bank", "rejected": "issuer", "returned": "issuer",
    }.get(shown["status"])  # fmt: skip
    if whose is not None:
        until = _at(shown["expires_at"]) if shown["status"] == "open" else None
        made.append(Wait(f"intake_{shown['status']}", whose, since, until, values))
    if shown["remainder_units"] > 0 and shown["status"] != "open":
        made.append(Wait("intake_remainder", "issuer", since, values=values))
    return made
