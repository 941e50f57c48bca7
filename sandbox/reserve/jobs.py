"""Background work of the reserve: nobody has to ask for a mint to find out that I2 is broken."""

from sandbox.core.db import Database
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import backing, minting


async def halt_if_short(database: Database) -> bool:
    """Turn minting off as soon as the reserve does not cover what is owed; true when it did."""
    async with database.transaction() as db:
        now = await backing.read(db)
        is_on, _ = await minting.state(db)
        if now.is_enough or not is_on:
            return False
        short = f"reserve {now.reserve_tiyn} tiyn, owed {now.owed_tiyn} tiyn"
        events = await minting.halt(db, short)
        await ledger.record(db, Changes(events=events))
        return bool(events)
