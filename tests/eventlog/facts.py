"""Events to append."""

from sandbox.core import clock, ids
from sandbox.core.db import Database
from sandbox.eventlog import service
from sandbox.eventlog.types import NewEvent


async def append(
    database: Database, count: int, merchant: str | None = "mch_1", type_: str = "payment.final"
) -> list[str]:
    """Append `count` events in one transaction; returns their ids."""
    async with database.transaction() as db:
        at = await clock.now(db)
        events = [
            NewEvent(
                ids.new_id("evt", at),
                type_,
                at,
                {"object": "payment", "amount_units": number, "description": f"note {number}"},
                merchant,
            )
            for number in range(count)
        ]
        await service.append_many(db, events, {})
        return [event.id for event in events]
