"""Webhooks in figures for /metrics."""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.metrics import Figure
from sandbox.webhooks.due import READY

# A restored world goes on in the next epoch: what is left of the one before counts as unread.
_QUEUES = text(
    "SELECT (SELECT count(*) FROM log_entry l, webhook_cursor c"  # noqa: S608 - SQL of our own, no input
    "  WHERE (l.epoch, l.position) > (c.epoch, c.position)) AS unread,"
    f" count(*) AS waiting, count(*) FILTER (WHERE {READY}) AS due,"
    " coalesce(extract(epoch FROM sandbox_now() - min(created_at)), 0)::float8 AS oldest,"
    " coalesce(extract(epoch FROM sandbox_now() - min(next_attempt_at)), 0)::float8 AS late"
    " FROM webhook_delivery WHERE status = 'pending'"
)


async def figures(db: AsyncSession) -> list[Figure]:
    """What is not delivered yet, and how old and how late it is in sandbox time."""
    row = (await db.execute(_QUEUES)).one()
    return [
        Figure(
            "sandbox_webhooks_unread",
            "Events of the log that were not turned into webhook deliveries yet.",
            row.unread,
        ),
        Figure("sandbox_webhooks_pending", "Webhook deliveries without an outcome.", row.waiting),
        Figure(
            "sandbox_webhooks_due",
            "Webhook deliveries without an outcome whose next attempt is due.",
            row.due,
        ),
        Figure(
            "sandbox_webhooks_oldest_seconds",
            "Age of the oldest webhook delivery without an outcome, in sandbox time.",
            row.oldest,
        ),
        Figure(
            "sandbox_webhooks_late_seconds",
            "How long the next attempt of some webhook delivery is due at most, in sandbox time.",
            max(0.0, row.late),
        ),
    ]
