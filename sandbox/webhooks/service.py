"""Endpoints: made, changed, given a new secret, disabled; and what webhooks have yet to do."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import api_version, chance, clock, ids
from sandbox.core.errors import NotFound
from sandbox.core.shapes import plain
from sandbox.eventlog import catalog
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import NewEvent
from sandbox.webhooks import egress, shapes
from sandbox.webhooks.due import READY
from sandbox.webhooks.errors import TooManyEndpoints
from sandbox.webhooks.models import WebhookEndpoint

SECRET_BYTES = 32
MAX_ENDPOINTS = 16
MAX_OVERLAP_S = 7 * 86_400

Ordering = Literal["none", "per_object"]
Status = Literal["active", "disabled"]


def webhook_id(epoch: int, event_id: str) -> str:
    """The `webhook-id` of an event: the same on every attempt and to every endpoint."""
    return f"e{epoch}_{event_id}"


def endpoint_object(row: WebhookEndpoint, secret: str | None = None) -> dict[str, Any]:
    """The API object; `secret` only in the answer that made it."""
    shown: shapes.WebhookEndpoint = {
        "object": "webhook_endpoint",
        "id": row.id,
        "url": row.url,
        "types": row.types,
        "ordering": row.ordering,
        "api_version": row.api_version,
        "status": row.status,
        "status_reason": row.status_reason,
        "previous_secret_until": clock.iso(row.previous_until) if row.previous_until else None,
        "created_at": clock.iso(row.created_at),
    }
    return plain(shown) if secret is None else plain(shown) | {"secret": secret}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the owner of an endpoint asks for; None leaves it as it is."""

    url: str | None = None
    types: Sequence[str] | None = None
    ordering: Ordering | None = None
    api_version: str | None = None
    status: Status | None = None

    def check(self, *, allow_loopback: bool) -> None:
        """Raises `WebhookUrlRefused`, `BadTypePattern`, `UnknownEventType`, `VersionUnknown`."""
        if self.url is not None:
            egress.parse(self.url, allow_loopback=allow_loopback)
        for pattern in self.types or ():
            catalog.check_pattern(pattern)
        if self.api_version is not None:
            api_version.known(self.api_version)


async def create_endpoint(
    db: AsyncSession, merchant: str, wanted: Wanted, *, allow_loopback: bool
) -> WebhookEndpoint:
    """A new endpoint, which sees what enters the log from now on.

    Raises what `Wanted.check` does, and `TooManyEndpoints`.
    """
    assert wanted.url is not None
    wanted.check(allow_loopback=allow_loopback)
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
        url=wanted.url,
        types=list(wanted.types or ["*"]),
        secret=_new_secret(),
        ordering=wanted.ordering or "none",
        api_version=wanted.api_version or api_version.LATEST,
        status="active",
        from_epoch=epoch,
        from_position=await eventlog.newest(db, epoch, None) + 1,
        created_at=now,
    )
    db.add(row)
    await db.flush()
    return row


async def update_endpoint(
    db: AsyncSession,
    endpoint_id: str,
    merchant: str | None,
    wanted: Wanted,
    *,
    allow_loopback: bool,
) -> WebhookEndpoint:
    """Change what is asked for. What waits goes to the new address; of a disabled endpoint it is
    given up, and what happens until it is enabled again comes by a resend only.

    Raises `NotFound` and what `Wanted.check` does.
    """
    wanted.check(allow_loopback=allow_loopback)
    row = await endpoint(db, endpoint_id, merchant, lock=True)
    if wanted.url is not None:
        row.url = wanted.url
    if wanted.types is not None:
        row.types = list(wanted.types)
    if wanted.ordering is not None:
        row.ordering = wanted.ordering
    if wanted.api_version is not None:
        row.api_version = wanted.api_version
    if wanted.status is not None and wanted.status != row.status:
        row.status, row.failing = wanted.status, 0
        row.status_reason = "by_owner" if wanted.status == "disabled" else None
    await db.flush()
    if row.status == "disabled":
        await cancel_pending(db, endpoint_id)
    return row


async def rotate_secret(
    db: AsyncSession, endpoint_id: str, merchant: str | None, overlap_s: int
) -> WebhookEndpoint:
    """A new secret. The one before signs beside it for `overlap_s` seconds of sandbox time; one
    that was still in its own overlap stops at once. Raises `NotFound`.
    """
    row = await endpoint(db, endpoint_id, merchant, lock=True)
    until = await clock.now(db) + timedelta(seconds=overlap_s)
    row.previous_secret = row.secret if overlap_s else None
    row.previous_until = until if overlap_s else None
    row.secret = _new_secret()
    await db.flush()
    return row


async def disable(db: AsyncSession, endpoint_id: str, reason: str) -> None:
    """Send nothing there any more, and tell its owner by an event, which other endpoints and the
    event stream carry. Nothing happens to one that is not active.
    """
    found = select(WebhookEndpoint).where(
        col(WebhookEndpoint.id) == endpoint_id, col(WebhookEndpoint.status) == "active"
    )
    row = (await db.exec(found.with_for_update())).one_or_none()
    if row is None:
        return
    row.status, row.status_reason = "disabled", reason
    await db.flush()
    await cancel_pending(db, endpoint_id)
    now = await clock.now(db)
    event = NewEvent(
        ids.new_id("evt", now),
        "webhook_endpoint.disabled",
        now,
        endpoint_object(row),
        row.merchant,
        request_id=None,
    )
    await eventlog.append_many(db, [event], {})


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


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(chance.token_bytes(SECRET_BYTES)).decode()


async def cancel_pending(db: AsyncSession, endpoint_id: str) -> None:
    """Give up every delivery that still waits for this endpoint."""
    # Who writes an outcome holds its row and may want the endpoint's: such a row is not waited for.
    # If it stays pending, its next claim finds that the endpoint wants nothing.
    await db.execute(
        text(
            "UPDATE webhook_delivery SET status = 'canceled', next_attempt_at = NULL"
            " WHERE id IN (SELECT id FROM webhook_delivery WHERE endpoint = :id"
            " AND status = 'pending' FOR UPDATE SKIP LOCKED)"
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
                "SELECT (SELECT count(*) FROM log_entry l, webhook_cursor c"  # noqa: S608 - SQL of our own, no input
                " WHERE (l.epoch, l.position) > (c.epoch, c.position)) AS unread,"
                f" (SELECT count(*) FROM webhook_delivery WHERE {READY}) AS due"
            )
        )
    ).one()
    found = []
    if row.unread:
        found.append(f"{row.unread} events are not turned into deliveries yet")
    if row.due:
        found.append(f"{row.due} webhook deliveries are due")
    return found
