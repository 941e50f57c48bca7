"""How long a buyer and a shop wait: one payment at a time, from its block to the shop's webhook."""

import asyncio
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx2
import orjson

from sandbox.cli.benches import measure
from sandbox.cli.benches.payers import Payer
from sandbox.cli.endpoints import Running

COMPLETED = "checkout.session.completed"
PRICE_TIYN = 1_000
POLL_S, GIVE_UP_S = 0.002, 30.0
Add = Callable[..., None]


class _Shop(ThreadingHTTPServer):
    """Notes when the webhook of each session's completion came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Delivery)
        self.heard: dict[str, float] = {}
        Thread(target=self.serve_forever, daemon=True).start()


class _Delivery(BaseHTTPRequestHandler):
    server: _Shop

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        now = time.monotonic()
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.heard.setdefault(orjson.loads(body)["data"]["id"], now)

    def log_message(self, format: str, *args: object) -> None:
        pass


async def waits(add: Add, running: Running, payers: list[Payer], payments: int) -> None:
    """p50 and p99 of confirmed → complete → webhook, `payments` of each chain one by one."""
    shop = _Shop()
    url = f"http://127.0.0.1:{shop.server_port}/hook"
    asked = {"url": url, "types": [COMPLETED]}
    await asyncio.to_thread(running.post, "/v1/webhook_endpoints", asked, "merchant")
    headers = {"Authorization": f"Bearer {running.key('merchant')}"}
    api = running.endpoints["api"]
    try:
        async with httpx2.AsyncClient(base_url=api, headers=headers, timeout=30) as http:
            for payer in payers:
                took = [await _one(http, shop, payer) for _ in range(payments)]
                for name, values in zip(
                    ("confirmed to complete", "complete to webhook"),
                    zip(*took, strict=True),
                    strict=True,
                ):
                    for share in (0.50, 0.99):
                        figure = f"{name} on {payer.chain}, p{share * 100:.0f}"
                        add(figure, measure.percentile(list(values), share), "ms")
    finally:
        shop.shutdown()
        shop.server_close()


async def _one(http: httpx2.AsyncClient, shop: _Shop, payer: Payer) -> tuple[float, float]:
    made = await http.post(
        "/v1/checkout/sessions",
        json={"amount_tiyn": PRICE_TIYN, "currency": "KZT"},
        headers={"Idempotency-Key": f"latency-{time.monotonic_ns()}"},
    )
    session: dict[str, Any] = made.raise_for_status().json()
    await payer.send(await payer.sign([session]))
    await _until(payer.is_confirmed)
    confirmed = time.monotonic()

    async def is_complete() -> bool:
        found = await http.get(f"/v1/checkout/sessions/{session['id']}")
        return bool(found.raise_for_status().json()["status"] == "complete")

    await _until(is_complete)
    complete = time.monotonic()

    async def is_heard() -> bool:
        return session["id"] in shop.heard

    await _until(is_heard)
    heard = shop.heard[session["id"]]
    return (complete - confirmed) * 1000, max(0.0, heard - complete) * 1000


async def _until(done: Callable[[], Any]) -> None:
    deadline = time.monotonic() + GIVE_UP_S
    while not await done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a payment of the measurement took more than {GIVE_UP_S:.0f} s")
        await asyncio.sleep(POLL_S)
