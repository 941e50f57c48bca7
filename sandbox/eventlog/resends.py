"""Events that were asked for once more: a row for each request, and word to the live streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.eventlog.service import COLUMNS

CHANNEL = "log_resent"


@dataclass(frozen=True, slots=True)
class Resend:
    """One request. With an `endpoint` it is that one's alone, and no stream hears of it."""

    id: str
    merchant: str
    endpoint: str | None
    event_ids: Sequence[str]
    deliveries: int
    created_at: datetime


async def record(db: AsyncSession, resend: Resend) -> None:
    """Keep it, and tell the streams of every process when this transaction commits."""
    await db.execute(
        text(
            "INSERT INTO event_resend (id, merchant, endpoint, event_ids, deliveries, created_at)"
            " VALUES (:id, :merchant, :endpoint, CAST(:events AS text[]), :deliveries, :at)"
        ),
        {
            "id": resend.id,
            "merchant": resend.merchant,
            "endpoint": resend.endpoint,
            "events": list(resend.event_ids),
            "deliveries": resend.deliveries,
            "at": resend.created_at,
        },
    )
    if resend.endpoint is None and resend.event_ids:
        await db.execute(
            text("SELECT pg_notify(:channel, :id)"), {"channel": CHANNEL, "id": resend.id}
        )


async def events(db: AsyncSession, resend_id: str) -> list[Any]:
    """The events of one request with `COLUMNS`, in the log's order."""
    found = await db.execute(
        text(
            f"SELECT {COLUMNS} FROM log_entry l JOIN event e ON e.id = l.event_id"  # noqa: S608 - SQL of our own, no input
            " WHERE l.event_id = ANY((SELECT event_ids FROM event_resend WHERE id = :id)::text[])"
            " ORDER BY l.epoch, l.position"
        ),
        {"id": resend_id},
    )
    return list(found.all())
