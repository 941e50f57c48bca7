"""Transactions, leases and leaders on the real PostgreSQL."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import (
    Database,
    DatabaseUnavailable,
    Leader,
    LostLead,
    claim,
    compare_whole_tables,
    led,
)
from sandbox.devnets import postgres as embedded


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


async def test_a_server_that_has_no_room_for_us_is_refused_by_name(
    postgres: embedded.Running, database_name: str
) -> None:
    role = f"nobody_{database_name}"
    embedded.execute(postgres.url, f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
    crowded = Database(f"postgresql://{role}:x@127.0.0.1:{postgres.port}/{database_name}")
    with pytest.raises(DatabaseUnavailable):
        async with crowded.transaction() as db:
            await db.execute(text("SELECT 1"))
    await crowded.dispose()
    embedded.execute(postgres.url, f"DROP ROLE {role}")


@pytest.mark.parametrize("sqlstate", ["53100", "53300", "57P03"])
async def test_a_full_or_busy_server_is_refused_by_name_in_the_middle_of_a_transaction(
    database: Database, sqlstate: str
) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as db:
            await db.execute(
                text(f"DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '{sqlstate}'; END $$")
            )


async def test_a_full_disk_is_refused_in_its_own_words(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="disk of the database is full") as refused:
        async with database.transaction() as db:
            await db.execute(
                text("DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$")
            )
    assert refused.value.code == "database_unavailable"


async def test_a_lease_from_before_the_clock_went_back_is_none(database: Database) -> None:
    async def claimed(until: str) -> int:
        async with database.transaction() as db:
            await db.execute(
                text(
                    "INSERT INTO chain_intent (id, kind, chain, command, state, attempts,"
                    " created_at, lease_owner, lease_until)"
                    " VALUES (:id, 'x', 'x', '{}', 'due', 0, sandbox_now(), 'other',"
                    f" clock_timestamp() + interval '{until}')"
                ),
                {"id": until},
            )
            due = "state = 'due'"
            return len(await claim(db, "chain_intent", due, owner="me", limit=9, seconds=30))

    assert await claimed("50 seconds") == 0
    assert await claimed("1 hour") == 1


async def test_a_lead_is_seen_while_it_is_held_and_not_longer(database: Database) -> None:
    leader = Leader(database, "job", "a")
    await leader.acquire()
    async with database.transaction() as db:
        assert await led(db) == {"job"}
    await leader.release()
    for _ in range(100):
        async with database.transaction() as db:
            if not await led(db):
                break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("still led")


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


async def test_a_lead_whose_connection_was_cut_is_taken_anew(database: Database) -> None:
    leader = Leader(database, "job", "a")
    assert await leader.acquire()
    assert await leader.acquire()
    assert leader.term == 1
    async with database.transaction() as db:
        await db.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        )
    for _ in range(100):
        if await leader.acquire() and leader.term == 2:
            break
        await asyncio.sleep(0.02)
    async with database.transaction() as db:
        await leader.check(db)
        assert await led(db) == {"job"}
    await leader.release()


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


async def plan_of(db: AsyncSession, statement: str) -> str:
    rows = await db.execute(text(f"EXPLAIN (COSTS off) {statement}"))
    return "\n".join(row[0] for row in rows)


async def test_rows_are_found_by_index_however_few_there_were_when_it_was_planned(
    database: Database, owner_url: str
) -> None:
    owner = await asyncpg.connect(owner_url)
    await owner.execute("ANALYZE event")
    await owner.close()
    one, all_of = "SELECT FROM event WHERE id = 'evt_1'", "SELECT FROM event WHERE merchant = 'm'"
    async with database.transaction() as db:
        assert "Index" in await plan_of(db, one)
        await compare_whole_tables(db)
        assert "Seq Scan" in await plan_of(db, all_of)
    async with database.transaction() as db:
        assert "Index" in await plan_of(db, one)
