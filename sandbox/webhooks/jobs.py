"""The delivery loop: claim what is due, commit, post, write the outcome in a second transaction.

A process that dies in between leaves a lease that runs out; the next attempt carries the same
`webhook-id`, by which the receiver drops repeats.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import orjson
import structlog

from sandbox.core import chance, failpoints
from sandbox.core.db import LONGEST_LEASE_S, Database
from sandbox.core.log import caused_by
from sandbox.eventlog import service as eventlog
from sandbox.webhooks import faults, outcomes, sending, service, wire
from sandbox.webhooks.due import CLAIM, DUE
from sandbox.webhooks.keys import Keyring
from sandbox.webhooks.outcomes import Outcome
from sandbox.webhooks.schedule import delay_ms
from sandbox.webhooks.sending import Attempt

__all__ = ["DUE", "Courier", "body_of"]

LEASE_S = 20
SLOTS = 256
PER_ENDPOINT = 64
# Endpoints that have not answered promptly share so many slots, however many they are.
SLOW_SLOTS = SLOTS // 2
PROMPT_S = 5.0
# One merchant's endpoints leave slots to others, those that answer promptly and those that do not.
PROMPT_PER_MERCHANT, SLOW_PER_MERCHANT = SLOTS // 2, SLOW_SLOTS * 3 // 4
# A few free slots are filled together: each claim costs the database the same.
REFILL_S = 0.003
LONGEST_WAIT_S = 0.05
assert LEASE_S <= LONGEST_LEASE_S

log = structlog.get_logger()


class Courier:
    """The deliveries of one process: up to `SLOTS` at once; none waits for those that are slow,
    and no merchant's for what another one has queued.

    Without a `keyring` it signs with the endpoints' secrets only. In a seeded world one attempt
    follows the other, and what a claim came to is written at once: a receiver that asks the
    sandbox for something is always as far as the last time.
    """

    def __init__(
        self,
        database: Database,
        owner: str,
        *,
        allow_loopback: bool,
        keyring: Keyring | None = None,
        http: wire.Client | None = None,
    ) -> None:
        self._database, self._owner, self._keyring = database, owner, keyring
        self._allow_loopback = allow_loopback
        self._http = http or sending.client(allow_loopback=allow_loopback)
        self._under_way: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._writing = False
        self._per_endpoint: Counter[str] = Counter()
        self._per_merchant: Counter[str] = Counter()
        self._prompt: set[str] = set()

    async def step(self) -> int:
        """Start what is due and has a free slot; returns how many deliveries were started.

        When slots are taken it waits a moment for one to be free: what is due beside them would
        otherwise wait until it is looked for again.
        """
        started = await self._claim()
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_WAIT_S
        while not started and self._is_full() and (left_s := until - loop.time()) > 0:
            await asyncio.wait(
                set(self._under_way), timeout=left_s, return_when=asyncio.FIRST_COMPLETED
            )
            await asyncio.sleep(REFILL_S)
            started = await self._claim()
        return started

    async def drain(self) -> None:
        """Wait until every attempt under way has its outcome written."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def close(self) -> None:
        """Stop; an attempt that is cut off is made again when its lease has run out."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._http.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _is_full(self) -> bool:
        busy = self._per_endpoint
        return (
            busy.total() >= SLOTS
            or any(count >= PER_ENDPOINT for count in busy.values())
            or any(count >= SLOW_PER_MERCHANT for count in self._per_merchant.values())
        )

    async def _claim(self) -> int:
        free = SLOTS - self._per_endpoint.total()
        if free <= 0:
            return 0
        slow = sum(n for id_, n in self._per_endpoint.items() if id_ not in self._prompt)
        busy = dict(self._per_endpoint)
        # Each claim has an owner of its own, so that a slow attempt of ours cannot write over
        # what a later one, also of ours, found out.
        owner = f"{self._owner}:{secrets.token_hex(6)}"
        async with self._database.transaction() as db:
            parcels = await CLAIM.fetch(
                db,
                {
                    "most": PER_ENDPOINT,
                    "busy": list(busy),
                    "counts": list(busy.values()),
                    "prompt": sorted(self._prompt),
                    "slow": max(0, SLOW_SLOTS - slow),
                    "most_prompt": PROMPT_PER_MERCHANT,
                    "most_slow": SLOW_PER_MERCHANT,
                    "most_in_all": free,
                    "owner": owner,
                    "seconds": LEASE_S,
                },
            )
            unwanted = [row["delivery"] for row in parcels if row["endpoint_status"] != "active"]
            if unwanted:
                await outcomes.cancel(db, unwanted, owner)
            wanted = [Parcel(row) for row in parcels if row["endpoint_status"] == "active"]
            is_armed = any(parcel.is_armed for parcel in wanted)
            struck = await faults.take(db, len(wanted)) if is_armed else []
        self._per_endpoint.update(parcel.endpoint for parcel in wanted)
        self._per_merchant.update(parcel.merchant for parcel in wanted)
        tried = list(zip_longest(wanted, struck))
        if chance.is_sown():
            self._start(self._carry_in_order(tried, owner))
        else:
            for parcel, fault in tried:
                with caused_by(parcel.request_id):  # the task keeps it
                    self._start(self._carry(parcel, owner, fault))
        return len(parcels)

    async def _carry_in_order(
        self, tried: "Sequence[tuple[Parcel, str | None]]", owner: str
    ) -> None:
        outcomes = []
        for parcel, fault in tried:
            with caused_by(parcel.request_id):
                outcomes.append(await self._try(parcel, owner, fault))
        self._came_to(outcomes)

    async def _carry(self, parcel: "Parcel", owner: str, fault: str | None) -> None:
        self._came_to([await self._try(parcel, owner, fault)])

    async def _try(self, parcel: "Parcel", owner: str, fault: str | None) -> Outcome:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            attempt = await self._attempt(parcel, fault)
        except Exception:
            # A bug of ours, not of the receiver: it must neither be repeated for ever nor hold up
            # what comes after it, so it goes by the schedule as any failure does.
            log.exception("webhook_attempt_broke", delivery=parcel.delivery)
            attempt = Attempt(None, "the sandbox could not send it: its log says why", None)
        finally:
            self._per_endpoint[parcel.endpoint] -= 1
            if not self._per_endpoint[parcel.endpoint]:
                del self._per_endpoint[parcel.endpoint]
            self._per_merchant[parcel.merchant] -= 1
            if not self._per_merchant[parcel.merchant]:
                del self._per_merchant[parcel.merchant]
        if attempt.status is not None and loop.time() - began < PROMPT_S:
            self._prompt.add(parcel.endpoint)
        else:
            self._prompt.discard(parcel.endpoint)
        if attempt.delivered:
            failpoints.passed("webhook.delivered")
        outcome = _outcome(parcel, owner, attempt)
        tell = log.info if attempt.delivered else log.warning
        tell("webhook attempt", delivery=parcel.delivery, event_id=parcel.event_id,
             endpoint=parcel.endpoint, attempt=parcel.attempts + 1, status=attempt.status,
             error=attempt.error, delivery_status=outcome.status)  # fmt: skip
        return outcome

    def _came_to(self, outcomes: Sequence[Outcome]) -> None:
        self._outcomes += outcomes
        if not self._writing:
            self._writing = True
            with caused_by(None):
                self._start(self._write())

    async def _attempt(self, parcel: "Parcel", fault: str | None) -> Attempt:
        if fault == faults.REQUEST_LOST:
            return faults.lost(fault)
        body = body_of(parcel)
        headers = self._headers(parcel, body)
        attempt = await sending.post(
            self._http, parcel.url, headers, body, allow_loopback=self._allow_loopback
        )
        return attempt if fault is None else faults.lost(fault, attempt.duration_ms)

    def _headers(self, parcel: "Parcel", body: bytes) -> dict[str, str]:
        secrets_ = [parcel.secret, *filter(None, [parcel.previous_secret])]
        # Keys retire by the sandbox clock as it is now, not at the moment an attempt was due.
        keys = self._keyring.signing(parcel.now) if self._keyring is not None else []
        id_ = service.webhook_id(parcel.epoch, parcel.event_id)
        return sending.signed_headers(secrets_, keys, id_, body, datetime.now(UTC))

    async def _write(self) -> None:
        """Write what came in, and what comes in meanwhile, in as few transactions as may be."""
        try:
            while self._outcomes:
                batch, self._outcomes = self._outcomes, []
                async with self._database.transaction() as db:
                    await outcomes.write(db, batch)
                    failpoints.passed("webhook.uncommitted")
                failpoints.passed("webhook.committed")
        except Exception:
            # The leases run out and the rows are claimed again.
            log.exception("webhook_outcomes_not_written")
        finally:
            self._writing = False


class Parcel:
    """A claimed delivery with all that an attempt needs: the columns of `due.CLAIM`."""

    __slots__ = ("_row",)

    def __init__(self, row: Any) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        try:
            return self._row[name]
        except KeyError:
            raise AttributeError(name) from None


def body_of(row: Any) -> bytes:
    """The webhook's body: the API event as its merchant sees it, and `timestamp` (CONTRACT 4)."""
    event = eventlog.api_event(row, viewer=row.merchant, version=row.api_version)
    return orjson.dumps({**event, "timestamp": event["created"]})


def _outcome(parcel: Parcel, owner: str, attempt: Attempt) -> Outcome:
    wait_ms = None
    if attempt.delivered:
        status = "delivered"
    elif attempt.gone:
        status = "canceled"
    else:
        dice = chance.dice(parcel.delivery, parcel.attempts + 1)
        wait_ms = delay_ms(parcel.attempts + 1, attempt.retry_after_s, dice)
        status = "exhausted" if wait_ms is None else "pending"
        if wait_ms is not None and attempt.retry_after_s and not chance.is_sown():
            # It counts from the answer. How long that took is this machine's.
            wait_ms += attempt.duration_ms
    return Outcome(
        parcel.delivery,
        parcel.endpoint,
        owner,
        parcel.subject,
        status,
        wait_ms,
        parcel.at,
        parcel.now,
        parcel.clock_offset_ms,
        parcel.late,
        parcel.failing,
        attempt,
    )
