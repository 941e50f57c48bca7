"""`sandbox pay`: a wallet that pays a session like any other would, or sends what a redemption or a
move between chains waits for.
"""

import asyncio
from pathlib import Path

from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.cli.wallets import Wallet, wallet
from sandbox.core.errors import SandboxError
from sandbox.core.money import format_tenge
from sandbox.lab.scenarios import BY_NAME, payer_for

MIN_GRANT_TIYN = 5_000_000
RESIDENT = "resident"


class NoSuchOption(SandboxError):
    """The session cannot be paid that way."""

    code = "no_such_option"

    def __init__(self, session: JsonObject, chain: str) -> None:
        known = " or ".join(option["chain"] for option in session["options"])
        super().__init__(f"{session['id']} has no option on {chain}: it can be paid on {known}")


class NothingToSend(SandboxError):
    """The holder burned the units itself: none are waited for."""

    code = "nothing_to_send"

    def __init__(self, id_: str) -> None:
        super().__init__(f"{id_} waits for no units")


class NothingToPay(SandboxError):
    """No session is open."""

    code = "nothing_to_pay"

    def __init__(self) -> None:
        super().__init__("no session is open: create one with POST /v1/checkout/sessions")


_INTAKES = {"red_": "/v1/reserve/redemptions", "mov_": "/v1/reserve/moves"}


def is_intake(id_: str) -> bool:
    """Whether the id is a redemption's or a move's."""
    return id_[:4] in _INTAKES


def send(
    running: Running, data_dir: Path, id_: str, person: str, amount_tiyn: int | None
) -> JsonObject:
    """Send the units of a redemption or move, or `amount_tiyn`, and wait until they are seen."""
    path = f"{_INTAKES[id_[:4]]}/{id_}"
    asked = running.get(path, "issuer")
    option = asked["option"]
    if "url" not in option:
        raise NothingToSend(id_)
    payer = wallet(running.endpoints, data_dir, option["chain"], person)
    price = amount_tiyn or asked["amount_tiyn"]
    units = price * (asked["amount_units"] // asked["amount_tiyn"])
    token = {"mint": option.get("mint"), "token": option.get("token")}
    if asyncio.run(payer.units(token)) < units:
        fund(running, option["chain"], payer.address, max(price, MIN_GRANT_TIYN))
    before = asked["confirmed_units"] + asked["received_units"]
    tx = asyncio.run(payer.pay(option, units))
    seen = wait_for(
        "the units to be confirmed",
        lambda: running.get(path, "issuer"),
        lambda found: found["confirmed_units"] + found["received_units"] >= before + units,
    )
    return {
        "object": seen["object"],
        "id": id_,
        "chain": option["chain"],
        "tx": tx,
        "wallet": payer.address,
        "amount": format_tenge(price),
        "status": seen["status"],
    }


def simulated(
    running: Running, session_id: str, name: str | None, amount_tiyn: int | None
) -> str | None:
    """The simulated payer that is meant by its name, or else by the session's amount."""
    if name is not None:
        found = BY_NAME.get(name)
        return name if found is not None and found.is_payer and amount_tiyn is None else None
    if amount_tiyn is not None:
        return None
    asked = payer_for(running.get(f"/v1/checkout/sessions/{session_id}")["amount_tiyn"])
    return None if asked.ending is None else asked.name


def act(running: Running, data_dir: Path, asked: JsonObject) -> JsonObject:
    """Pay `asked["session"]`, which may be a redemption or a move, as `asked["wallet"]`."""
    amount = asked["amount_tiyn"]
    if is_intake(asked["session"]):
        return send(running, data_dir, asked["session"], asked["wallet"], amount)
    return pay(running, data_dir, asked["session"], asked["chain"], asked["wallet"], amount)


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


def _fill(
    running: Running, chain: str, payer: Wallet, option: JsonObject, units: int, price: int
) -> None:
    """A faucet grant, waited for until the wallet can spend it, which is long before it is final.

    With a seed until it is final: what a world tells must not depend on who looked first.
    """
    body = {"chain": chain, "address": payer.address, "amount_tiyn": max(price, MIN_GRANT_TIYN)}
    grant = running.post("/v1/sandbox/faucet", body)
    is_seeded = running.endpoints.get("seed") is not None

    def can_pay() -> bool:
        if running.get(f"/v1/sandbox/faucet/{grant['id']}")["status"] != "pending":
            return True
        return (
            not is_seeded and payer.gets_coin_at_once and asyncio.run(payer.units(option)) >= units
        )

    wait_for("the faucet", can_pay, bool)


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
    """Pay what is left, or `amount_tiyn`, and wait until the session knows of it.

    A wallet with tokens and no coin asks the sandbox to pay the fee.
    """
    session = running.get(f"/v1/checkout/sessions/{session_id}")
    option = next((o for o in session["options"] if o["chain"] == chain), None)
    if option is None:
        raise NoSuchOption(session, chain)
    payer = wallet(running.endpoints, data_dir, chain, person)
    price = amount_tiyn or _left_tiyn(session)
    units = price * _units_per_tiyn(session)[chain]
    if asyncio.run(payer.units(option)) < units:
        _fill(running, chain, payer, option, units, price)
    is_sponsored = amount_tiyn in (None, _left_tiyn(session)) and asyncio.run(payer.needs_sponsor())
    if is_sponsored:
        path = f"/pay/{session_id}/{chain}/transaction"
        offered = running.post(path, {"account": payer.address})["transaction"]
        tx = asyncio.run(payer.pay_sponsored(option, units, offered))
    else:
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
        "name": person,
        "amount": format_tenge(price),
        "sponsored": is_sponsored,
        "status_before": session["status"],
        "status": seen["status"],
        "reason": seen["reason"],
    }
