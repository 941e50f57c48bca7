"""The worker's turn in a seeded world: nobody else's transaction that draws runs beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from sandbox.core.db import Database
from sandbox.core.drawing import TURN


@asynccontextmanager
async def turn(database: Database) -> AsyncIterator[None]:
    """Wait for the transactions under way, and keep others waiting until the end.

    Who dies gives its turn up with its connection.
    """
    autocommit = {"isolation_level": "AUTOCOMMIT"}
    async with database.engine.connect() as opened:
        connection = await opened.execution_options(**autocommit)
        await connection.execute(text("SELECT pg_advisory_lock(:turn)"), {"turn": TURN})
        try:
            yield
        finally:
            await connection.execute(text("SELECT pg_advisory_unlock(:turn)"), {"turn": TURN})
