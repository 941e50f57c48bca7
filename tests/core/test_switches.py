"""Failure switches of the database: armed, struck, listed, and kept by the migration."""

import asyncio

import asyncpg
import pytest
from alembic import command
from sqlalchemy import text

from sandbox import migrations
from sandbox.core import switches
from sandbox.core.db import Database
from sandbox.devnets import postgres as embedded

NAMES = ("one.thing", "other.thing")


async def arm(database: Database, name: str, times: int) -> None:
    async with database.transaction() as db:
        await switches.arm(db, name, times)


async def strike(database: Database, name: str, most: int = 1) -> int:
    async with database.transaction() as db:
        return await switches.strike(db, name, most)


async def left(database: Database) -> list[int]:
    async with database.transaction() as db:
        return list((await switches.left(db, NAMES)).values())


async def test_a_switch_strikes_as_often_as_it_was_armed_and_no_other_with_it(
    database: Database,
) -> None:
    assert await left(database) == [0, 0]
    await arm(database, "one.thing", 2)
    assert await left(database) == [2, 0]
    assert [await strike(database, "one.thing") for _ in range(3)] == [1, 1, 0]
    assert await strike(database, "other.thing") == 0
    assert await left(database) == [0, 0]


async def test_of_many_chances_so_many_are_struck_as_are_left(database: Database) -> None:
    await arm(database, "one.thing", 5)
    assert await strike(database, "one.thing", 3) == 3
    assert await strike(database, "one.thing", 3) == 2
    assert await strike(database, "one.thing", 3) == 0


async def test_those_who_ask_at_once_are_struck_as_often_as_it_was_armed_in_all(
    database: Database,
) -> None:
    await arm(database, "one.thing", 7)
    struck = await asyncio.gather(*(strike(database, "one.thing", 2) for _ in range(8)))
    assert sum(struck) == 7
    assert await left(database) == [0, 0]


async def test_arming_again_replaces_what_was_left_and_zero_is_off(database: Database) -> None:
    await arm(database, "one.thing", 9)
    await arm(database, "one.thing", 1)
    assert await left(database) == [1, 0]
    await arm(database, "one.thing", 0)
    assert await strike(database, "one.thing") == 0


@pytest.mark.parametrize(("name", "found"), [("one.thing", True), ("third.thing", False)])
async def test_sql_tells_whether_one_of_the_named_may_strike(
    database: Database, name: str, found: bool
) -> None:
    await arm(database, name, 1)
    async with database.transaction() as db:
        assert await db.scalar(text(f"SELECT {switches.is_armed(NAMES)}")) is found


async def test_what_was_armed_in_two_tables_is_armed_in_the_one(
    postgres: embedded.Running,
) -> None:
    name = "before_fault_switches"
    config = migrations.config(postgres.owner_url(name))
    await asyncio.to_thread(embedded.execute, postgres.url, f"CREATE DATABASE {name}")
    await asyncio.to_thread(command.upgrade, config, "0030_lost_answers")
    owner = await asyncpg.connect(postgres.owner_url(name))
    await owner.execute("INSERT INTO bank_sim.fault VALUES ('bank.delay', 2), ('bank.reject', 0)")
    await owner.execute("INSERT INTO webhook_fault VALUES ('webhook.answer_lost', 3)")
    await asyncio.to_thread(command.upgrade, config, "head")
    moved = await owner.fetch('SELECT name, "left" FROM fault_switch ORDER BY name')
    await owner.close()
    await asyncio.to_thread(embedded.execute, postgres.url, f"DROP DATABASE {name}")
    assert [tuple(row) for row in moved] == [
        ("bank.delay", 2), ("bank.reject", 0), ("webhook.answer_lost", 3),
    ]  # fmt: skip
