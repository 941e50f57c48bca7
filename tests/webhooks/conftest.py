"""A log whose events can be made, sequenced and turned into deliveries; a receiver; a courier."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from sandbox.core.db import Database, Leader
from sandbox.core.http import RequestIdMiddleware, install
from sandbox.core.settings import Settings
from sandbox.eventlog import keys, sequencer
from sandbox.webhooks import fanout, routes, service
from sandbox.webhooks import keys as webhook_keys
from sandbox.webhooks.jobs import Courier
from sandbox.webhooks.models import WebhookEndpoint
from tests.eventlog.facts import append
from tests.eventlog.serving import lookup
from tests.webhooks.asking import Api
from tests.webhooks.receiver import Receiver


class World:
    """What a test of webhooks does to its database."""

    def __init__(self, database: Database, leader: Leader, key: keys.LogKey) -> None:
        self.database, self._leader, self._key = database, leader, key

    async def sequenced(
        self, count: int, merchant: str | None = "mch_1", type_: str = "payment.final"
    ) -> list[str]:
        ids = await append(self.database, count, merchant, type_)
        await sequencer.Sequencer(self.database, self._leader, self._key).step()
        return ids

    async def facts(
        self, count: int, merchant: str | None = "mch_1", type_: str = "payment.final"
    ) -> list[str]:
        ids = await self.sequenced(count, merchant, type_)
        while await fanout.step(self.database):
            pass
        return ids

    async def endpoint(
        self,
        url: str,
        merchant: str = "mch_1",
        types: tuple[str, ...] = ("*",),
        ordering: service.Ordering = "none",
    ) -> WebhookEndpoint:
        wanted = service.Wanted(url, types, ordering)
        async with self.database.transaction() as db:
            return await service.create_endpoint(db, merchant, wanted, allow_loopback=True)

    async def rows(self, sql: str) -> list[Any]:
        async with self.database.transaction() as db:
            return list((await db.execute(text(sql))).all())

    async def run(self, sql: str) -> None:
        async with self.database.transaction() as db:
            await db.execute(text(sql))

    async def busy(self) -> list[str]:
        async with self.database.transaction() as db:
            return await service.busy(db)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    leader = Leader(database, sequencer.LEADER, "test")
    assert await leader.acquire()
    yield World(database, leader, keys.load_or_create(tmp_path / "keys", "log.example"))
    await leader.release()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    webhook_keys.load_or_create(tmp_path / "keys", datetime(2026, 11, 21, tzinfo=UTC))
    return tmp_path / "keys"


@pytest.fixture
async def courier(database: Database, keys_dir: Path) -> AsyncIterator[Courier]:
    keyring = webhook_keys.Keyring(keys_dir)
    courier = Courier(database, "test", allow_loopback=True, keyring=keyring)
    yield courier
    await courier.close()


@pytest.fixture
async def api(database: Database, keys_dir: Path) -> AsyncIterator[Api]:
    app = FastAPI()
    app.state.database, app.state.key_lookup = database, lookup
    app.state.webhook_allow_loopback = True
    app.state.settings = Settings(data_dir=keys_dir.parent)
    app.include_router(routes.router)
    app.add_middleware(RequestIdMiddleware)
    install(app)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield Api(client)
