"""Settling a town: the batches of many merchants for one day, without and with the chain's time."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp

from sandbox.cli import pay
from sandbox.cli.benches import measure
from sandbox.cli.benches.payers import Payer
from sandbox.cli.benches.shop import CONNECTIONS
from sandbox.cli.endpoints import Running

MERCHANTS, PAYMENTS, PRICE_TIYN = 200, 10_000, 1_000
SETTLED_S = 300.0
Add = Callable[..., None]
Object = dict[str, Any]


async def settle(add: Add, running: Running, payer: Payer) -> None:
    """10,000 payments of 200 merchants, then a batch for each merchant, 16 at a time.

    The figures are seconds: until every batch is made (its lines fixed, its burn asked for), and
    until every one is settled, which needs the chain.
    """
    town = _Town(running)
    async with town.http:
        keys = await _at_once(town.open_shop, range(MERCHANTS))
        await asyncio.to_thread(
            pay.fund, running, payer.chain, payer.address, PAYMENTS * PRICE_TIYN
        )
        for first in range(0, PAYMENTS, 1_000):
            sessions = await _at_once(
                town.session, [keys[n % MERCHANTS] for n in range(first, first + 1_000)]
            )
            await payer.send(await payer.sign(sessions))
        await asyncio.to_thread(running.quiesce, 300)
        began = time.monotonic()
        town.took_ms.clear()
        batches = await _at_once(town.batch, [merchant for merchant, _ in keys])
        name = f"batches of {PAYMENTS:,} payments of {MERCHANTS} merchants made"
        add(name, time.monotonic() - began, "s")
        add(f"{name}, p99 of one", measure.percentile(town.took_ms, 0.99), "ms")
        await _at_once(town.settled, [batch["id"] for batch in batches])
        add(f"{name}, and settled by {payer.chain}", time.monotonic() - began, "s")
        settled_tiyn = sum(batch["check"]["gross_tiyn"] for batch in batches)
        assert settled_tiyn == PAYMENTS * PRICE_TIYN, settled_tiyn


async def _at_once(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """`work` for each of `items`, as many at a time as there are connections."""
    done: list[Any] = [None] * len(items)
    left = iter(range(len(items)))

    async def one() -> None:
        for index in left:
            done[index] = await work(items[index])

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return done


class _Town:
    """The calls of an operator and of many merchants."""

    def __init__(self, running: Running) -> None:
        self._operator = running.key("operator")
        self.took_ms: list[float] = []
        self.http = aiohttp.ClientSession(
            running.endpoints["api"],
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            raise_for_status=True,
        )

    async def _post(self, path: str, body: Object, key: str) -> Object:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": secrets.token_hex(12)}
        began = time.monotonic()
        async with self.http.post(path, json=body, headers=headers) as answer:
            made: Object = await answer.json()
        self.took_ms.append((time.monotonic() - began) * 1000)
        return made

    async def open_shop(self, number: int) -> tuple[str, str]:
        """A new merchant: its id and its key."""
        body = {
            "name": f"Shop {number}",
            "bin": "260340001239",
            "iban": "KZ88601A000000000042",
            "schedule": "on_demand",
        }
        merchant = (await self._post("/v1/merchants", body, self._operator))["id"]
        asked = {"role": "merchant", "merchant_id": merchant}
        return merchant, (await self._post("/v1/api_keys", asked, self._operator))["key"]

    async def session(self, shop: tuple[str, str]) -> Object:
        body = {"amount_tiyn": PRICE_TIYN, "currency": "KZT"}
        return await self._post("/v1/checkout/sessions", body, shop[1])

    async def batch(self, merchant: str) -> Object:
        return await self._post("/v1/settlements", {"merchant_id": merchant}, self._operator)

    async def settled(self, batch_id: str) -> None:
        """Until this batch is settled; raises `TimeoutError`."""
        headers = {"Authorization": f"Bearer {self._operator}"}
        async with asyncio.timeout(SETTLED_S):
            while True:
                url = f"/v1/settlements/{batch_id}"
                async with self.http.get(url, headers=headers) as answer:
                    if (await answer.json())["status"] == "settled":
                        return
                await asyncio.sleep(0.1)
