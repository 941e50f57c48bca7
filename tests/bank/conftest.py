"""A bank whose accounts are open, and a clock that stands where a test puts it."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from sqlalchemy import text

from sandbox.bank import registry
from sandbox.core.db import Database
from sandbox.core.zone import ALMATY

SetClock = Callable[[str], Awaitable[None]]


@pytest.fixture
def set_clock(database: Database) -> SetClock:
    """Freeze the sandbox clock at a moment written in Almaty time."""

    async def freeze(moment: str) -> None:
        at = datetime.fromisoformat(moment).replace(tzinfo=ALMATY)
        async with database.transaction() as db:
            await db.execute(text("UPDATE clock SET frozen_at = :at"), {"at": at})

    return freeze


@pytest.fixture
async def bank(database: Database, set_clock: SetClock) -> Database:
    """The issuer's accounts, on Thursday 19 November 2026 at noon in Almaty."""
    await set_clock("2026-11-19T12:00")
    async with database.transaction() as db:
        await registry.ensure_accounts(db)
    return database
