"""The delivery loop: claim what is due, commit, post, write the outcome in a second transaction.

A process that dies in between leaves a lease that runs out; the next attempt carries the same
`webhook-id`, by which the receiver drops repeats.
"""

import asyncio
import re
import secrets
from collections import Counter
from typing import Any

import httpx2
import orjson
import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import Database, claim
from sandbox.eventlog import service as eventlog
from sandbox.webhooks import sending, service
from sandbox.webhooks.schedule import delay_ms
from sandbox.webhooks.sending import Attempt

LEASE_S = 20
SLOTS = 64
PER_ENDPOINT = 8
_ENDPOINT_ID = re.compile(r"we_[0-9a-z]{26}")

log = structlog.get_logger()


class Courier:
    """The deliveries of one process: up to `SLOTS` at once, no endpoint holds up another."""

    def __init__(
        self,
        database: Database,
        owner: str,
        *,
        allow_loopback: bool,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._database, self._owner = database, owner
        self._allow_loopback = allow_loopback
        self._http = http or sending.client()
        self._under_way: set[asyncio.Task[None]] = set()
        self._per_endpoint: Counter[str] = Counter()

    async def step(self) -> int:
        """Start what is due and has a free slot; returns how many deliveries were started."""
        free = min(SLOTS - len(self._under_way), PER_ENDPOINT)
        if free <= 0:
            return 0
        # Each claim has an owner of its own, so that a slow attempt of ours cannot write over
        # what a later one, also of ours, found out.
        owner = f"{self._owner}:{secrets.token_hex(6)}"
        async with self._database.transaction() as db:
            rows = await claim(
                db,
                "webhook_delivery",
                self._due(),
                owner=owner,
                limit=free,
                seconds=LEASE_S,
                order="next_attempt_at, id",
            )
            parcels = await _parcels(db, [row.id for row in rows])
        for parcel in parcels:
            self._per_endpoint[parcel.endpoint] += 1
            task = asyncio.create_task(
                self._carry(parcel, owner), name=f"webhook {parcel.delivery}"
            )
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(parcels)

    async def drain(self) -> None:
        """Wait until every attempt under way has its outcome written."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def close(self) -> None:
        """Stop; an attempt that is cut off is made again when its lease has run out."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._http.aclose()

    def _due(self) -> str:
        full = sorted(id_ for id_, count in self._per_endpoint.items() if count >= PER_ENDPOINT)
        assert all(_ENDPOINT_ID.fullmatch(id_) for id_ in full)
        others = f" AND endpoint NOT IN ({', '.join(map(repr, full))})" if full else ""
        return f"status = 'pending' AND next_attempt_at <= sandbox_now(){others}"

    async def _carry(self, parcel: Any, owner: str) -> None:
        try:
            attempt = await sending.post(
                self._http,
                parcel.url,
                parcel.secret,
                service.webhook_id(parcel.epoch, parcel.event_id),
                body_of(parcel),
                allow_loopback=self._allow_loopback,
            )
            async with self._database.transaction() as db:
                await _write(db, parcel, owner, attempt)
        except Exception:
            # The lease runs out and the row is claimed again.
            log.exception("webhook_outcome_not_written", delivery=parcel.delivery)
        finally:
            self._per_endpoint[parcel.endpoint] -= 1
            if not self._per_endpoint[parcel.endpoint]:
                del self._per_endpoint[parcel.endpoint]


def body_of(row: Any) -> bytes:
    """The webhook's body: the API event as its merchant sees it, and `timestamp` (CONTRACT 4)."""
    event = eventlog.api_event(row, viewer=row.merchant)
    return orjson.dumps({**event, "timestamp": event["created"]})


async def _parcels(db: AsyncSession, delivery_ids: list[str]) -> list[Any]:
    """Everything that an attempt needs, read while the claim is made."""
    if not delivery_ids:
        return []
    found = await db.execute(
        text(
            "SELECT d.id AS delivery, d.endpoint, d.event_id, d.attempts, w.url, w.secret,"  # noqa: S608
            f" {eventlog.COLUMNS} FROM webhook_delivery d"
            " JOIN webhook_endpoint w ON w.id = d.endpoint"
            " JOIN log_entry l ON l.event_id = d.event_id JOIN event e ON e.id = d.event_id"
            " WHERE d.id = ANY(CAST(:ids AS text[])) ORDER BY d.next_attempt_at, d.id"
        ),
        {"ids": delivery_ids},
    )
    return list(found.all())


async def _write(db: AsyncSession, parcel: Any, owner: str, attempt: Attempt) -> None:
    """Write an outcome, unless the lease was lost or the delivery was canceled meanwhile."""
    attempts = parcel.attempts + 1
    wait_ms = None
    if attempt.delivered:
        status = "delivered"
    elif attempt.gone:
        status = "canceled"
    else:
        wait_ms = delay_ms(attempts, attempt.retry_after_s, secrets.randbelow)
        status = "exhausted" if wait_ms is None else "pending"
    written = await db.scalar(
        text(
            "UPDATE webhook_delivery SET status = :status, attempts = :attempts,"
            " last_attempt_at = sandbox_now(), last_status = :last_status,"
            " last_error = :last_error, response_head = :head,"
            " next_attempt_at = sandbox_now()"
            " + CAST(:wait_ms AS bigint) * interval '1 millisecond',"
            " lease_owner = NULL, lease_until = NULL"
            " WHERE id = :id AND lease_owner = :owner AND status = 'pending' RETURNING endpoint"
        ),
        {
            "status": status,
            "attempts": attempts,
            "last_status": attempt.status,
            "last_error": attempt.error,
            "head": attempt.head,
            "wait_ms": wait_ms,
            "id": parcel.delivery,
            "owner": owner,
        },
    )
    if written is None:
        log.warning("webhook_lease_lost", delivery=parcel.delivery)
    elif attempt.gone:
        await db.execute(
            text(
                "UPDATE webhook_endpoint SET status = 'disabled', status_reason = 'gone'"
                " WHERE id = :id AND status = 'active'"
            ),
            {"id": parcel.endpoint},
        )
        await service.cancel_pending(db, parcel.endpoint)
