"""The clock: a minute, and the end of a banking day."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from sandbox.bank import calendar
from sandbox.lab.plays import paying
from sandbox.lab.stage import Play, Stage
from sandbox.ledger import days

AFTER_MIDNIGHT: Final = days.GRACE + timedelta(minutes=1)


async def _clock(stage: Stage) -> None:
    await stage.advance(60)


async def _day_ends(stage: Stage) -> None:
    """A day without entries has nothing to seal."""
    await paying.captured(stage)
    now = await stage.now()
    ends = calendar.ends_at(calendar.local_date(now)) + AFTER_MIDNIGHT
    await stage.advance((ends - now) // timedelta(seconds=1))


PLAYS: Final[Mapping[str, Play]] = {
    "clock": _clock,
    "day_ends": _day_ends,
}
