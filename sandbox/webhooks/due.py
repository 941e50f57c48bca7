"""Which deliveries may go out now, as SQL over `webhook_delivery`, and the claim of some."""

from typing import Final

from sandbox.core.db import UNLEASED
from sandbox.core.driver import Statement
from sandbox.eventlog import service as eventlog
from sandbox.webhooks import faults

ORDER_HOLDS_S: Final = 3_600
"""So long after it was queued a delivery waits for earlier ones of its object; then order is given
up, and the delivery says so. Four attempts of the schedule lie within."""

_ENDS: Final = f"webhook_delivery.queued_at + interval '{ORDER_HOLDS_S} seconds'"
_EARLIER: Final = (
    "earlier.endpoint = webhook_delivery.endpoint AND earlier.subject = webhook_delivery.subject"
    " AND earlier.status = 'pending' AND earlier.id <> webhook_delivery.id"
    " AND (earlier.epoch, earlier.position)"
    " < (webhook_delivery.epoch, webhook_delivery.position)"
)
# When the clock is moved far, what an earlier one had still to try before the order is given up
# comes first.
_MAY_GO: Final = (
    "(subject IS NULL OR NOT EXISTS (SELECT FROM webhook_delivery earlier"
    f" WHERE {_EARLIER} AND (sandbox_now() < {_ENDS} OR earlier.next_attempt_at < {_ENDS})))"
)
READY: Final = f"status = 'pending' AND next_attempt_at <= sandbox_now() AND {_MAY_GO}"
"""SQL: its next attempt is due, and no earlier delivery of its object is waited for."""

DUE: Final = f"EXISTS (SELECT FROM webhook_delivery WHERE {READY} AND {UNLEASED})"
"""SQL: a delivery waits for an attempt."""

# The moment of an attempt is when it was due, as far as only a move of the clock has passed it:
# so 75 hours of retries fall on their own moments when the clock is moved over all of them at once.
# What it was late on the wall counts; while the clock stands, nothing is late.
_AT: Final = (
    "CASE WHEN clock.frozen_at IS NOT NULL THEN due.at"
    " ELSE greatest(due.at, least(sandbox_now(), clock_timestamp()"
    " + d.clock_offset_ms * interval '1 millisecond')) END"
)

_EARLIER_OF_D: Final = _EARLIER.replace("webhook_delivery.", "d.")

# Merchants take turns, and none takes all slots: what one has queued delays no other one's.
# A claim need not be on disk: one that a crash of the server forgets is a delivery that is made
# again, as after a crash of ours.
CLAIM: Final = Statement(
    f"""
    WITH quota AS (
        SELECT w.id, w.merchant, :most - coalesce(u.count, 0) AS free, is_prompt,
            sum(coalesce(u.count, 0)) OVER (PARTITION BY w.merchant, is_prompt) AS held
        FROM webhook_endpoint w
        LEFT JOIN unnest(CAST(:busy AS text[]), CAST(:counts AS int[])) AS u (id, count)
            ON u.id = w.id
        CROSS JOIN LATERAL (SELECT w.id = ANY(CAST(:prompt AS text[])) AS is_prompt) AS known
    ), ready AS (
        SELECT due.*, quota.is_prompt, quota.held + row_number() OVER (
            PARTITION BY quota.merchant, quota.is_prompt ORDER BY due.next_attempt_at, due.id
        ) AS turn
        FROM quota CROSS JOIN LATERAL (
            SELECT id, next_attempt_at FROM webhook_delivery
            WHERE endpoint = quota.id AND {READY} AND {UNLEASED}
            ORDER BY next_attempt_at, id LIMIT greatest(quota.free, 0)
        ) AS due
    ), queued AS (
        SELECT *, row_number() OVER (
            PARTITION BY is_prompt ORDER BY turn, next_attempt_at, id
        ) AS place
        FROM ready WHERE turn <= CASE WHEN is_prompt THEN CAST(:most_prompt AS int)
            ELSE CAST(:most_slow AS int) END
    ), found AS (
        SELECT id FROM queued WHERE is_prompt OR place <= :slow
        ORDER BY turn, next_attempt_at, id LIMIT :most_in_all
    ), picked AS (
        SELECT id FROM webhook_delivery
        WHERE id IN (SELECT id FROM found) AND status = 'pending' AND {UNLEASED}
        ORDER BY id FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE webhook_delivery d SET lease_owner = :owner,
            lease_until = clock_timestamp() + :seconds * interval '1 second'
        FROM picked WHERE d.id = picked.id RETURNING d.*
    ), timed AS (
        SELECT d.*, sandbox_now() AS now, {_AT} AS at, due.late
        FROM claimed d CROSS JOIN clock CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM webhook_delivery earlier WHERE {_EARLIER_OF_D}) AS late
        ) AS order_ CROSS JOIN LATERAL (
            SELECT CASE WHEN order_.late
                THEN greatest(d.next_attempt_at, d.queued_at + interval '{ORDER_HOLDS_S} seconds')
                ELSE d.next_attempt_at END AS at, order_.late
        ) AS due
    )
    SELECT d.id AS delivery, d.endpoint, d.event_id, d.attempts, d.subject, d.late, d.now, d.at,
        CAST(extract(epoch FROM d.at - clock_timestamp()) * 1000 AS bigint) AS clock_offset_ms,
        w.url, w.secret, w.status AS endpoint_status, w.api_version, w.failing,
        CASE WHEN w.previous_until > d.at THEN w.previous_secret END AS previous_secret,
        e.request_id, {eventlog.COLUMNS},
        {faults.IS_ARMED} AS is_armed,
        set_config('synchronous_commit', 'off', true) AS not_waited_for
    FROM timed d JOIN webhook_endpoint w ON w.id = d.endpoint
    JOIN log_entry l ON l.event_id = d.event_id JOIN event e ON e.id = d.event_id
    ORDER BY d.next_attempt_at, d.id
    """  # noqa: S608 - SQL of our own, no input
)
