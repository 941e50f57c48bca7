"""Background work of the lab: full floats, and chain clocks that show sandbox time."""

from collections.abc import Mapping

from sandbox.chains.port import Chain
from sandbox.core import chance
from sandbox.core.db import Database
from sandbox.lab import clockwork, floats


async def refill_float(database: Database, chains: Mapping[str, Chain]) -> bool:
    """One step towards full floats on all chains; true when there was something to do.

    In a seeded world one chain after the other: the log tells of them in the same order each time.
    """
    if chance.is_sown():
        for name, chain in chains.items():
            if await floats.refill(database, chains, name):
                return True
            async with database.transaction() as db:
                if not await floats.are_ready(db, {name: chain}):
                    return False
        return False
    return any([await floats.refill(database, chains, name) for name in chains])


async def sync_clocks(
    database: Database,
    chains: Mapping[str, Chain],
    shown: dict[str, clockwork.Setting] | None = None,
) -> bool:
    """Repeat the sandbox clock to every chain; true when one was set.

    With `shown`, the caller's memory, a chain that has accepted a setting is left alone. Raises
    `ChainUnavailable`; the next call tries again.
    """
    return await clockwork.sync(database, chains, {} if shown is None else shown)
