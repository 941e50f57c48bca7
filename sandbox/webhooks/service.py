"""Endpoints and deliveries as the API shows them."""

import base64
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import chance, clock, ids
from sandbox.core.errors import NotFound
from sandbox.eventlog import service as eventlog
from sandbox.webhooks import egress
from sandbox.webhooks.errors import TooManyEndpoints
from sandbox.webhooks.models import WebhookEndpoint

SECRET_BYTES = 32
MAX_ENDPOINTS = 16


def webhook_id(epoch: int, event_id: str) -> str:
    """The `webhook-id` of an event: the same on every attempt and to every endpoint."""
    return f"e{epoch}_{event_id}"


def endpoint_object(row: WebhookEndpoint, secret: str | None = None) -> dict[str, Any]:
    """The API object; `secret` only in the answer that made it."""
    return {
        "object": "webhook_endpoint",
        "id": row.id,
        "url": row.url,
        "types": row.types,
        "status": row.status,
        "status_reason": row.status_reason,
        "created_at": clock.iso(row.created_at),
        **({"secret": secret} if secret is not None else {}),
    }


def delivery_object(row: Any) -> dict[str, Any]:
    """The API object of a row of `webhook_delivery`."""
    return {
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
        "created_at": clock.iso(row.created_at),
    }


async def create_endpoint(
    db: AsyncSession, merchant: str, url: str, types: Sequence[str], *, allow_loopback: bool
) -> WebhookEndpoint:
    """A new endpoint, which sees what enters the log from now on.

    Raises `WebhookUrlRefused`, `BadTypePattern` and `TooManyEndpoints`.
    """
    egress.parse(url, allow_loopback=allow_loopback)
    for pattern in types:
        eventlog.like_pattern(pattern)
    # One merchant's requests wait for each other here, or two of them could pass the limit.
    await db.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('webhooks:' || :m, 0))"),
        {"m": merchant},
    )
    there = await db.scalar(
        text("SELECT count(*) FROM webhook_endpoint WHERE merchant = :m AND status <> 'deleted'"),
        {"m": merchant},
    )
    if (there or 0) >= MAX_ENDPOINTS:
        raise TooManyEndpoints(MAX_ENDPOINTS)
    epoch = await eventlog.current_epoch(db)
    now = await clock.now(db)
    row = WebhookEndpoint(
        id=ids.new_id("we", now),
        merchant=merchant,
        url=url,
        types=list(types),
        secret="whsec_" + base64.b64encode(chance.token_bytes(SECRET_BYTES)).decode(),
        status="active",
        from_epoch=epoch,
        from_position=await eventlog.newest(db, epoch, None) + 1,
        created_at=now,
    )
    db.add(row)
    await db.flush()
    return row


async def endpoint(
    db: AsyncSession, endpoint_id: str, merchant: str | None, *, lock: bool = False
) -> WebhookEndpoint:
    """One endpoint that is not deleted. Raises `NotFound`, also for another merchant's."""
    found = select(WebhookEndpoint).where(
        col(WebhookEndpoint.id) == endpoint_id, col(WebhookEndpoint.status) != "deleted"
    )
    if merchant is not None:
        found = found.where(col(WebhookEndpoint.merchant) == merchant)
    if lock:
        found = found.with_for_update()
    row = (await db.exec(found)).one_or_none()
    if row is None:
        raise NotFound("webhook_endpoint", endpoint_id)
    return row


async def delete_endpoint(db: AsyncSession, endpoint_id: str, merchant: str | None) -> None:
    """Nothing is sent there any more; what was on its way is canceled. Raises `NotFound`."""
    row = await endpoint(db, endpoint_id, merchant, lock=True)
    row.status = "deleted"
    await db.flush()
    await cancel_pending(db, endpoint_id)


async def cancel_pending(db: AsyncSession, endpoint_id: str) -> None:
    """Give up every delivery that still waits for this endpoint."""
    await db.execute(
        text(
            "UPDATE webhook_delivery SET status = 'canceled', next_attempt_at = NULL"
            " WHERE endpoint = :id AND status = 'pending'"
        ),
        {"id": endpoint_id},
    )


async def busy(db: AsyncSession) -> list[str]:
    """What keeps webhooks from being quiet: unread events and deliveries due by now.

    A delivery that failed and is due later does not count (CONTRACT 6).
    """
    row = (
        await db.execute(
            text(
                "SELECT (SELECT count(*) FROM log_entry l, webhook_cursor c"
                " WHERE (l.epoch, l.position) > (c.epoch, c.position)) AS unread,"
                " (SELECT count(*) FROM webhook_delivery"
                " WHERE status = 'pending' AND next_attempt_at <= sandbox_now()) AS due"
            )
        )
    ).one()
    found = []
    if row.unread:
        found.append(f"{row.unread} events are not turned into deliveries yet")
    if row.due:
        found.append(f"{row.due} webhook deliveries are due")
    return found
