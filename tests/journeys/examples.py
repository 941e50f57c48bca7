"""Answers of a running sandbox for the OpenAPI document; run as a module it writes them anew:

python -m tests.journeys.examples
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import sandbox.core.http
from merchants.client import MerchantClient
from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running, wait_for
from sandbox.cli.wallets import wallet
from tests.journeys.stack import Stack

FILE = Path(sandbox.core.http.__file__).parent / "examples.json"
# What differs from run to run and must not look like a secret or an address of this machine.
_KEY = re.compile(r"sk_sbx_[0-9a-z]+_[0-9a-z]+")
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
_HOST = re.compile(r"http://127\.0\.0\.1:\d+")


def answers(running: Running, folder: Path) -> JsonObject:
    """One answer for each route of a merchant's day, as the sandbox gives it."""
    found: JsonObject = {}
    merchant_id = running.endpoints["keys"]["merchant_id"]

    def get(template: str, path: str, role: Any = "merchant", **query: Any) -> Any:
        answer = running.get(path, role, **query)
        if "data" in answer and "has_more" in answer:
            answer = answer | {"data": answer["data"][:1]}
        found[f"GET {template}"] = answer
        return answer

    def post(template: str, path: str, body: JsonObject, role: Any = "merchant") -> Any:
        found[f"POST {template}"] = answer = running.post(path, body, role)
        return answer

    deposit = post(
        "/v1/reserve/deposits",
        "/v1/reserve/deposits",
        {"amount_tiyn": 1_000_000, "bank_reference": "FT26325-0001"},
        "issuer",
    )
    asked = {
        "deposit": deposit["id"],
        "chain": "solana",
        "amount_tiyn": 1_000_000,
        "recipient": running.endpoints["kzte"]["solana_treasury"],
    }
    issuance = post("/v1/reserve/issuances", "/v1/reserve/issuances", asked, "issuer")
    resident = wallet(running.endpoints, folder, "solana", "resident")
    grant = post(
        "/v1/sandbox/faucet",
        "/v1/sandbox/faucet",
        {"chain": "solana", "address": resident.address, "amount_tiyn": 1_000_000},
    )
    post(
        "/v1/webhook_endpoints",
        "/v1/webhook_endpoints",
        {"url": "http://127.0.0.1:9/hooks", "types": ["checkout.session.*"]},
    )
    session = post(
        "/v1/checkout/sessions",
        "/v1/checkout/sessions",
        {"amount_tiyn": 250_000, "description": "Two coffees", "client_reference_id": "1001"},
    )
    with MerchantClient(running.endpoints["api"], running.key("merchant")) as shop:
        canceled = shop.create_session(1_000)
        running.quiesce()
        pay.pay(running, folder, session["id"], "solana", "resident", None)
        running.quiesce()
        free = "/pay/{session_id}/{chain}/transaction"
        fresh = shop.create_session(1_000)
        path = f"/pay/{fresh['id']}/solana/transaction"
        get(free, path)
        post(free, path, {"account": resident.address})
        on_evm = shop.create_session(100_000, description="A samsa")
        pay.pay(running, folder, on_evm["id"], "evm", "resident", None)
        running.quiesce()
        session_path = f"/v1/checkout/sessions/{session['id']}"
        paid = get("/v1/checkout/sessions/{session_id}", session_path)
        payment = paid["payment"]["id"]
        refund = post(
            "/v1/refunds", "/v1/refunds", {"payment": payment, "amount_tiyn": 50_000, "reason": ""}
        )
        running.quiesce()
        settled = post("/v1/settlements", "/v1/settlements", {"merchant_id": merchant_id})
        payout = wait_for(
            "the burn",
            lambda: shop.get(f"/v1/settlements/{settled['id']}"),
            lambda s: s["status"] == "settled",
        )["payout"]
    running.quiesce()
    post(
        "/v1/checkout/sessions/{session_id}/cancel",
        f"/v1/checkout/sessions/{canceled['id']}/cancel",
        {},
    )
    running.quiesce()
    event = get("/v1/events", "/v1/events", type="checkout.session.completed")["data"][0]["id"]
    get("/v1/events/{event_id}", f"/v1/events/{event}")
    get("/v1/events/{event_id}/proof", f"/v1/events/{event}/proof")
    get("/v1/checkout/sessions", "/v1/checkout/sessions", limit=1)
    get("/v1/payments", "/v1/payments")
    get("/v1/payments/{payment_id}", f"/v1/payments/{payment}")
    explained = get(
        "/v1/payments/{payment_id}/explain", f"/v1/payments/{payment}/explain", lang="en"
    )
    # Two of its steps show what steps are.
    shown = ("request.session", "payment.counted")
    explained["steps"] = [step for step in explained["steps"] if step["code"] in shown]
    get("/v1/refunds", "/v1/refunds")
    get("/v1/refunds/{refund_id}", f"/v1/refunds/{refund['id']}")
    get("/v1/settlements", "/v1/settlements")
    settlement_path = f"/v1/settlements/{settled['id']}"
    get("/v1/settlements/{settlement_id}", settlement_path)
    get("/v1/settlements/{settlement_id}/report", f"{settlement_path}/report")
    get("/v1/payouts", "/v1/payouts")
    get("/v1/payouts/{payout_id}", f"/v1/payouts/{payout['id']}")
    get("/v1/stray_transfers", "/v1/stray_transfers")
    get("/v1/bank/statements", "/v1/bank/statements", "operator", account="KZ639480000000000001")
    get("/v1/reserve", "/v1/reserve", "issuer")
    get("/v1/reserve/deposits/{deposit_id}", f"/v1/reserve/deposits/{deposit['id']}", "issuer")
    get("/v1/reserve/deposits", "/v1/reserve/deposits", "issuer")
    get("/v1/reserve/issuances/{issuance_id}", f"/v1/reserve/issuances/{issuance['id']}", "issuer")
    get("/v1/reserve/issuances", "/v1/reserve/issuances", "issuer")
    get("/v1/ledger/accounts", "/v1/ledger/accounts", "regulator", code="l:outstanding:")
    entries = get("/v1/ledger/entries", "/v1/ledger/entries", "regulator", ref=issuance["id"])
    entry = entries["data"][0]["id"]
    get("/v1/ledger/entries/{entry_id}", f"/v1/ledger/entries/{entry}", "regulator")
    get("/v1/chains/{chain}/token", "/v1/chains/solana/token", "regulator")
    turned = post(
        "/v1/chains/{chain}/roles/{role}/rotate",
        "/v1/chains/solana/roles/pause_authority/rotate",
        {},
        "operator",
    )
    running.quiesce()
    ordered = f"/v1/chains/solana/orders/{turned['id']}"
    get("/v1/chains/{chain}/orders/{order_id}", ordered, "operator")
    attested = "/v1/reserve/attestations"
    made = post(attested, attested, {}, "issuer")["id"]
    running.quiesce()
    get(attested, attested, "issuer")
    get(f"{attested}/{{attestation_id}}", f"{attested}/{made}", "issuer")
    get(f"{attested}/{{attestation_id}}/branch", f"{attested}/{made}/branch")
    found |= _reserve(running, folder)
    found |= _merchant(running)
    get("/v1/merchants", "/v1/merchants")
    get("/v1/merchants/{merchant_id}", f"/v1/merchants/{merchant_id}")
    post(
        "/v1/merchants/{merchant_id}/settlement_terms",
        f"/v1/merchants/{merchant_id}/settlement_terms",
        {"mode": "payout"},
    )
    found |= _own_requests(running, payment)
    get("/v1/webhook_endpoints", "/v1/webhook_endpoints")
    get("/v1/webhook_deliveries", "/v1/webhook_deliveries")
    get("/v1/sandbox/faucet/{grant_id}", f"/v1/sandbox/faucet/{grant['id']}")
    get("/v1/sandbox/clock", "/v1/sandbox/clock")
    post("/v1/sandbox/clock", "/v1/sandbox/clock", {"advance_s": 60}, "operator")
    post("/v1/sandbox/quiesce", "/v1/sandbox/quiesce", {"timeout_s": 30}, "operator")
    get("/v1/sandbox/audit", "/v1/sandbox/audit")
    return found


