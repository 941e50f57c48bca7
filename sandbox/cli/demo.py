"""`sandbox demo`: the whole money path once, through the doors that anyone could use."""

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from merchants.client import MerchantClient
from sandbox.cli import pay, show, up
from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.cli.stack import Plan
from sandbox.cli.wallets import wallet
from sandbox.core.errors import SandboxError
from sandbox.core.money import format_tenge
from sandbox.core.zone import ALMATY
from sandbox.devnets.children import Context
from sandbox.devnets.datadir import write_private
from sandbox.eventlog import verify
from sandbox.eventlog.proofs import verify_receipt

DEPOSIT_TIYN = 1_000_000_000
RESIDENT_TIYN = 5_000_000
PRICE_TIYN = 250_000
BOOKED_BY_HOUR = 10
CHAINS = {"solana": "Solana", "evm": "EVM"}
EVM_BLOCK_MS, EVM_FINAL_DELAY_MS = 50, 200


class StepFailed(SandboxError):
    """A step of the demo did not end as it must."""

    code = "demo_step_failed"

    def __init__(self, step: str, found: object) -> None:
        super().__init__(f"{step}: {found}")


Play = Callable[[Running, Path, show.Steps], dict[str, Any]]
"""A whole demo against a running sandbox, whose folder it is given; the answer for `--json`."""


def run(data_dir: Path | None, slot_ms: int, as_json: bool, script: Play | None = None) -> int:
    """Start a sandbox of its own, play, stop it; 0 when every step ended as it must."""
    script = script or _play
    folder = data_dir or Path(tempfile.mkdtemp(prefix="kzte-demo-")) / "sandbox"
    steps = show.Steps(quiet=as_json)
    result: dict[str, Any] = {}

    async def play(context: Context) -> int:
        # The supervisor's loop goes on watching its children meanwhile.
        result.update(await asyncio.to_thread(script, Running.of(context.data_dir), folder, steps))
        return 0

    plan = Plan(
        folder,
        port=0,
        solana_port=0,
        evm_port=0,
        slot_ms=slot_ms,
        evm_block_ms=EVM_BLOCK_MS,
        evm_final_delay_ms=EVM_FINAL_DELAY_MS,
    )
    try:
        status = up.run(plan, play)
    finally:
        if data_dir is None:
            shutil.rmtree(folder.parent, ignore_errors=True)
    if as_json:
        print(json.dumps(result), flush=True)
    else:
        show.out.print(
            f"[green]●[/] the whole path in {result['seconds']} s; nothing is left running"
        )
    return status


def _play(running: Running, folder: Path, steps: show.Steps) -> dict[str, Any]:
    merchant_id = running.endpoints["keys"]["merchant_id"]
    steps.done("The sandbox is up", api=running.endpoints["api"])
    _issue(running, steps)
    with MerchantClient(running.endpoints["api"], running.key("merchant")) as shop:
        _give_to_resident(running, folder, steps)
        paid = {chain: _checkout(running, folder, shop, chain, steps) for chain in CHAINS}
        settlement, payout = _settle(running, shop, merchant_id, steps)
    running.quiesce()
    log = _prove(running, folder, paid["evm"]["id"], steps)
    audit = running.get("/v1/sandbox/audit")
    if not audit["ok"]:
        raise StepFailed("audit", [check for check in audit["checks"] if not check["ok"]])
    steps.audit(audit)
    return {
        "payments": {chain: session["status"] for chain, session in paid.items()},
        "settlement": settlement,
        "payout": payout["status"],
        "log": log,
        "audit": "ok",
        "seconds": steps.seconds,
    }


def _issue(running: Running, steps: show.Steps) -> None:
    deposit = running.post(
        "/v1/reserve/deposits",
        {"amount_tiyn": DEPOSIT_TIYN, "bank_reference": "demo-deposit-1"},
        "issuer",
    )
    steps.done(
        "Tenge reach the reserve account",
        deposit=deposit["id"],
        amount=format_tenge(DEPOSIT_TIYN),
        reserve=format_tenge(running.get("/v1/reserve")["reserve_tiyn"]),
    )
    asked = [
        running.post(
            "/v1/reserve/issuances",
            {
                "deposit": deposit["id"],
                "chain": chain,
                "amount_tiyn": DEPOSIT_TIYN // len(CHAINS),
                "recipient": running.endpoints["kzte"][f"{chain}_treasury"],
            },
            "issuer",
        )
        for chain in CHAINS
    ]
    issued = {one["chain"]: _issued(running, one["id"]) for one in asked}
    reserve = running.get("/v1/reserve")
    steps.done(
        "KZTE are minted against them",
        **{f"on_{CHAINS[chain]}": one["tx"] for chain, one in issued.items()},
        outstanding=format_tenge(reserve["debts"]["outstanding_tiyn"]),
        reserve_to_owed=reserve["ratio"],
    )


def _issued(running: Running, issuance_id: str) -> JsonObject:
    issued: JsonObject = wait_for(
        "the mint to be final",
        lambda: running.get(f"/v1/reserve/issuances/{issuance_id}"),
        lambda found: found["status"] != "pending",
    )
    if issued["status"] != "issued":
        raise StepFailed("mint", issued)
    return issued


