"""The HTTP kit over a real database."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import Database
from sandbox.core.http import (
    KeyRecord,
    LimitsMiddleware,
    RequestIdMiddleware,
    install,
    stored_answers,
)
from tests.core.kit import KEYS, router


@pytest.fixture
async def http(database: Database, owner_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    owner = Database(owner_url)
    async with owner.transaction() as db:
        await db.execute(text("CREATE SEQUENCE hits"))
        await db.execute(text("GRANT USAGE ON hits TO sbx_app"))
    await owner.dispose()

    async def lookup(db: AsyncSession, key_id: str) -> KeyRecord | None:
        await db.execute(text("SELECT 1"))  # as the real one, it takes a connection
        return KEYS.get(key_id)

    app = FastAPI()
    app.state.database, app.state.key_lookup = database, lookup
    app.include_router(router)
    app.include_router(stored_answers.router)
    app.add_middleware(LimitsMiddleware)
    app.add_middleware(RequestIdMiddleware)
    install(app)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield client
