"""`sandbox pay`: a customer's wallet that pays a session like any other wallet would."""

import asyncio
from pathlib import Path

from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.cli.wallets import wallet
from sandbox.core.errors import SandboxError
from sandbox.core.money import format_tenge

MIN_GRANT_TIYN = 5_000_000


class NoSuchOption(SandboxError):
    """The session cannot be paid that way."""

    code = "no_such_option"

    def __init__(self, session: JsonObject, chain: str) -> None:
        known = " or ".join(option["chain"] for option in session["options"])
        super().__init__(f"{session['id']} has no option on {chain}: it can be paid on {known}")


class NothingToPay(SandboxError):
    """No session is open."""

    code = "nothing_to_pay"

    def __init__(self) -> None:
        super().__init__("no session is open: create one with POST /v1/checkout/sessions")


def newest_open(running: Running) -> str:
    """The id of the newest open session among the last hundred. Raises `NothingToPay`."""
    sessions = running.get("/v1/checkout/sessions", limit=100)["data"]
    found: str | None = next((s["id"] for s in sessions if s["status"] == "open"), None)
    if found is None:
        raise NothingToPay
    return found


def fund(running: Running, chain: str, address: str, amount_tiyn: int) -> JsonObject:
    """A faucet grant to `address`, waited for until it is final."""
    body = {"chain": chain, "address": address, "amount_tiyn": amount_tiyn}
    grant = running.post("/v1/sandbox/faucet", body)
    sent: JsonObject = wait_for(
        "the faucet",
        lambda: running.get(f"/v1/sandbox/faucet/{grant['id']}"),
        lambda found: found["status"] != "pending",
    )
    return sent


def _units_per_tiyn(session: JsonObject) -> dict[str, int]:
    return {o["chain"]: o["amount_units"] // session["amount_tiyn"] for o in session["options"]}


def _left_tiyn(session: JsonObject) -> int:
    """What the payment page asks for; the whole amount when nothing is left to pay."""
    per_tiyn = _units_per_tiyn(session)
    counted = sum(p["counted_units"] // per_tiyn[p["chain"]] for p in session["payments"])
    left: int = session["amount_tiyn"] - counted
    return left if session["status"] == "open" and left > 0 else session["amount_tiyn"]


def pay(
    running: Running,
    data_dir: Path,
    session_id: str,
    chain: str,
    person: str,
    amount_tiyn: int | None,
) -> JsonObject:
    """Pay what is left, or `amount_tiyn`, and wait until the session knows of it."""
    session = running.get(f"/v1/checkout/sessions/{session_id}")
    option = next((o for o in session["options"] if o["chain"] == chain), None)
    if option is None:
        raise NoSuchOption(session, chain)
    payer = wallet(running.endpoints, data_dir, chain, person)
    price = amount_tiyn or _left_tiyn(session)
    units = price * _units_per_tiyn(session)[chain]
    if asyncio.run(payer.units(option)) < units:
        fund(running, chain, payer.address, max(price, MIN_GRANT_TIYN))
    tx = asyncio.run(payer.pay(option, units))
    seen = wait_for(
        "the payment to be confirmed",
        lambda: running.get(f"/v1/checkout/sessions/{session_id}"),
        lambda found: any(payment["tx"] == tx for payment in found["payments"]),
    )
    return {
        "session": session_id,
        "chain": chain,
        "tx": tx,
        "wallet": payer.address,
        "amount": format_tenge(price),
        "status_before": session["status"],
        "status": seen["status"],
        "reason": seen["reason"],
    }
