"""What checkout does by itself: sessions whose time is over."""

from sandbox.core.db import Database
from sandbox.payments.sessions import EXPIRE_BATCH, expire_some

MAX_BATCHES = 50


async def expire(database: Database) -> int:
    """Expire open sessions that are past `expires_at` by the sandbox clock; returns how many.

    Any number of workers may run it; each batch is its own transaction.
    """
    total = 0
    for _ in range(MAX_BATCHES):
        async with database.transaction() as db:
            expired = await expire_some(db)
        total += expired
        if expired < EXPIRE_BATCH:
            break
    return total
