"""Deliveries as the API shows them, with every attempt."""

from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.errors import NotFound
from sandbox.core.shapes import plain
from sandbox.webhooks import shapes
from sandbox.webhooks.service import webhook_id


def delivery_object(row: Any) -> dict[str, Any]:
    """The API object of a row of `webhook_delivery`."""
    shown: shapes.Delivery = {
        "object": "webhook_delivery",
        "id": row.id,
        "endpoint": row.endpoint,
        "event": row.event_id,
        "webhook_id": webhook_id(row.epoch, row.event_id),
        "status": row.status,
        "attempts": row.attempts,
        "next_attempt_at": clock.iso(row.next_attempt_at) if row.next_attempt_at else None,
        "last_attempt_at": clock.iso(row.last_attempt_at) if row.last_attempt_at else None,
        "last_status": row.last_status,
        "last_error": row.last_error,
        "response_head": row.response_head,
        "ordered_by": row.subject,
        "out_of_order": row.out_of_order,
        "resend": row.resend,
        "created_at": clock.iso(row.created_at),
    }
    return plain(shown)


async def delivery(db: AsyncSession, delivery_id: str, merchant: str | None) -> dict[str, Any]:
    """One delivery with `attempts_made`, oldest first. Raises `NotFound`, also for another's."""
    row = (
        await db.execute(
            text(
                "SELECT * FROM webhook_delivery WHERE id = :id"
                " AND (CAST(:merchant AS text) IS NULL OR merchant = :merchant)"
            ),
            {"id": delivery_id, "merchant": merchant},
        )
    ).one_or_none()
    if row is None:
        raise NotFound("webhook_delivery", delivery_id)
    found = await db.execute(
        text("SELECT * FROM webhook_attempt WHERE delivery = :id ORDER BY number"),
        {"id": delivery_id},
    )
    made = [
        {
            "number": attempt.number,
            "at": clock.iso(attempt.at),
            "status": attempt.status,
            "error": attempt.error,
            "duration_ms": attempt.duration_ms,
            "response_head": attempt.response_head,
        }
        for attempt in found
    ]
    return {**delivery_object(row), "attempts_made": made}