def _own_requests(running: Running, payment: str) -> JsonObject:
    """A restricted key and its rotation, what was asked and kept, and a limit set and lifted."""
    found: JsonObject = {}
    asked = {
        "role": "merchant",
        "name": "till 2",
        "permissions": ["checkout:write", "payments:read"],
        "expires_in_s": 2_592_000,
    }
    keys = "/v1/api_keys"
    key = found[f"POST {keys}"] = running.post(keys, asked, "merchant")
    rotated = running.post(f"{keys}/{key['id']}/rotate", {"overlap_s": 3_600}, "merchant")
    found[f"POST {keys}/{{key_id}}/rotate"] = rotated
    found[f"GET {keys}/{{key_id}}"] = running.get(f"{keys}/{key['id']}", "merchant")
    listed = running.get(keys, "merchant")
    found[f"GET {keys}"] = listed | {"data": listed["data"][:1]}

    logs = "/v1/request_logs"
    running.get(f"/v1/payments/{payment}", "merchant")
    listed = running.get(logs, "merchant", limit=1, method="GET", status="2xx")
    found[f"GET {logs}"] = listed
    found[f"GET {logs}/{{request_id}}"] = running.get(
        f"{logs}/{listed['data'][0]['id']}", "merchant"
    )
    [made] = running.get(logs, "merchant", limit=1, method="POST")["data"]
    kept = running.get(f"/v1/idempotency_keys/{made['idempotency_key']}", "merchant")
    found["GET /v1/idempotency_keys/{idempotency_key}"] = kept

    limits = "/v1/sandbox/rate_limits"
    found[f"POST {limits}"] = running.post(
        limits, {"requests_per_s": 1_000, "burst": 2_000}, "merchant"
    )
    found[f"GET {limits}"] = running.get(limits, "merchant")
    running.post(limits, {"requests_per_s": None}, "merchant")
    return found


