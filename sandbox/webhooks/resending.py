"""Getting events once more: by id, by type and time, or by sequence; at one endpoint, or at all of
their merchant's and every listener of the event stream. The `webhook-id` stays what it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock, ids
from sandbox.core.errors import NotFound
from sandbox.eventlog import resends
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.subject import subject_of
from sandbox.webhooks import service
from sandbox.webhooks.errors import EndpointNotActive, TooManyEvents

MAX_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """Which events: ids, or types with a span of time [from, to), or sequences behind `after`."""

    ids: Sequence[str] | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after_sequence: int | None = None
    to_sequence: int | None = None


async def resend(
    db: AsyncSession, merchant: str, span: Span, endpoint_id: str | None
) -> dict[str, Any]:
    """Queue events of `merchant` again, also ones from before an endpoint was there.

    At all endpoints each gets what its types name; an endpoint that is named gets everything.
    Raises `NotFound`, `EndpointNotActive`, `TooManyEvents`, `BadTypePattern`.
    """
    endpoints = await _endpoints(db, merchant, endpoint_id)
    events = await _events(db, merchant, span)
    now = await clock.now(db)
    resend_id = ids.new_id("rs", now)
    pairs = [
        (event, endpoint)
        for event in events
        for endpoint in endpoints
        if endpoint_id is not None or eventlog.wants(endpoint.types, event.type)
    ]
    await _queue(db, pairs, merchant, resend_id, now)
    await resends.record(
        db,
        resends.Resend(
            resend_id, merchant, endpoint_id, [event.id for event in events], len(pairs), now
        ),
    )
    return {
        "object": "event_resend",
        "id": resend_id,
        "endpoint": endpoint_id,
        "events": len(events),
        "deliveries": len(pairs),
        "created_at": clock.iso(now),
    }


async def _endpoints(db: AsyncSession, merchant: str, endpoint_id: str | None) -> Sequence[Any]:
    if endpoint_id is not None:
        row = await service.endpoint(db, endpoint_id, merchant)
        if row.status != "active":
            raise EndpointNotActive(endpoint_id)
        return [row]
    found = await db.execute(
        text(
            "SELECT id, types, ordering FROM webhook_endpoint"
            " WHERE merchant = :merchant AND status = 'active' ORDER BY id"
        ),
        {"merchant": merchant},
    )
    return found.all()


async def _events(db: AsyncSession, merchant: str, span: Span) -> Sequence[Any]:
    conditions = ["l.merchant = :merchant"]
    values: dict[str, Any] = {"merchant": merchant, "limit": MAX_EVENTS + 1}
    if span.ids is not None:
        conditions.append("l.event_id = ANY(CAST(:ids AS text[]))")
        values["ids"] = list(span.ids)
    else:
        # A restored world counts anew: sequences and times are those of the epoch it is in.
        conditions.append("l.epoch = (SELECT epoch FROM clock)")
    if span.type is not None:
        conditions.append("e.type LIKE :type")
        values["type"] = eventlog.like_pattern(span.type)
    for name, value, condition in (
        ("since", span.since, "e.created >= :since"),
        ("until", span.until, "e.created < :until"),
        ("after", span.after_sequence, "l.sequence > :after"),
        ("to", span.to_sequence, "l.sequence <= :to"),
    ):
        if value is not None:
            conditions.append(condition)
            values[name] = value
    found = await db.execute(
        text(
            "SELECT l.epoch, l.position, e.id, e.type, e.leaf FROM log_entry l"  # noqa: S608 - SQL of our own, no input
            f" JOIN event e ON e.id = l.event_id WHERE {' AND '.join(conditions)}"
            " ORDER BY l.epoch, l.position LIMIT :limit"
        ),
        values,
    )
    rows = found.all()
    for id_ in span.ids or ():
        if id_ not in {row.id for row in rows}:
            raise NotFound("event", id_)
    if len(rows) > MAX_EVENTS:
        raise TooManyEvents(MAX_EVENTS)
    return rows


_QUEUE = text(
    """
    INSERT INTO webhook_delivery AS d
        (id, endpoint, merchant, event_id, epoch, position, subject, out_of_order, resend, status,
            attempts, attempts_before, queued_at, clock_offset_ms, next_attempt_at, created_at)
    SELECT id, endpoint, :merchant, event_id, epoch, position, subject, false, :resend, 'pending',
        0, 0, :now, extract(epoch FROM :now - clock_timestamp()) * 1000, :now, :now
    FROM unnest(
        CAST(:ids AS text[]), CAST(:endpoints AS text[]), CAST(:events AS text[]),
        CAST(:epochs AS int[]), CAST(:positions AS bigint[]), CAST(:subjects AS text[])
    ) AS g (id, endpoint, event_id, epoch, position, subject)
    ON CONFLICT (endpoint, event_id) DO UPDATE SET status = 'pending', resend = excluded.resend,
        attempts = 0, attempts_before = d.attempts_before + d.attempts, subject = excluded.subject,
        out_of_order = false, queued_at = excluded.queued_at,
        clock_offset_ms = excluded.clock_offset_ms, next_attempt_at = excluded.next_attempt_at
    """
)


async def _queue(
    db: AsyncSession,
    pairs: Sequence[tuple[Any, Any]],
    merchant: str,
    resend_id: str,
    now: datetime,
) -> None:
    if not pairs:
        return
    subjects = [
        subject_of(event.type, orjson.loads(event.leaf)["data"])
        if endpoint.ordering == "per_object"
        else None
        for event, endpoint in pairs
    ]
    await db.execute(
        _QUEUE,
        {
            "ids": [ids.new_id("wd", now) for _ in pairs],
            "endpoints": [endpoint.id for _, endpoint in pairs],
            "events": [event.id for event, _ in pairs],
            "epochs": [event.epoch for event, _ in pairs],
            "positions": [event.position for event, _ in pairs],
            "subjects": subjects,
            "merchant": merchant,
            "resend": resend_id,
            "now": now,
        },
    )
