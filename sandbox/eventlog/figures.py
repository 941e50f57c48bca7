"""The log in figures for /metrics."""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.metrics import Figure

_SIZES = text(
    "SELECT c.epoch, (SELECT coalesce(max(size), 0) FROM checkpoint k WHERE k.epoch = c.epoch)"
    " AS signed, (SELECT count(*) FROM event_queue) AS waiting FROM clock c"
)


async def figures(db: AsyncSession) -> list[Figure]:
    """What is signed, and what is not yet; positions and signatures are written together."""
    row = (await db.execute(_SIZES)).one()
    return [
        Figure("sandbox_log_epoch", "Epoch of the log that events go into now.", row.epoch),
        Figure("sandbox_log_size", "Log entries under the newest checkpoint.", row.signed),
        Figure("sandbox_log_unsigned", "Events without a position in the log yet.", row.waiting),
    ]
