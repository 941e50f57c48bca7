"""What /readyz and /metrics say of a world; both answer in time, whatever hangs behind them."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from sqlalchemy import text

from sandbox.chains import figures as chains_figures
from sandbox.chains import service as chains_service
from sandbox.chains.port import Chain
from sandbox.core.db import Database, DiskFull, led
from sandbox.core.errors import SandboxError
from sandbox.core.metrics import Figure, pool_figures, server_figures
from sandbox.eventlog import figures as log_figures
from sandbox.lab import floats
from sandbox.payments import figures as payments_figures
from sandbox.webhooks import figures as webhooks_figures

# Far below the 10 s that Prometheus waits and the 4 s of the check in docker-compose.yml. Chains
# and database are asked at the same time, each with this limit.
LONGEST_S: Final = chains_figures.LONGEST_S
# What does not fit in that memory goes to the server's disk, some 500 kB, and is forgotten: no row,
# no WAL, nothing to clean up. A write in pages that are there already succeeds on a full disk.
_ROOM: Final = text("SELECT count(*) FROM generate_series(1, 30000)")
_LITTLE_MEMORY: Final = text("SET LOCAL work_mem = '64kB'")

_abandoned: set[asyncio.Task[None]] = set()


async def not_ready(database: Database, chains: Mapping[str, Chain]) -> list[str]:
    """The names of the parts that do not work yet; the float comes last in a new world.

    A worker is known by its leads, which end with its connection; a chain that it no longer
    follows is `halted`; `disk` is the database's, found full by a small write.
    """
    found: list[str] = []

    async def ask() -> None:
        try:
            async with database.transaction() as db:
                found.extend(f"{name} halted" for name in await chains_service.halts(db))
                leads = {"sequence", *(f"watch:{name}" for name in chains)}
                if leads - await led(db):
                    found.append("worker")
                if not await floats.are_ready(db, chains):
                    found.append("float")
                await db.execute(_LITTLE_MEMORY)
                await db.execute(_ROOM)
        except DiskFull:
            found.append("disk")
        except SandboxError:
            found.append("database")

    heads, is_told = await asyncio.gather(chains_figures.heads(chains), _in_time(ask()))
    silent = [name for name, head in heads.items() if head is None]
    return [*silent, *found, *([] if is_told else ["database"])]


async def figures(database: Database, chains: Mapping[str, Chain]) -> list[Figure]:
    """The state of the world for /metrics, whichever process made it; some ten short queries.

    What the database does not tell in time is left out: a scrape never fails for it.
    """
    found = pool_figures(database)
    is_up = is_whole = False
    of_chains: chains_figures.State | None = None

    async def read() -> None:
        nonlocal is_up, is_whole, of_chains
        try:
            async with database.transaction() as db:
                await db.execute(text("SELECT 1"))
                is_up = True
                of_chains = await chains_figures.state(db)
                found.extend(await payments_figures.figures(db))
                found.extend(await log_figures.figures(db))
                found.extend(await webhooks_figures.figures(db))
                found.extend(await server_figures(db))
            is_whole = True
        except SandboxError:
            is_up = False

    heads, _ = await asyncio.gather(chains_figures.heads(chains), _in_time(read()))
    return [
        *found,
        *chains_figures.figures(heads, of_chains),
        Figure(
            "sandbox_database_up",
            f"1 when the database answered this scrape within {LONGEST_S:.0f} s.",
            int(is_up),
        ),
        Figure(
            "sandbox_figures_complete",
            "0 when the database was gone or too slow for some of this scrape's figures, which are"
            " missing then.",
            int(is_whole),
        ),
    ]


async def _in_time(work: Coroutine[Any, Any, None]) -> bool:
    """Whether `work` ended within `LONGEST_S`; if not, it is cancelled and not waited for.

    A server that hangs does not answer a cancellation either.
    """
    task = asyncio.create_task(work)
    _abandoned.add(task)
    task.add_done_callback(_abandoned.discard)
    await asyncio.wait({task}, timeout=LONGEST_S)
    if not task.done():
        task.cancel()
        task.add_done_callback(_forget)
        return False
    task.result()
    return True


def _forget(task: asyncio.Task[None]) -> None:
    """Nobody is left to whom its failure could be told, and nobody needs it: it came too late."""
    if not task.cancelled():
        task.exception()
