"""Banking days of Kazakhstan, and the value date that follows from a moment (KAZAKHSTAN 2.8)."""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from sandbox.bank import days_off
from sandbox.core.zone import ALMATY

CUT_OFF: Final = time(18, 0)
OPENS: Final = time(9, 0)
_SATURDAY = 5


@lru_cache(maxsize=64)
def _computed(year: int) -> frozenset[date]:
    # Only for clocks moved beyond the table: the import takes longer than most requests.
    import holidays

    return frozenset(holidays.country_holidays("KZ", years=year))


def is_banking_day(day: date) -> bool:
    """Monday to Friday, but for public holidays and the days off they move to."""
    if day.weekday() >= _SATURDAY:
        return False
    return day not in (days_off.DAYS_OFF if day.year in days_off.YEARS else _computed(day.year))


def next_banking_day(after: date) -> date:
    """The first banking day later than `after`."""
    day = after + timedelta(days=1)
    while not is_banking_day(day):
        day += timedelta(days=1)
    return day


def banking_day_until(day: date) -> date:
    """The last banking day that is not later than `day`."""
    while not is_banking_day(day):
        day -= timedelta(days=1)
    return day


def local_date(moment: datetime) -> date:
    """The date in Almaty at an aware `moment`."""
    return moment.astimezone(ALMATY).date()


def day_after(day: date) -> date:
    """The next day, banking day or not."""
    return day + timedelta(days=1)


def ends_at(day: date) -> datetime:
    """Midnight in Almaty, with which `day` is over."""
    return datetime.combine(day_after(day), time(), ALMATY)


def cut_off_of(day: date, at: time = CUT_OFF) -> datetime:
    """The moment of the cut-off of `day`; there is one every day, banking day or not."""
    return datetime.combine(day, at, ALMATY)


def last_cut_off(moment: datetime, at: time = CUT_OFF) -> date:
    """The day whose cut-off is the newest that is not later than `moment`."""
    day = local_date(moment)
    return day if cut_off_of(day, at) <= moment else day - timedelta(days=1)


def value_date(moment: datetime) -> date:
    """When the bank pays what is settled at `moment`: the banking day after its cut-off's day."""
    day = local_date(moment)
    return next_banking_day(day if moment <= cut_off_of(day) else day + timedelta(days=1))


def bank_opens(day: date) -> datetime:
    """From when the bank books the payments of a value date; a day off moves to the next day."""
    return datetime.combine(day if is_banking_day(day) else next_banking_day(day), OPENS, ALMATY)
