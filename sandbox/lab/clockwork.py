"""Moving sandbox time, and the chains' clocks after it (DESIGN 2, Time)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Chain, ChainUnavailable
from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.lab.errors import ClockNotMovable
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes

Timer = Callable[[AsyncSession, datetime, datetime], Awaitable[list[dict[str, Any]]]]
"""What becomes due in (before, after]: objects with at least `type`, `id` and `due_at`."""

Setting = tuple[int, int | None]
"""(offset to wall time in ms, instant in ms at which the clock stands still or None)."""

log = structlog.get_logger(__name__)


async def state(db: AsyncSession) -> dict[str, Any]:
    """The clock as the API shows it."""
    offset_ms, frozen_at, epoch = await clock.state(db)
    return {
        "object": "clock",
        "now": clock.iso(await clock.now(db)),
        "offset_ms": offset_ms,
        "frozen": frozen_at is not None,
        "epoch": epoch,
    }


async def advance(
    database: Database, chains: Mapping[str, Chain], timers: Sequence[Timer], seconds: int
) -> dict[str, Any]:
    """Move time forward; answers `now` and what the move made due, in order of due time.

    Raises `ClockNotMovable`, `ClockMovesForward`, `ClockAtItsEnd`, `ChainUnavailable`; then nothing
    has moved.
    """
    await _check_movable(database, chains)
    async with database.transaction() as db:
        before = await _hold(db)
        after = await clock.advance(db, seconds)
        fired = [item for timer in timers for item in await timer(db, before, after)]
        await _tell(db, before, after, advance_s=seconds)
    await _show(database, chains)
    fired.sort(key=lambda item: str(item["due_at"]))
    return {"now": clock.iso(after), "fired": fired}


async def freeze(
    database: Database, chains: Mapping[str, Chain], is_frozen: bool
) -> dict[str, Any]:
    """Stop time, or let it go on from where it stood. Raises as `advance` does."""
    await _check_movable(database, chains)
    async with database.transaction() as db:
        before = await _hold(db)
        after = await clock.freeze(db, is_frozen)
        await _tell(db, before, after, frozen=is_frozen)
    await _show(database, chains)
    return {"now": clock.iso(after), "fired": []}


async def sync(database: Database, chains: Mapping[str, Chain], shown: dict[str, Setting]) -> bool:
    """Set the clock of every chain that `shown` does not say to have it; true when one was set.

    `shown` is the caller's memory of what the chains accepted. Raises `ChainUnavailable` after
    all others were set.
    """
    setting = await _setting(database)
    silent: ChainUnavailable | None = None
    is_done = False
    for name, chain in chains.items():
        if shown.get(name) == setting:
            continue
        try:
            if not await chain.set_clock(*setting):
                log.warning("this chain keeps its own time", chain=name)
        except ChainUnavailable as error:
            silent = error
            continue
        shown[name] = setting
        is_done = True
    if silent is not None:
        raise silent
    return is_done


async def _setting(database: Database) -> Setting:
    async with database.transaction() as db:
        offset_ms, frozen_at, _ = await clock.state(db)
    return offset_ms, None if frozen_at is None else clock.milliseconds(frozen_at)


async def _check_movable(database: Database, chains: Mapping[str, Chain]) -> None:
    """Ask every chain to keep the time it should have already: some cannot be asked."""
    setting = await _setting(database)
    for name, chain in chains.items():
        if not await chain.set_clock(*setting):
            raise ClockNotMovable(name)


async def _show(database: Database, chains: Mapping[str, Chain]) -> None:
    try:
        await sync(database, chains, {})
    except ChainUnavailable as error:
        # The clock has moved and that is committed; the worker repeats this until it is shown.
        log.warning("a chain does not show the new time yet", error=str(error))


async def _hold(db: AsyncSession) -> datetime:
    """The time before the move, with other moves kept waiting."""
    await db.execute(text("SELECT 1 FROM clock FOR UPDATE"))
    return await clock.now(db)


async def _tell(db: AsyncSession, before: datetime, after: datetime, **how: int | bool) -> None:
    data = {"object": "clock", "before": clock.iso(before), "now": clock.iso(after), **how}
    event = NewEvent(new_id("evt", after), "clock.moved", after, data)
    await ledger.record(db, Changes(events=[event]))
