"""Moving sandbox time, and the chains' clocks after it (DESIGN 2, Time)."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.chains.port import Chain, ChainUnavailable
from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.lab.errors import ClockNotMovable, NotAnInstant
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes

Timer = Callable[[AsyncSession, datetime, datetime], Awaitable[list[dict[str, Any]]]]
"""What becomes due in (before, after]: objects with at least `type`, `id` and `due_at`."""

Setting = tuple[int, int | None]
"""(offset to wall time in ms, instant in ms at which the clock stands still or None)."""

NEXT_CUT_OFF = "next_cut_off"
MOST_STOPS, PATIENCE_S = 500, 30.0
_SECOND, _WINDOW = timedelta(seconds=1), timedelta(hours=12)

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


async def seconds_until(db: AsyncSession, until: str) -> int:
    """How far to move to an instant with its offset (ISO 8601), or to `next_cut_off`: whole
    seconds, so that it is reached or just passed. Raises `NotAnInstant`, `ClockMovesForward`.
    """
    now = await clock.now(db)
    if until == NEXT_CUT_OFF:
        moment = calendar.cut_off_of(calendar.day_after(calendar.last_cut_off(now)))
    else:
        try:
            moment = datetime.fromisoformat(until)
        except ValueError as error:
            raise NotAnInstant(until) from error
        if moment.tzinfo is None:
            raise NotAnInstant(until)
    seconds = -((now - moment) // timedelta(seconds=1))
    if seconds < 0:
        raise clock.ClockMovesForward(seconds)
    return seconds


async def advance_in_steps(
    database: Database,
    chains: Mapping[str, Chain],
    timers: Sequence[Timer],
    rest: Callable[[], Awaitable[Any]],
    seconds: int,
) -> dict[str, Any]:
    """The same with a stop wherever something is due; `rest` is awaited there.

    What becomes due because of what fired is so met in its turn. The clock stands still between
    the moves, so that nothing comes due unseen; it goes on at the end if it did before. After
    `MOST_STOPS` stops or `PATIENCE_S` it answers where it came to, with `complete` false. Raises
    what `advance` and `rest` do; then too it stays where it came to.
    """
    async with database.transaction() as db:
        was_frozen = (await clock.state(db))[1] is not None
    if not was_frozen:
        await freeze(database, chains, True)
    fired: list[dict[str, Any]] = []
    try:
        await rest()
        async with database.transaction() as db:
            target = await clock.now(db) + timedelta(seconds=seconds)
        stops, began = 0, time.monotonic()
        while stops < MOST_STOPS and time.monotonic() - began < PATIENCE_S:
            async with database.transaction() as db:
                now = await clock.now(db)
                step = await _next_step(db, timers, now, target)
            moved = await advance(database, chains, timers, step)
            if moved["fired"]:
                fired += moved["fired"]
                stops += 1
                await rest()
            if now + timedelta(seconds=step) >= target:
                break
        async with database.transaction() as db:
            now = await clock.now(db)
    finally:
        if not was_frozen:
            await freeze(database, chains, False)
    return {"now": clock.iso(now), "fired": fired, "stops": stops, "complete": now >= target}


async def _next_step(
    db: AsyncSession, timers: Sequence[Timer], now: datetime, target: datetime
) -> int:
    """Seconds to just behind the next thing due, or to the end of what is looked at at once.

    Timers tell of the newest cut-off only: no more than one lies within `_WINDOW`.
    """
    end = min(target, now + _WINDOW)
    items = [item for timer in timers for item in await timer(db, now, end)]
    if items:
        end = min(end, datetime.fromisoformat(min(str(item["due_at"]) for item in items)))
        # Most jobs take what was due before now.
        return min((end - now) // _SECOND + 1, -((now - target) // _SECOND))
    return -((now - end) // _SECOND)


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
