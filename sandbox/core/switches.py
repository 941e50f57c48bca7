"""Failure switches that the database keeps: each strikes so many times, then it is off.

What a failure does is its slice's; here is only how often it still happens.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.models import FaultSwitch

MAX_TIMES: Final = 1000
"""What can be asked for at once."""

_STRIKE: Final = text(
    """
    UPDATE fault_switch SET "left" = fault_switch."left" - due.times FROM (
        SELECT name, least("left", :most) AS times FROM fault_switch
        WHERE name = :name AND "left" > 0 FOR UPDATE
    ) AS due WHERE fault_switch.name = due.name RETURNING due.times
    """
)


def is_armed(names: Iterable[str]) -> str:
    """SQL: one of these failures, which are named in the code, may strike."""
    named = ", ".join(f"'{name}'" for name in sorted(names))
    return f'EXISTS (SELECT FROM fault_switch WHERE name IN ({named}) AND "left" > 0)'


async def arm(db: AsyncSession, name: str, times: int) -> None:
    """Let a failure strike the next `times` times; 0 turns it off."""
    made = insert(FaultSwitch).values({"name": name, "left": times})
    await db.execute(made.on_conflict_do_update(index_elements=["name"], set_={"left": times}))


async def left(db: AsyncSession, names: Iterable[str]) -> dict[str, int]:
    """How many more times each of these failures strikes, by name; 0 for one that is off."""
    rows = await db.execute(text('SELECT name, "left" AS times FROM fault_switch'))
    armed = {row.name: row.times for row in rows}
    return {name: armed.get(name, 0) for name in names}


async def strike(db: AsyncSession, name: str, most: int = 1) -> int:
    """How many of the next `most` the failure strikes; they count as some of its times."""
    struck: int | None = await db.scalar(_STRIKE, {"name": name, "most": most})
    return struck or 0
