"""What every other test stands on: a fresh migrated database, seen as a role that owns nothing."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sandbox.core.db import Database


async def test_the_application_role_may_not_create_tables(database: Database) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction() as db:
            await db.execute(text("CREATE TABLE mine (id int)"))


async def test_the_application_role_may_not_drop_what_the_owner_made(database: Database) -> None:
    with pytest.raises(DBAPIError, match="must be owner"):
        async with database.transaction() as db:
            await db.execute(text("DROP TABLE clock"))


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_a_test_sees_nothing_of_the_one_before(database: Database, turn: str) -> None:
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT offset_ms FROM clock")) == 0
        await db.execute(text("UPDATE clock SET offset_ms = 1000"))


def test_a_synchronous_test_gets_a_database_too(db_url: str) -> None:
    assert db_url.startswith("postgresql://sbx_app:")


async def test_the_owner_sees_the_same_database(database: Database, owner_url: str) -> None:
    async with database.transaction() as db:
        await db.execute(text("UPDATE clock SET offset_ms = 5"))
    owner = await asyncpg.connect(owner_url)
    try:
        assert await owner.fetchval("SELECT offset_ms FROM clock") == 5
    finally:
        await owner.close()
