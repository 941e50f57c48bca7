"""Transactions, leases and leaders on the real PostgreSQL."""

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import (
    Database,
    DatabaseUnavailable,
    Leader,
    LostLead,
    NoConnectionFree,
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


async def backend(database: Database) -> tuple[int, object]:
    """Which process of PostgreSQL serves a transaction: its number, and when it was started."""
    async with database.transaction() as db:
        sql = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        row = (await db.execute(text(sql))).one()
        return row.pid, row.backend_start


async def test_connections_are_kept_however_many_uses_there_are_at_once(db_url: str) -> None:
    database = Database(db_url, connections=3)
    seen = set()
    for _ in range(5):
        seen |= set(await asyncio.gather(*(backend(database) for _ in range(12))))
    assert len(seen) == 3
    async with database.transaction() as db:
        open_now = await db.scalar(
            text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        )
    assert open_now == 3
    await database.dispose()


async def test_the_connection_used_last_is_used_next(database: Database) -> None:
    await asyncio.gather(*(backend(database) for _ in range(4)))
    assert len({await backend(database) for _ in range(20)}) == 1


async def test_who_gets_no_connection_in_time_is_refused_by_name_and_the_next_one_is_served(
    db_url: str,
) -> None:
    database = Database(db_url, connections=2, longest_wait_s=0.1)
    async with database.transaction() as one, database.transaction() as other:
        await one.execute(text("SELECT 1"))
        await other.execute(text("SELECT 1"))
        with pytest.raises(NoConnectionFree) as refused:
            await backend(database)
    assert (refused.value.status, refused.value.code) == (503, "database_unavailable")
    assert refused.value.retryable is True
    await backend(database)
    await database.dispose()


async def test_a_server_that_does_not_say_a_word_is_given_up_in_time() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    silent = Database(f"postgresql://nobody:x@127.0.0.1:{port}/none", longest_wait_s=0.1)
    with pytest.raises(DatabaseUnavailable):
        await backend(silent)
    await silent.dispose()
    server.close()


async def test_connections_that_were_cut_while_they_rested_are_not_lent(
    database: Database, owner_url: str
) -> None:
    former = await asyncio.gather(*(backend(database) for _ in range(4)))
    async with database.transaction() as db:
        connection = await db.connection()
        raw: Any = (await connection.get_raw_connection()).driver_connection
    owner = await asyncpg.connect(owner_url)
    for pid, _ in former:
        await owner.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    await owner.close()
    async with asyncio.timeout(5):
        while not raw.is_closed():  # its last words are on their way
            await asyncio.sleep(0.01)
    now = await asyncio.gather(*(backend(database) for _ in range(4)))
    assert set(now).isdisjoint(former)


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
