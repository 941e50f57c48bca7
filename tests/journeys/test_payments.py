"""Real clients pay real sessions of a running sandbox."""

import asyncio
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from merchants.client import MerchantClient, verify_webhook
from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running, wait_for
from tests.journeys.customers import (
    CHAINS,
    address_of,
    funded,
    new_key,
    option_of,
    pays,
    secret_file,
    sends,
)

ROOT = Path(__file__).parents[2]
TWENTY = 20


@pytest.fixture
def shop(sandbox: Running) -> Any:
    with MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant")) as client:
        yield client


def captured(shop: MerchantClient, session_id: str) -> JsonObject:
    return wait_for(
        "capture",
        lambda: shop.session(session_id),
        lambda s: s["payment"] is not None and s["payment"]["settlement_state"] == "unsettled",
    )


CLIENTS = {
    "kit_pay.mjs": "solana",
    "solana_py_pay.py": "solana",
    "web3_py_pay.py": "evm",
    "viem_pay.mjs": "evm",
    "ethers_pay.mjs": "evm",
}


@pytest.mark.parametrize(("client", "chain"), CLIENTS.items())
def test_an_unmodified_client_pays_a_session(
    sandbox: Running, shop: MerchantClient, tmp_path: Path, client: str, chain: str
) -> None:
    secret = str(secret_file(funded(sandbox, chain, 500_000), tmp_path))
    session = shop.create_session(250_000)
    rpc = sandbox.endpoints[f"{chain}_rpc"]
    runs = ["node"] if client.endswith(".mjs") else [sys.executable]
    web_socket = [sandbox.endpoints["solana_ws"]] if client == "kit_pay.mjs" else []
    url = option_of(session, chain)["url"]
    paid = subprocess.run(
        [*runs, f"tests/clients/{client}", rpc, *web_socket, secret, url],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert paid.returncode == 0, paid.stderr
    tx = paid.stdout.strip().splitlines()[-1]
    final = captured(shop, session["id"])
    assert final["status"] == "complete"
    assert final["payment"]["tx"] == tx
    assert final["received_units"] == 250_000


class Receiver:
    """A merchant's webhook endpoint that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.got.append((headers, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 64  # with the default of 5, the kernel resets bursts

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Any:
    made = Receiver()
    yield made
    made.close()


@pytest.mark.parametrize("chain", CHAINS)
def test_twenty_sessions_paid_at_once_each_count_exactly_once(
    sandbox: Running, shop: MerchantClient, receiver: Receiver, chain: str
) -> None:
    endpoint = shop.post("/v1/webhook_endpoints", {"url": receiver.url, "types": ["*"]})
    keys = [new_key(chain) for _ in range(TWENTY)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: pay.fund(sandbox, chain, address_of(key), 20_000), keys))
        sessions = list(pool.map(shop.create_session, range(10_000, 10_000 + TWENTY)))

    async def pay_all() -> list[str]:
        return await asyncio.gather(
            *(
                pays(sandbox, chain, key, session)
                for key, session in zip(keys, sessions, strict=True)
            )
        )

    txs = asyncio.run(pay_all())
    finals = [captured(shop, session["id"]) for session in sessions]
    sandbox.quiesce()
    assert [s["payment"]["tx"] for s in finals] == txs
    assert all(s["received_units"] == s["amount_tiyn"] for s in finals)
    assert all(len(s["payments"]) == 1 for s in finals)

    ids = {s["id"]: s["payment"]["id"] for s in finals}
    leaves = all_events(sandbox)
    completed = Counter(
        e["data"]["id"] for e in leaves if e["type"] == "checkout.session.completed"
    )
    final = Counter(e["data"]["id"] for e in leaves if e["type"] == "payment.final")
    capture = Counter(e["data"]["id"] for e in leaves if e["type"] == "payment.captured")
    for session_id, payment_id in ids.items():
        assert completed[session_id] == final[payment_id] == capture[payment_id] == 1

    deliveries = shop.get("/v1/webhook_deliveries", limit=100, endpoint=endpoint["id"])["data"]
    late = [d for d in deliveries if d["status"] != "delivered"]
    assert not late, late[0]["last_error"]
    hooks: dict[str, set[str]] = {}
    for headers, body in receiver.got:
        event = verify_webhook(endpoint["secret"], headers, body)
        if event["type"] == "checkout.session.completed":
            hooks.setdefault(event["data"]["id"], set()).add(headers["webhook-id"])
    assert {session_id: len(hooks[session_id]) for session_id in ids} == dict.fromkeys(ids, 1)
    assert sandbox.get("/v1/sandbox/audit")["ok"]


def all_events(sandbox: Running) -> list[JsonObject]:
    """Every event of the log, by position."""
    events: list[JsonObject] = []
    while True:
        after = {"after": events[-1]["position"]} if events else {}
        page = sandbox.get("/v1/events", "regulator", limit=100, **after)
        events += page["data"]
        if not page["has_more"]:
            return events


@pytest.mark.parametrize("chain", CHAINS)
def test_quiesce_waits_for_what_was_sent_a_moment_before(
    sandbox: Running, shop: MerchantClient, chain: str
) -> None:
    key = funded(sandbox, chain, 100_000)
    session = shop.create_session(20_000)
    asyncio.run(sends(sandbox, chain, key, session))
    sandbox.quiesce()
    assert shop.session(session["id"])["payment"]["settlement_state"] == "unsettled"


def test_one_session_paid_half_on_each_chain_is_complete_and_settled_in_one_batch(
    sandbox: Running, shop: MerchantClient, folder: Path
) -> None:
    session = shop.create_session(50_000)
    pay.pay(sandbox, folder, session["id"], "solana", "resident", 20_000)
    pay.pay(sandbox, folder, session["id"], "evm", "resident", None)
    sandbox.quiesce()
    paid = shop.session(session["id"])
    assert (paid["status"], paid["reason"]) == ("complete", "none")
    assert {p["chain"]: p["counted_units"] for p in paid["payments"]} == {
        "solana": 20_000,
        "evm": 30_000,
    }
    made = shop.settle(sandbox.endpoints["keys"]["merchant_id"])
    sandbox.quiesce()
    settled = shop.get(f"/v1/settlements/{made['id']}")
    assert settled["status"] == "settled"
    assert [burn["chain"] for burn in settled["burns"]] == ["evm", "solana"]
    assert settled["payout"]["amount_tiyn"] == settled["check"]["paid_tiyn"]
    assert settled["check"]["unexplained_tiyn"] == 0
    assert sandbox.get("/v1/sandbox/audit")["ok"]
