"""I8, the webhooks' part: what the log holds went out, or says why not.

Of an attempt there is no second record on this side: one whose row was altered without a
contradiction is known to its receiver only, who has the log to compare with.
"""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.checks import Check, no_faults

_DELIVERIES = """
SELECT 'webhook_delivery ' || d.id AS name, CASE
    WHEN e.id IS NULL THEN 'its event ' || d.event_id || ' is missing'
    WHEN e.merchant IS DISTINCT FROM d.merchant OR w.merchant IS DISTINCT FROM d.merchant
        THEN 'the event, the endpoint and the delivery are of different merchants'
    WHEN d.status = 'delivered' AND (d.attempts = 0 OR d.last_attempt_at IS NULL
        OR coalesce(d.last_status, 0) NOT BETWEEN 200 AND 299)
        THEN format('is delivered after %s attempts with the answer %s', d.attempts,
            coalesce(d.last_status::text, 'none'))
    WHEN d.status = 'pending' AND d.next_attempt_at IS NULL THEN 'waits and is never due'
    WHEN (d.attempts_before + d.attempts, d.last_attempt_at, d.last_status)
        IS DISTINCT FROM (coalesce(a.number, 0), a.at, a.status)
        THEN format('had %s attempts, the last of which is not number %s of the list',
            d.attempts_before + d.attempts, coalesce(a.number, 0))
END AS fault
FROM webhook_delivery d JOIN webhook_endpoint w ON w.id = d.endpoint
LEFT JOIN event e ON e.id = d.event_id
LEFT JOIN LATERAL (
    SELECT number, at, status FROM webhook_attempt WHERE delivery = d.id
    ORDER BY number DESC LIMIT 1
) AS a ON true
UNION ALL
SELECT format('log_entry %s %s', c.epoch, l.size), CASE WHEN l.size <= c.position
    THEN format('position %s is missing, webhooks went out up to %s', l.size, c.position) END
FROM webhook_cursor c CROSS JOIN LATERAL (
    SELECT coalesce(max(position), -1) + 1 AS size FROM log_entry WHERE epoch = c.epoch
) l
"""


async def deliveries_are_whole(db: AsyncSession) -> list[Check]:
    """I8: deliveries are of events that exist, and none says more than was answered."""
    return await no_faults(db, "I8", "deliveries = what endpoints answered", _DELIVERIES)
