"""The webhooks' routes without a server: what tests ask of them."""

import itertools
from typing import Any

import httpx2

from tests.eventlog.serving import bearer

numbers = itertools.count()


class Api:
    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def post(self, who: str, **body: Any) -> httpx2.Response:
        headers = bearer(who) | {"Idempotency-Key": f"key-{next(numbers)}"}
        return await self.client.post("/v1/webhook_endpoints", json=body, headers=headers)

    async def ask(self, who: str, path: str, **body: Any) -> httpx2.Response:
        headers = bearer(who) | {"Idempotency-Key": f"key-{next(numbers)}"}
        return await self.client.post(path, json=body, headers=headers)

    async def get(self, who: str, path: str, **params: str) -> httpx2.Response:
        return await self.client.get(f"/v1/{path}", params=params, headers=bearer(who))

    async def delete(self, who: str, id_: str) -> httpx2.Response:
        return await self.client.delete(f"/v1/webhook_endpoints/{id_}", headers=bearer(who))
