"""What one audit check answers: two figures that must agree, and the rows that do not."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

SHOWN: Final = 5
"""How many faults a detail names; the figures count them all."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one invariant (DESIGN 5); `left` and `right` are what was compared.

    `detail` of a red one names the rows by table and primary key, the first of them at least.
    """

    id: str
    ok: bool
    left: int | str | None
    right: int | str | None
    detail: str

    def as_json(self) -> dict[str, object]:
        return asdict(self)


CheckFunction = Callable[[], Awaitable[list[Check]]]
"""Every invariant recomputed on request: the sandbox proves its own books."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How many rows are wrong, and the first of them in words."""

    count: int
    said: str

    def __bool__(self) -> bool:
        return self.count > 0


async def find_faults(
    db: AsyncSession, statement: str, values: Mapping[str, Any] | None = None
) -> Faults:
    """Run a SELECT of (name, fault): `name` is table and primary key, `fault` null where sound.

    One statement is one snapshot, so this may run while others write. `statement` is SQL of the
    caller's own, never input.
    """
    found = await db.execute(
        text(
            "SELECT name, fault, count(*) OVER () AS faults FROM"  # noqa: S608 - see above
            f" ({statement}) AS judged WHERE fault IS NOT NULL ORDER BY name LIMIT {SHOWN}"
        ),
        values or {},
    )
    rows = found.all()
    if not rows:
        return Faults(0, "")
    return Faults(rows[0].faults, say([f"{row.name}: {row.fault}" for row in rows], rows[0].faults))


def say(faults: list[str], count: int | None = None) -> str:
    """The first faults, and how many there are besides; `count` when not all are in the list."""
    more = (len(faults) if count is None else count) - min(len(faults), SHOWN)
    return "; ".join(faults[:SHOWN]) + (f"; and {more} more" if more else "")


async def no_faults(
    db: AsyncSession, id_: str, sound: str, statement: str, values: Mapping[str, Any] | None = None
) -> list[Check]:
    """A check that compares row by row: how many are wrong, against none."""
    faults = await find_faults(db, statement, values)
    return [Check(id_, not faults, faults.count, 0, faults.said or sound)]
