"""The delivery loop: claim what is due, commit, post, write the outcome in a second transaction.

A process that dies in between leaves a lease that runs out; the next attempt carries the same
`webhook-id`, by which the receiver drops repeats.
"""

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson
import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import chance, failpoints
from sandbox.core.db import UNLEASED, Database, claim
from sandbox.core.log import caused_by
from sandbox.eventlog import service as eventlog
from sandbox.webhooks import sending, service
from sandbox.webhooks.schedule import delay_ms
from sandbox.webhooks.sending import Attempt

LEASE_S = 20
SLOTS = 64
PER_ENDPOINT = 16
# Endpoints that have not answered promptly share so many slots, however many they are.
SLOW_SLOTS = SLOTS // 2
PROMPT_S = 5.0
_ENDPOINT_ID = re.compile(r"we_[0-9a-z]{26}")

_PENDING = "status = 'pending' AND next_attempt_at <= sandbox_now()"
DUE = f"EXISTS (SELECT FROM webhook_delivery WHERE {_PENDING} AND {UNLEASED})"
"""SQL: a delivery waits for an attempt."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one attempt makes of its delivery."""

    delivery: str
    endpoint: str
    owner: str
    status: str
    attempts: int
    wait_ms: int | None
    attempt: Attempt


class Courier:
    """The deliveries of one process: up to `SLOTS` at once; none waits for those that are slow."""

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
        self._outcomes: list[_Outcome] = []
        self._writing = False
        self._per_endpoint: Counter[str] = Counter()
        self._prompt: set[str] = set()

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
            with caused_by(parcel.request_id):  # the task keeps it
                self._start(self._carry(parcel, owner))
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

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _due(self) -> str:
        due = _PENDING
        full = {id_ for id_, count in self._per_endpoint.items() if count >= PER_ENDPOINT}
        if full:
            due += f" AND endpoint NOT IN ({_listed(full)})"
        slow = sum(n for id_, n in self._per_endpoint.items() if id_ not in self._prompt)
        if slow >= SLOW_SLOTS:
            due += f" AND endpoint IN ({_listed(self._prompt)})" if self._prompt else " AND false"
        return due

    async def _carry(self, parcel: Any, owner: str) -> None:
        clock = asyncio.get_running_loop()
        began = clock.time()
        try:
            attempt = await sending.post(
                self._http,
                parcel.url,
                parcel.secret,
                service.webhook_id(parcel.epoch, parcel.event_id),
                body_of(parcel),
                allow_loopback=self._allow_loopback,
            )
        except Exception:
            # A bug of ours, not of the receiver: the row stays due and its lease runs out.
            log.exception("webhook_attempt_broke", delivery=parcel.delivery)
            return
        finally:
            self._per_endpoint[parcel.endpoint] -= 1
            if not self._per_endpoint[parcel.endpoint]:
                del self._per_endpoint[parcel.endpoint]
        if attempt.status is not None and clock.time() - began < PROMPT_S:
            self._prompt.add(parcel.endpoint)
        else:
            self._prompt.discard(parcel.endpoint)
        if attempt.delivered:
            failpoints.passed("webhook.delivered")
        outcome = _outcome(parcel, owner, attempt)
        tell = log.info if attempt.delivered else log.warning
        tell("webhook attempt", delivery=parcel.delivery, event_id=parcel.event_id,
             endpoint=parcel.endpoint, attempt=outcome.attempts, status=attempt.status,
             error=attempt.error, delivery_status=outcome.status)  # fmt: skip
        self._outcomes.append(outcome)
        if not self._writing:
            self._writing = True
            with caused_by(None):
                self._start(self._write())

    async def _write(self) -> None:
        """Write what came in, and what comes in meanwhile, in as few transactions as may be."""
        try:
            while self._outcomes:
                outcomes, self._outcomes = self._outcomes, []
                async with self._database.transaction() as db:
                    await _write(db, outcomes)
                    failpoints.passed("webhook.uncommitted")
                failpoints.passed("webhook.committed")
        except Exception:
            # The leases run out and the rows are claimed again.
            log.exception("webhook_outcomes_not_written")
        finally:
            self._writing = False


def _listed(endpoints: set[str]) -> str:
    assert all(_ENDPOINT_ID.fullmatch(id_) for id_ in endpoints)
    return ", ".join(f"'{id_}'" for id_ in sorted(endpoints))


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
            "SELECT d.id AS delivery, d.endpoint, d.event_id, d.attempts, w.url, w.secret,"  # noqa: S608 - SQL of our own, no input
            f" e.request_id, {eventlog.COLUMNS} FROM webhook_delivery d"
            " JOIN webhook_endpoint w ON w.id = d.endpoint"
            " JOIN log_entry l ON l.event_id = d.event_id JOIN event e ON e.id = d.event_id"
            " WHERE d.id = ANY(CAST(:ids AS text[])) ORDER BY d.next_attempt_at, d.id"
        ),
        {"ids": delivery_ids},
    )
    return list(found.all())


def _outcome(parcel: Any, owner: str, attempt: Attempt) -> _Outcome:
    attempts = parcel.attempts + 1
    wait_ms = None
    if attempt.delivered:
        status = "delivered"
    elif attempt.gone:
        status = "canceled"
    else:
        dice = chance.dice(parcel.delivery, attempts)
        wait_ms = delay_ms(attempts, attempt.retry_after_s, dice)
        status = "exhausted" if wait_ms is None else "pending"
    return _Outcome(parcel.delivery, parcel.endpoint, owner, status, attempts, wait_ms, attempt)


_WRITE = text(
    """
    UPDATE webhook_delivery d SET status = g.status, attempts = g.attempts,
        last_attempt_at = sandbox_now(), last_status = g.last_status, last_error = g.last_error,
        response_head = g.head, lease_owner = NULL, lease_until = NULL,
        next_attempt_at = sandbox_now() + g.wait_ms * interval '1 millisecond'
    FROM unnest(
        CAST(:ids AS text[]), CAST(:owners AS text[]), CAST(:statuses AS text[]),
        CAST(:attempts AS int[]), CAST(:waits AS bigint[]), CAST(:answers AS int[]),
        CAST(:errors AS text[]), CAST(:heads AS text[])
    ) AS g (id, owner, status, attempts, wait_ms, last_status, last_error, head)
    WHERE d.id = g.id AND d.lease_owner = g.owner AND d.status = 'pending'
    RETURNING d.id
    """
)


async def _write(db: AsyncSession, outcomes: Sequence[_Outcome]) -> None:
    """Write outcomes, but for those whose lease was lost or that were canceled meanwhile."""
    found = await db.execute(
        _WRITE,
        {
            "ids": [one.delivery for one in outcomes],
            "owners": [one.owner for one in outcomes],
            "statuses": [one.status for one in outcomes],
            "attempts": [one.attempts for one in outcomes],
            "waits": [one.wait_ms for one in outcomes],
            "answers": [one.attempt.status for one in outcomes],
            "errors": [one.attempt.error for one in outcomes],
            "heads": [one.attempt.head for one in outcomes],
        },
    )
    written = {row.id for row in found}
    for one in outcomes:
        if one.delivery not in written:
            log.warning("webhook_lease_lost", delivery=one.delivery)
    gone = {one.endpoint for one in outcomes if one.attempt.gone and one.delivery in written}
    for endpoint in sorted(gone):
        await db.execute(
            text(
                "UPDATE webhook_endpoint SET status = 'disabled', status_reason = 'gone'"
                " WHERE id = :id AND status = 'active'"
            ),
            {"id": endpoint},
        )
        await service.cancel_pending(db, endpoint)
