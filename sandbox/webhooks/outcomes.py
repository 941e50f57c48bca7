"""Writes what attempts came to: the delivery's state and its list of attempts in one statement."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.driver import Statement
from sandbox.webhooks import service
from sandbox.webhooks.sending import Attempt

GIVEN_UP_IN_A_ROW = 5
"""An endpoint at which so many deliveries were given up one after another, each after the whole
schedule of about 75 hours, is disabled."""

_BEHIND = timedelta(seconds=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt makes of its delivery. `at` is its moment in sandbox time."""

    delivery: str
    endpoint: str
    owner: str
    subject: str | None
    status: str
    wait_ms: int | None
    at: datetime
    now: datetime
    clock_offset_ms: int
    is_late: bool
    was_failing: int
    attempt: Attempt


_WRITE = Statement(
    """
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:owners AS text[]), CAST(:states AS text[]),
            CAST(:waits AS bigint[]), CAST(:answers AS int[]), CAST(:errors AS text[]),
            CAST(:heads AS text[]), CAST(:durations AS int[]), CAST(:ats AS timestamptz[]),
            CAST(:offsets AS bigint[]), CAST(:lates AS boolean[])
        ) AS g (id, owner, state, wait_ms, answer, error, head, duration_ms, at, off_ms, late)
    ), written AS (
        UPDATE webhook_delivery d SET status = g.state, attempts = d.attempts + 1,
            last_attempt_at = g.at, last_status = g.answer, last_error = g.error,
            response_head = g.head, lease_owner = NULL, lease_until = NULL,
            next_attempt_at = g.at + g.wait_ms * interval '1 millisecond',
            clock_offset_ms = g.off_ms, out_of_order = d.out_of_order OR g.late
        FROM given g WHERE d.id = g.id AND d.lease_owner = g.owner AND d.status = 'pending'
        RETURNING d.id, d.attempts_before + d.attempts AS number
    ), kept AS (
        INSERT INTO webhook_attempt
            (delivery, number, at, duration_ms, status, error, response_head)
        SELECT w.id, w.number, g.at, g.duration_ms, g.answer, g.error, g.head
        FROM written w JOIN given g ON g.id = w.id
    )
    SELECT id FROM written
    """
)

# After the clock was moved far, those that waited for an earlier one of their object come after it.
_FOLLOW = Statement(
    """
    UPDATE webhook_delivery SET next_attempt_at = ended.at
    FROM (
        SELECT d.id, max(g.at) AS at
        FROM unnest(CAST(:endpoints AS text[]), CAST(:subjects AS text[]),
            CAST(:ats AS timestamptz[])) AS g (endpoint, subject, at)
        JOIN webhook_delivery d ON d.endpoint = g.endpoint AND d.subject = g.subject
            AND d.status = 'pending' AND d.lease_owner IS NULL AND d.next_attempt_at < g.at
        GROUP BY d.id
    ) AS ended
    WHERE webhook_delivery.id = ended.id AND webhook_delivery.status = 'pending'
        AND webhook_delivery.lease_owner IS NULL
    """
)


async def write(db: AsyncSession, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes, but for those whose lease was lost or that were canceled meanwhile."""
    found = await _WRITE.fetch(
        db,
        {
            "ids": [one.delivery for one in outcomes],
            "owners": [one.owner for one in outcomes],
            "states": [one.status for one in outcomes],
            "waits": [one.wait_ms for one in outcomes],
            "answers": [one.attempt.status for one in outcomes],
            "errors": [one.attempt.error for one in outcomes],
            "heads": [one.attempt.head for one in outcomes],
            "durations": [one.attempt.duration_ms for one in outcomes],
            "ats": [one.at for one in outcomes],
            "offsets": [one.clock_offset_ms for one in outcomes],
            "lates": [one.is_late for one in outcomes],
        },
    )
    ids = {row["id"] for row in found}
    written = [one for one in outcomes if one.delivery in ids]
    for one in outcomes:
        if one.delivery not in ids:
            log.warning("webhook_lease_lost", delivery=one.delivery)
    await _let_follow(db, written)
    for endpoint in sorted({one.endpoint for one in written if one.attempt.gone}):
        await service.disable(db, endpoint, "gone")
    await _count_failures(db, written)


async def cancel(db: AsyncSession, delivery_ids: Sequence[str], owner: str) -> None:
    """Give up claimed deliveries whose endpoint wants nothing any more."""
    await db.execute(
        text(
            "UPDATE webhook_delivery SET status = 'canceled', next_attempt_at = NULL,"
            " lease_owner = NULL, lease_until = NULL WHERE id = ANY(CAST(:ids AS text[]))"
            " AND lease_owner = :owner AND status = 'pending'"
        ),
        {"ids": list(delivery_ids), "owner": owner},
    )


async def _let_follow(db: AsyncSession, written: Sequence[Outcome]) -> None:
    behind = [
        one
        for one in written
        if one.subject is not None and one.status != "pending" and one.now - one.at > _BEHIND
    ]
    if behind:
        values = {
            "endpoints": [one.endpoint for one in behind],
            "subjects": [one.subject for one in behind],
            "ats": [one.at for one in behind],
        }
        await _FOLLOW.fetch(db, values)


async def _count_failures(db: AsyncSession, written: Sequence[Outcome]) -> None:
    well = {one.endpoint for one in written if one.attempt.delivered}
    given_up = Counter(one.endpoint for one in written if one.status == "exhausted")
    recovered = {one.endpoint for one in written if one.attempt.delivered and one.was_failing}
    for endpoint in sorted(recovered):
        await db.execute(
            text("UPDATE webhook_endpoint SET failing = 0 WHERE id = :id"), {"id": endpoint}
        )
    for endpoint in sorted(given_up.keys() - well):
        failing = await db.scalar(
            text(
                "UPDATE webhook_endpoint SET failing = failing + :more WHERE id = :id"
                " RETURNING failing"
            ),
            {"id": endpoint, "more": given_up[endpoint]},
        )
        if failing is not None and failing >= GIVEN_UP_IN_A_ROW:
            await service.disable(db, endpoint, "failing")
