"""Turns the log into deliveries: exactly one row per event and endpoint that wants it."""

from sqlalchemy import text

from sandbox.core import clock, ids
from sandbox.core.db import Database

BATCH = 500

# A restored world goes on in the next epoch behind the last position of the one before.
_WANTED = text(
    r"""
    WITH seen AS (
        SELECT l.epoch, l.position, l.merchant, e.id, e.type
        FROM log_entry l JOIN event e ON e.id = l.event_id
        WHERE (l.epoch, l.position) > (:epoch, :position)
        ORDER BY l.epoch, l.position LIMIT :batch
    )
    SELECT seen.*, w.id AS endpoint FROM seen
    LEFT JOIN webhook_endpoint w ON w.merchant = seen.merchant AND w.status = 'active'
        AND (w.from_epoch, w.from_position) <= (seen.epoch, seen.position)
        AND (seen.type = 'world.restored' OR EXISTS (
            SELECT FROM unnest(w.types) AS pattern
            WHERE seen.type LIKE replace(replace(pattern, '_', '\_'), '*', '%')
        ))
    ORDER BY seen.epoch, seen.position, w.id
    """
)

DUE = (
    "EXISTS (SELECT FROM webhook_cursor c JOIN log_entry l"
    " ON (l.epoch, l.position) > (c.epoch, c.position))"
)
"""SQL: the log has events behind the cursor."""

_INSERT = text(
    """
    INSERT INTO webhook_delivery
        (id, endpoint, merchant, event_id, epoch, status, attempts, next_attempt_at, created_at)
    SELECT id, endpoint, merchant, event_id, epoch, 'pending', 0, sandbox_now(), sandbox_now()
    FROM unnest(
        CAST(:ids AS text[]), CAST(:endpoints AS text[]), CAST(:merchants AS text[]),
        CAST(:events AS text[]), CAST(:epochs AS int[])
    ) AS g (id, endpoint, merchant, event_id, epoch)
    """
)


async def step(database: Database, batch: int = BATCH) -> int:
    """Read up to `batch` events behind the cursor; returns how many were read.

    One transaction holds the cursor's row, so any number of workers may call it.
    """
    async with database.transaction() as db:
        cursor = (
            await db.execute(
                text(
                    "SELECT epoch, position FROM webhook_cursor WHERE id = 1 FOR UPDATE SKIP LOCKED"
                )
            )
        ).one_or_none()
        if cursor is None:
            return 0
        found = await db.execute(
            _WANTED, {"epoch": cursor.epoch, "position": cursor.position, "batch": batch}
        )
        rows = found.all()
        if not rows:
            return 0
        wanted = [row for row in rows if row.endpoint is not None]
        if wanted:
            now = await clock.now(db)
            await db.execute(
                _INSERT,
                {
                    "ids": [ids.new_id("wd", now) for _ in wanted],
                    "endpoints": [row.endpoint for row in wanted],
                    "merchants": [row.merchant for row in wanted],
                    "events": [row.id for row in wanted],
                    "epochs": [row.epoch for row in wanted],
                },
            )
        last = rows[-1]
        await db.execute(
            text("UPDATE webhook_cursor SET epoch = :epoch, position = :position WHERE id = 1"),
            {"epoch": last.epoch, "position": last.position},
        )
        return len({(row.epoch, row.position) for row in rows})