def _reserve(running: Running, folder: Path) -> JsonObject:
    """A redemption and a move that were played to their end, and a deposit that was taken back."""
    found: JsonObject = {}

    def ended(route: str, body: JsonObject, field: str, wanted: str) -> None:
        path = f"/v1/reserve/{route}"
        made = found[f"POST {path}"] = running.post(path, body, "issuer")
        pay.send(running, folder, made["id"], "resident", None)
        one = wait_for(
            f"{made['id']} to be {wanted}",
            lambda: running.get(f"{path}/{made['id']}", "issuer"),
            lambda shown: shown[field] == wanted,
        )
        found[f"GET {path}/{{{route[:-1]}_id}}"] = one
        listed = running.get(path, "issuer", limit=1)
        totals = {wanted: listed["totals"][wanted]}
        found[f"GET {path}"] = listed | {"totals": totals}

    payee = {
        "iban": "KZ41722C000000000001",
        "payee_name": "A resident",
        "tax_number": "900101400003",
        "knp": "342",
        "kbe": "19",
    }
    redeemed = {"chain": "solana", "amount_tiyn": 100_000, **payee}
    ended("redemptions", redeemed, "payout_status", "sent")
    recipient = wallet(running.endpoints, folder, "solana", "resident").address
    moved = {"from_chain": "evm", "to_chain": "solana", "amount_tiyn": 50_000}
    ended("moves", {**moved, "recipient": recipient}, "mint_status", "minted")

    credit = {"amount_tiyn": 20_000, "bank_reference": "FT26325-0009", "status": "BOOK"}
    for path, body in (
        ("/v1/sandbox/bank/credits", credit),
        ("/v1/sandbox/bank/reversals", {"bank_reference": credit["bank_reference"]}),
    ):
        found[f"POST {path}"] = running.post(path, body, "operator")
        running.quiesce()
    reversals = wait_for(
        "the reversal",
        lambda: running.get("/v1/reserve/reversals", "issuer", limit=1),
        lambda shown: bool(shown["data"]),
    )
    found["GET /v1/reserve/reversals"] = reversals
    one = f"/v1/reserve/reversals/{reversals['data'][0]['id']}"
    found["GET /v1/reserve/reversals/{reversal_id}"] = running.get(one, "issuer")
    found["GET /v1/sandbox/faults"] = running.get("/v1/sandbox/faults")
    return found


def _merchant(running: Running) -> JsonObject:
    """A sign-up, and a fee plan that the new merchant consents to."""
    asked = {"name": "Book shop", "bin": "260340001239", "iban": "KZ88601A000000000042"}
    made = running.post("/v1/merchants", {**asked, "status": "unverified"})
    path, template = f"/v1/merchants/{made['id']}", "/v1/merchants/{merchant_id}"
    key = running.post("/v1/api_keys", {"role": "merchant", "merchant_id": made["id"]})["key"]
    shop = running.as_merchant(key)
    found = {
        "POST /v1/merchants": made,
        f"POST {template}/status": running.post(f"{path}/status", {"status": "active"}),
        f"POST {template}": shop.post(path, {"schedule": "on_demand"}, "merchant"),
        f"POST {template}/fee_plans": running.post(
            f"{path}/fee_plans", {"fee_bps": 80, "fixed_tiyn": 500}
        ),
        f"GET {template}/fee_plans": shop.get(f"{path}/fee_plans", "merchant"),
        f"POST {template}/fee_plans/{{version}}/consent": shop.post(
            f"{path}/fee_plans/2/consent", {}, "merchant"
        ),
    }
    shop.close()
    return found


def shape(value: Any) -> Any:
    """What a reader can rely on: members and kinds of value. null fits everything."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "null" if value is None else type(value).__name__


def fits(example: Any, answer: Any) -> bool:
    """Whether an answer has the shape of its example; empty lists and null say nothing."""
    if "null" in (example, answer):
        return True
    if isinstance(example, dict) and isinstance(answer, dict):
        return set(example) == set(answer) and all(fits(example[k], answer[k]) for k in example)
    if isinstance(example, list) and isinstance(answer, list):
        return not (example and answer) or fits(example[0], answer[0])
    return bool(example == answer)


def _write() -> None:
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "sandbox")
        running = stack.up()
        try:
            text = json.dumps(answers(running, stack.data_dir), ensure_ascii=False, indent=1)
        finally:
            stack.down()
    text = _KEY.sub("sk_sbx_01m7xz4v3q8n2k6j5h9g0f1d2s_shown-once", text)
    text = _SECRET.sub("whsec_shown-once", text)
    text = _HOST.sub("http://127.0.0.1:8000", text)
    FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
