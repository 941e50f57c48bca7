"""Turns the log into deliveries: exactly one row per event and endpoint that wants it."""

from typing import Any

import orjson
from sqlalchemy import text

from sandbox.core import clock, ids
from sandbox.core.db import Database
from sandbox.eventlog.subject import subject_of

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
    SELECT seen.*, w.id AS endpoint, CASE WHEN w.ordering = 'per_object' THEN (
        SELECT leaf FROM event WHERE event.id = seen.id
    ) END AS ordered_leaf FROM seen
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
        (id, endpoint, merchant, event_id, epoch, position, subject, out_of_order, status, attempts,
            attempts_before, clock_offset_ms, next_attempt_at, queued_at, created_at)
    SELECT id, endpoint, merchant, event_id, epoch, position, subject, false, 'pending', 0,
        0, extract(epoch FROM sandbox_now() - clock_timestamp()) * 1000, sandbox_now(),
        sandbox_now(), sandbox_now()
    FROM unnest(
        CAST(:ids AS text[]), CAST(:endpoints AS text[]), CAST(:merchants AS text[]),
        CAST(:events AS text[]), CAST(:epochs AS int[]), CAST(:positions AS bigint[]),
        CAST(:subjects AS text[])
    ) AS g (id, endpoint, merchant, event_id, epoch, position, subject)
    """
)


def _subject(row: Any) -> str | None:
    """What the delivery waits in line with; None where its endpoint asks for no order."""
    if row.ordered_leaf is None:
        return None
    return subject_of(row.type, orjson.loads(row.ordered_leaf)["data"])


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
                    "positions": [row.position for row in wanted],
                    "subjects": [_subject(row) for row in wanted],
                },
            )
        last = rows[-1]
        await db.execute(
            text("UPDATE webhook_cursor SET epoch = :epoch, position = :position WHERE id = 1"),
            {"epoch": last.epoch, "position": last.position},
        )
        return len({(row.epoch, row.position) for row in rows})
