"""Statements given to the driver are part of the session's transaction, and fail like its own."""

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from datetime import date
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import driver
from sandbox.core.db import Database, DatabaseUnavailable
from sandbox.core.driver import Statement

SET_OFFSET = Statement("UPDATE clock SET offset_ms = :offset RETURNING offset_ms, :offset + 1 AS n")
CUT_OFF = Statement("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_name_used_twice_is_one_parameter_and_a_cast_is_none() -> None:
    statement = Statement("SELECT :one, a[1:2], :two, :one::int")
    assert statement.names == ["one", "two"]
    assert statement.sql == "SELECT $1, a[1:2], $2, $1::int"


async def test_what_a_first_statement_wrote_is_gone_with_its_transaction(
    database: Database,
) -> None:
    async def fail() -> None:
        async with database.transaction() as db:
            rows = await SET_OFFSET.fetch(db, {"offset": 5})
            assert dict(rows[0]) == {"offset_ms": 5, "n": 6}
            assert await db.scalar(text("SELECT offset_ms FROM clock")) == 5
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT offset_ms FROM clock")) == 0


async def test_what_it_wrote_is_there_after_the_commit(database: Database) -> None:
    async with database.transaction() as db:
        await SET_OFFSET.fetch(db, {"offset": 7})
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT offset_ms FROM clock")) == 7


async def test_a_broken_constraint_is_an_integrity_error_that_names_it(database: Database) -> None:
    lead = Statement(
        "INSERT INTO leader SELECT :name, 1, 'test', clock_timestamp() FROM generate_series(1, 2)"
    )
    with pytest.raises(IntegrityError) as refused:
        async with database.transaction() as db:
            await lead.fetch(db, {"name": "twice"})
    assert refused.value.orig is not None
    assert refused.value.orig.constraint_name == "pk_leader"  # type: ignore[attr-defined]  # asyncpg's own error


async def test_a_connection_cut_in_the_middle_is_named_and_the_next_one_works(
    database: Database,
) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as db:
            await CUT_OFF.fetch(db, {})
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT offset_ms FROM clock")) == 0


async def test_when_the_server_went_away_one_transaction_hears_of_it_and_the_next_ones_work(
    database: Database, owner_url: str
) -> None:
    async with AsyncExitStack() as several:
        for _ in range(4):
            db = await several.enter_async_context(database.transaction())
            await db.scalar(text("SELECT 1"))
    owner = await asyncpg.connect(owner_url)

    async def cut_off() -> None:
        async with database.transaction() as db:
            await SET_OFFSET.fetch(db, {"offset": 2})
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await SET_OFFSET.fetch(db, {"offset": 3})

    with pytest.raises(DatabaseUnavailable):
        await cut_off()
    await owner.close()
    for _ in range(4):
        async with database.transaction() as db:
            await SET_OFFSET.fetch(db, {"offset": 3})


async def test_wherever_a_transaction_is_cut_off_the_next_one_is_committed(
    database: Database, owner_url: str
) -> None:
    async def work(offset: int) -> None:
        async with database.transaction() as db:
            await SET_OFFSET.fetch(db, {"offset": offset})
            await SET_OFFSET.fetch(db, {"offset": offset})

    other = await asyncpg.connect(owner_url)
    for turns in range(1, 30):
        working = asyncio.create_task(work(-1))
        for _ in range(turns):
            await asyncio.sleep(0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await work(turns)
        assert await other.fetchval("SELECT offset_ms FROM clock") == turns
    await other.close()


@pytest.mark.parametrize("sqlstate", ["53100", "53300", "57P03"])
async def test_a_full_or_busy_server_is_refused_by_name(database: Database, sqlstate: str) -> None:
    full = Statement(f"DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '{sqlstate}'; END $$")
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as db:
            await full.fetch(db, {})


async def test_a_session_that_goes_on_after_a_rollback_has_another_transaction(
    database: Database,
) -> None:
    """What was kept of the connection belongs to the transaction before, which may be cut."""
    async with AsyncSession(database.engine) as db:
        await SET_OFFSET.fetch(db, {"offset": 5})
        await db.rollback()
        with pytest.raises(DBAPIError):
            await CUT_OFF.fetch(db, {})
        await db.rollback()
        await SET_OFFSET.fetch(db, {"offset": 9})
        await db.commit()
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT offset_ms FROM clock")) == 9


async def test_what_an_array_is_is_asked_for_once_in_a_process(
    db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    plain = asyncpg.Connection._introspect_types

    async def noted(self: Any, oids: Collection[int], timeout: float | None) -> Any:
        asked.extend(oids)
        return await plain(self, oids, timeout)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", noted)
    monkeypatch.setattr(driver, "_built_in", {})
    days = Statement("SELECT CAST(:days AS date[]) AS days, CAST(:first AS text) AS first")
    for _ in range(3):
        database = Database(db_url)
        async with database.transaction() as db:
            [row] = await days.fetch(db, {"days": [date(2026, 11, 22)], "first": "same"})
        assert (row["days"], row["first"]) == ([date(2026, 11, 22)], "same")
        await database.dispose()
    assert asked == [1182]  # date[], PostgreSQL's pg_type.dat


async def test_what_a_type_of_this_database_is_is_asked_for_by_each_connection(
    owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_built_in", {})
    for kind in ("int", "text"):
        database = Database(owner_url)
        async with database.transaction() as db:
            await db.execute(text(f"CREATE TYPE pair AS (one {kind}, two {kind})"))
            [row] = await Statement("SELECT CAST(ROW('1', '2') AS pair) AS pair").fetch(db, {})
            assert tuple(row["pair"]) == ((1, 2) if kind == "int" else ("1", "2"))
            await db.execute(text("DROP TYPE pair"))
        await database.dispose()
    assert driver._built_in == {}
