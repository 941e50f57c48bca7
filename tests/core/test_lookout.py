"""Which jobs are due: one statement tells it of all."""

import pytest
from sqlalchemy import text

from sandbox.core.db import Database, DatabaseUnavailable
from sandbox.core.lookout import Lookout

CONDITIONS = {
    "sequence": "EXISTS (SELECT FROM event_queue)",
    "leading": "EXISTS (SELECT FROM leader)",
    "always": "true",
    "unknown": "NULL",
}


async def test_a_server_that_takes_nobody_is_unavailable_and_found_again(
    database: Database, owner_url: str
) -> None:
    lookout = Lookout(database, CONDITIONS)
    assert await lookout.look() == {"always"}
    owner = Database(owner_url)

    async def allow(connections: int) -> None:
        async with owner.transaction() as db:
            await db.execute(text(f"ALTER ROLE sbx_app CONNECTION LIMIT {connections}"))

    try:
        await allow(0)
        await database.engine.dispose()
        with pytest.raises(DatabaseUnavailable):
            await lookout.look()
    finally:
        await allow(-1)
        await owner.dispose()
    assert await lookout.look() == {"always"}


async def test_what_is_committed_is_due_at_the_next_look_and_what_is_not_is_not(
    database: Database,
) -> None:
    lookout = Lookout(database, CONDITIONS)
    assert await lookout.look() == {"always"}
    async with database.transaction() as db:
        await db.execute(text("INSERT INTO leader VALUES ('sequence', 1, 'w', sandbox_now())"))
        assert await lookout.look() == {"always"}
    assert await lookout.look() == {"always", "leading"}


async def test_without_conditions_nothing_is_due_and_nothing_asked() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    assert await Lookout(database, {}).look() == set()
    await database.dispose()
