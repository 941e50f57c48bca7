"""Transactions, leases and leaders on the real PostgreSQL."""

import asyncio

import pytest
from sqlalchemy import text

from sandbox.core.db import Database, DatabaseUnavailable, Leader, LostLead


async def test_what_raises_inside_a_transaction_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as db:
            await db.execute(text("UPDATE clock SET offset_ms = 5"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT offset_ms FROM clock")) == 0


async def test_an_absent_server_is_refused_by_name() -> None:
    nowhere = Database("postgresql://nobody:x@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable):
        async with nowhere.transaction() as db:
            await db.execute(text("SELECT 1"))
    await nowhere.dispose()


async def test_only_one_process_leads_and_the_next_gets_a_higher_term(database: Database) -> None:
    first, second = Leader(database, "job", "a"), Leader(database, "job", "b")
    assert await first.acquire()
    assert not await second.acquire()
    await first.release()
    for _ in range(100):
        if await second.acquire():
            break
        await asyncio.sleep(0.02)
    assert second.term == first.term + 1
    await second.release()


async def test_a_leader_that_lost_the_lead_cannot_write(database: Database) -> None:
    stalled = Leader(database, "job", "a")
    assert await stalled.acquire()
    async with database.transaction() as db:
        await db.execute(text("UPDATE leader SET term = term + 1, owner = 'b'"))
    with pytest.raises(LostLead):
        async with database.transaction() as db:
            await stalled.check(db)


async def test_the_application_role_owns_nothing(database: Database) -> None:
    async with database.transaction() as db:
        owned = await db.scalar(
            text("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = current_user")
        )
        assert await db.scalar(text("SELECT current_user")) == "sbx_app"
    assert owned == 0
