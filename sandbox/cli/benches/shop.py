"""The shop of a measurement: as many requests at once as it has connections, and little work of
its own, since it shares the processors with what it measures."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from sandbox.cli.benches import measure
from sandbox.cli.endpoints import Running

CONNECTIONS = 16
PATIENCE_S = 120.0
Session = dict[str, Any]


class Shop:
    """A merchant's server; made by `open_shop`."""

    def __init__(self, http: aiohttp.ClientSession, price_tiyn: int) -> None:
        self._http = http
        self._body = orjson.dumps({"amount_tiyn": price_tiyn, "currency": "KZT"})
        self._after = 0
        self.took_ms: list[float] = []

    async def ask_nothing(self, count: int) -> float:
        """Requests per second of the route that does nothing."""
        began = time.monotonic()

        async def ask(share: int) -> None:
            for _ in range(share):
                async with self._http.get("/healthz") as answer:
                    await answer.read()

        await asyncio.gather(*(ask(count // CONNECTIONS) for _ in range(CONNECTIONS)))
        return count / (time.monotonic() - began)

    async def create(self, count: int) -> list[Session]:
        """New checkout sessions; `took_ms` then has how long each answer took."""
        made: list[Session] = []
        self.took_ms = []

        async def ask(share: int) -> None:
            for _ in range(share):
                began = time.monotonic()
                key = {"Idempotency-Key": secrets.token_hex(12)}
                async with self._http.post(
                    "/v1/checkout/sessions", data=self._body, headers=key
                ) as answer:
                    made.append(orjson.loads(await answer.read()))
                self.took_ms.append((time.monotonic() - began) * 1000)

        shares = [count // CONNECTIONS + (i < count % CONNECTIONS) for i in range(CONNECTIONS)]
        await asyncio.gather(*(ask(share) for share in shares))
        return made

    def another_world(self) -> None:
        """The log is read from the start again: it counts anew in a restored world."""
        self._after = 0

    def took(self, share: float) -> float:
        """Milliseconds within which that share of the last sessions was answered."""
        return measure.percentile(self.took_ms, share)

    async def completed(self, sessions: list[Session]) -> None:
        """Until every session is complete and its completion stands in the log."""
        missing = {session["id"] for session in sessions}
        deadline = time.monotonic() + PATIENCE_S
        while missing:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(missing)} of {len(sessions)} sessions were not completed")
            asked: dict[str, str | int] = {
                "after": self._after,
                "limit": 100,
                "type": "checkout.session.completed",
            }
            async with self._http.get("/v1/events", params=asked) as answer:
                page = orjson.loads(await answer.read())
            for event in page["data"]:
                missing.discard(event["data"]["id"])
                self._after = event["sequence"]
            if not page["has_more"]:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def open_shop(running: Running, price_tiyn: int) -> AsyncIterator[Shop]:
    """A shop of the seeded merchant; an answer that is no 2xx ends the measurement."""
    headers = {
        "Authorization": f"Bearer {running.key('merchant')}",
        "Content-Type": "application/json",
    }
    async with aiohttp.ClientSession(
        running.endpoints["api"],
        headers=headers,
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        raise_for_status=True,
    ) as http:
        yield Shop(http, price_tiyn)