def _give_to_resident(running: Running, folder: Path, steps: show.Steps) -> None:
    wallets = {chain: wallet(running.endpoints, folder, chain, "resident") for chain in CHAINS}
    for chain, resident in wallets.items():
        grant = pay.fund(running, chain, resident.address, RESIDENT_TIYN)
        if grant["status"] != "sent":
            raise StepFailed("faucet", grant)
    steps.done(
        "A resident gets KZTE and coin for fees",
        **{f"on_{CHAINS[chain]}": resident.address for chain, resident in wallets.items()},
        amount=f"{format_tenge(RESIDENT_TIYN)} on each",
    )


def _checkout(
    running: Running, folder: Path, shop: MerchantClient, chain: str, steps: show.Steps
) -> JsonObject:
    session = shop.create_session(PRICE_TIYN, description="Two coffees and a samsa")
    option = next(one for one in session["options"] if one["chain"] == chain)
    steps.done(
        "A merchant asks for a payment",
        session=session["id"],
        amount=format_tenge(PRICE_TIYN),
        page=session["url"],
        qr=option["url"],
    )
    paid = pay.pay(running, folder, session["id"], chain, "resident", None)
    steps.done(
        f"The resident pays on {CHAINS[chain]}", transaction=paid["tx"], session=paid["status"]
    )
    final: JsonObject = wait_for(
        "the payment to be final and captured",
        lambda: shop.session(session["id"]),
        lambda found: found["payments"][0]["settlement_state"] == "unsettled",
    )
    if final["status"] != "complete":
        raise StepFailed("checkout", final)
    steps.done("The payment is final and captured", payment=final["payments"][0]["id"])
    return final


def _settle(
    running: Running, shop: MerchantClient, merchant_id: str, steps: show.Steps
) -> tuple[dict[str, Any], dict[str, Any]]:
    made = shop.settle(merchant_id)
    settled = wait_for(
        "the burns to be final",
        lambda: shop.get(f"/v1/settlements/{made['id']}"),
        lambda found: found["status"] == "settled",
    )
    check = settled["check"]
    if check["unexplained_tiyn"] != 0:
        raise StepFailed("settlement", check)
    steps.done(
        "The day is settled",
        settlement=settled["id"],
        sum=f"{format_tenge(check['gross_tiyn'])} − fee {format_tenge(check['fees_tiyn'])}"
        f" = {format_tenge(check['paid_tiyn'])}",
        **{f"swept_on_{CHAINS[sweep['chain']]}": sweep["tx"] for sweep in settled["sweeps"]},
        **{f"burned_on_{CHAINS[burn['chain']]}": burn["tx"] for burn in settled["burns"]},
        unexplained=format_tenge(check["unexplained_tiyn"]),
    )
    payout = settled["payout"]
    to_value_date(running, payout["value_date"], steps)
    done = wait_for(
        "the payout to be booked",
        lambda: shop.get(f"/v1/payouts/{payout['id']}"),
        lambda found: found["status"] == "completed",
    )
    statements = shop.get("/v1/bank/statements", account=done["iban"])
    line = next(
        (
            line
            for statement in statements["data"]
            for line in statement["lines"]
            if line["end_to_end_id"] == done["id"] and line["side"] == "credit"
        ),
        None,
    )
    if line is None or line["amount_tiyn"] != check["paid_tiyn"]:
        raise StepFailed("bank statement", statements)
    steps.done(
        "Tenge are on the merchant's bank account",
        payout=done["id"],
        iban=done["iban"],
        amount=format_tenge(line["amount_tiyn"]),
    )
    return settled, done


def to_value_date(running: Running, value_date: str, steps: show.Steps) -> None:
    """Move the clock to the morning on which the bank books what has this value date."""
    clock = running.get("/v1/sandbox/clock")
    due = datetime.fromisoformat(value_date).replace(hour=BOOKED_BY_HOUR, tzinfo=ALMATY)
    ahead = max(0, int((due - datetime.fromisoformat(clock["now"])).total_seconds()) + 1)
    moved = running.advance(ahead)
    steps.done(
        "The clock moves to the value date", now=show.moment(moved["now"]), value_date=value_date
    )


def _prove(running: Running, folder: Path, session_id: str, steps: show.Steps) -> dict[str, Any]:
    vkey = running.endpoints["log_vkey"]
    events = running.get("/v1/events", "merchant", type="checkout.session.completed")
    event = next(e for e in events["data"] if e["data"]["id"] == session_id)
    receipt = running.get(f"/v1/events/{event['id']}/proof", "merchant")
    position = verify_receipt(receipt, vkey)
    leaf = json.loads(base64.b64decode(receipt["leaf"]))
    if leaf["data"]["id"] != session_id:
        raise StepFailed("inclusion proof", leaf)
    write_private(folder / "receipt.json", json.dumps(receipt))
    report = verify.verify_url(running.endpoints["api"], vkey, running.key("regulator"))
    if not report.ok or report.entries != report.size:
        raise StepFailed("log", report.as_json())
    steps.done(
        "The log proves it",
        entry=f"{position + 1} of {report.size}: {leaf['type']}",
        root=report.root,
        verified="every entry, tile and signature",
    )
    return {"size": report.size, "verified": True}
