"""The switch that stops all minting, and what turns it."""

from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.reserve import backing
from sandbox.reserve.errors import MintingHalted, MintingNotHalted, ReserveShort, StatementStale


async def check_on(db: AsyncSession) -> None:
    """Refuse with `MintingHalted`, or `StatementStale` where statements have to be fresh.

    A halt that comes later waits for this transaction.
    """
    found = await db.execute(
        text("SELECT is_on, reason, statement_max_age_s AS max_age_s FROM minting FOR SHARE")
    )
    row = found.one()
    if not row.is_on:
        raise MintingHalted(row.reason)
    if row.max_age_s is None:
        return
    age_s = await _statement_age_s(db)
    if age_s is None or age_s > row.max_age_s:
        raise StatementStale(age_s, row.max_age_s)


async def _statement_age_s(db: AsyncSession) -> int | None:
    """Seconds since the end of the newest day whose statement of the reserve account was taken.

    However late it came: what happened at the bank after that day, nobody here knows from it.
    """
    day = await db.scalar(
        text("SELECT max(day) FROM bank_statement WHERE iban = :reserve"),
        {"reserve": RESERVE_IBAN},
    )
    if day is None:
        return None
    return int((await clock.now(db) - calendar.ends_at(day)).total_seconds())


async def set_statement_max_age(db: AsyncSession, seconds: int) -> None:
    """How old, in sandbox time, the newest statement may be for a mint; 0: nobody asks."""
    await db.execute(
        text("UPDATE minting SET statement_max_age_s = nullif(CAST(:seconds AS integer), 0)"),
        {"seconds": seconds},
    )


async def state(db: AsyncSession) -> tuple[bool, str]:
    """(whether minting is on, why not)."""
    row = (await db.execute(text("SELECT is_on, reason FROM minting"))).one()
    return row.is_on, row.reason


async def hold(db: AsyncSession) -> None:
    """Keep mints waiting until the commit: for who may halt them only after locking accounts."""
    await db.execute(text("SELECT 1 FROM minting FOR NO KEY UPDATE"))


async def halt(db: AsyncSession, reason: str) -> list[NewEvent]:
    """Turn minting off; the event to record, or nothing when it is off already.

    Each call counts: what released the first halt knew nothing of the second.
    """
    was_on = await db.scalar(
        text(
            "WITH was AS (SELECT id, is_on FROM minting FOR NO KEY UPDATE)"
            " UPDATE minting SET is_on = false, halts = halts + 1,"
            " reason = CASE WHEN was.is_on THEN :reason ELSE minting.reason END,"
            " since = CASE WHEN was.is_on THEN sandbox_now() ELSE minting.since END"
            " FROM was WHERE was.id = minting.id RETURNING was.is_on"
        ),
        {"reason": reason},
    )
    if not was_on:
        return []
    at = await clock.now(db)
    return [NewEvent(new_id("evt", at), "minting.halted", at, {"reason": reason})]


async def hold_halt(db: AsyncSession) -> int:
    """How many halts there were; minting stays off until the commit. Raises `MintingNotHalted`."""
    halts: int | None = await db.scalar(
        text("SELECT halts FROM minting WHERE NOT is_on FOR NO KEY UPDATE")
    )
    if halts is None:
        raise MintingNotHalted
    return halts


async def resume(db: AsyncSession, **why: Any) -> NewEvent:
    """Turn minting on again; the event to record, which tells `why`.

    Raises `MintingNotHalted`, and `ReserveShort` while I2 does not hold.
    """
    now = await backing.read(db)
    if not now.is_enough:
        raise ReserveShort(now.reserve_tiyn, now.owed_tiyn)
    was = await db.scalar(text("SELECT reason FROM minting WHERE NOT is_on FOR NO KEY UPDATE"))
    if was is None:
        raise MintingNotHalted
    await db.execute(text("UPDATE minting SET is_on = true, reason = '', since = sandbox_now()"))
    at = await clock.now(db)
    return NewEvent(new_id("evt", at), "minting.resumed", at, {"halted_for": was, **why})
