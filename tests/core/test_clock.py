"""Sandbox time runs with the wall, moves forward, and stands still on demand."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from sandbox.core import clock
from sandbox.core.db import Database


async def test_the_clock_refuses_to_go_back(database: Database) -> None:
    with pytest.raises(clock.ClockMovesForward):
        async with database.transaction() as db:
            await clock.advance(db, -1)


async def test_the_clock_refuses_to_go_where_no_chain_could_follow(database: Database) -> None:
    async with database.transaction() as db:
        await db.execute(text("UPDATE clock SET frozen_at = '2098-12-31 12:00Z'"))
        assert await clock.advance(db, 43_200) == clock.END
    with pytest.raises(clock.ClockAtItsEnd):
        async with database.transaction() as db:
            await clock.advance(db, 1)
    async with database.transaction() as db:
        assert await clock.now(db) == clock.END


async def test_a_new_clock_shows_wall_time_in_whole_milliseconds(database: Database) -> None:
    async with database.transaction() as db:
        now = await clock.now(db)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
    assert now.microsecond % 1000 == 0
    assert datetime.fromisoformat(clock.iso(now)) == now


async def test_advancing_moves_time_by_exactly_that_much(database: Database) -> None:
    async with database.transaction() as db:
        frozen = await clock.freeze(db, True)
    async with database.transaction() as db:
        assert await clock.advance(db, 86_400) == frozen + timedelta(days=1)


async def test_a_frozen_clock_stands_and_goes_on_from_where_it_stood(database: Database) -> None:
    async with database.transaction() as db:
        stood = await clock.freeze(db, True)
        await asyncio.sleep(0.05)
        assert await clock.now(db) == stood
    async with database.transaction() as db:
        released = await clock.freeze(db, False)
    assert timedelta(0) <= released - stood < timedelta(seconds=5)
    async with database.transaction() as db:
        again = await clock.now(db)
    assert again >= released
