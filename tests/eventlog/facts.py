"""Events to append."""

import base64

import asyncpg

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


async def restore(database: Database, owner: asyncpg.Connection, epoch: int) -> str:
    """Go on in another epoch from the newest checkpoint; returns the id of `world.restored`."""
    kept = await owner.fetchrow(
        "SELECT c.epoch, e.origin, c.size, c.root FROM checkpoint c JOIN log_epoch e USING (epoch)"
        " WHERE epoch = (SELECT epoch FROM clock) ORDER BY size DESC LIMIT 1"
    )
    await owner.execute("UPDATE clock SET epoch = $1", epoch)
    told = {**kept, "root": base64.b64encode(kept["root"]).decode()}
    async with database.transaction() as db:
        at = await clock.now(db)
        data = {"object": "world", "epoch": epoch, "left": told, "kept": told}
        event = NewEvent(ids.new_id("evt", at), "world.restored", at, data)
        await service.append_many(db, [event], {})
    return event.id
