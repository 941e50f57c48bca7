"""The ways a payment can go, as data: their hours, days and greatest amount (KAZAKHSTAN 2.6)."""

from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

from sandbox.bank import calendar
from sandbox.core.zone import ALMATY

RTGS: Final = "rtgs"
INSTANT: Final = "instant"


@dataclass(frozen=True, slots=True)
class Rail:
    """A rail; `system` is its name in messages, `max_tiyn` None where there is no greatest amount.

    One without hours is open at every moment.
    """

    code: str
    system: str
    opens: time | None
    closes: time | None
    max_tiyn: int | None


# Hours: the sandbox's own cut-off (CONTRACT 6). The greatest amount of an instant payment is the
# sandbox's choice: none is published.
RAILS: Final = {
    rail.code: rail
    for rail in (
        Rail(RTGS, "ISMT", calendar.OPENS, calendar.CUT_OFF, None),
        Rail(INSTANT, "IMPS", None, None, 100_000_000),
    )
}


def opens_at(rail: Rail, moment: datetime) -> datetime:
    """The first moment, not before `moment`, at which the rail takes payments."""
    if rail.opens is None or rail.closes is None:
        return moment
    day = calendar.local_date(moment)
    if calendar.is_banking_day(day):
        if moment < datetime.combine(day, rail.opens, ALMATY):
            return datetime.combine(day, rail.opens, ALMATY)
        if moment < datetime.combine(day, rail.closes, ALMATY):
            return moment
    return datetime.combine(calendar.next_banking_day(day), rail.opens, ALMATY)


def closes_at(rail: Rail, moment: datetime) -> datetime:
    """Until when a payment that is due at `moment` may wait for cover."""
    if rail.closes is None:
        return moment
    day = calendar.local_date(opens_at(rail, moment))
    return datetime.combine(day, rail.closes, ALMATY)
