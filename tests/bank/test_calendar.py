"""Banking days and value dates; vectors from the official calendar of 2026 and 2027."""

from datetime import UTC, date, datetime, timedelta

import holidays
import pytest

from sandbox.bank import calendar, days_off, rails
from sandbox.core.zone import ALMATY

DAYS_OFF_2026 = [
    "01-01", "01-02", "01-07", "03-09", "03-23", "03-24", "03-25", "05-01", "05-07", "05-11",
    "05-27", "07-06", "10-26", "12-16",
]  # fmt: skip
DAYS_OFF_2027 = [
    "01-01", "01-04", "01-07", "03-08", "03-15", "03-22", "03-23", "03-24", "05-03", "05-07",
    "05-10", "07-06", "10-25", "12-16",
]  # fmt: skip


def at(text: str) -> datetime:
    """A moment written in Almaty time."""
    return datetime.fromisoformat(text).replace(tzinfo=ALMATY)


@pytest.mark.parametrize(("year", "expected"), [(2026, DAYS_OFF_2026), (2027, DAYS_OFF_2027)])
def test_the_weekdays_without_a_bank_are_those_of_the_official_calendar(
    year: int, expected: list[str]
) -> None:
    days = (date(year, 1, 1) + timedelta(days=n) for n in range(365))
    closed = [d for d in days if d.weekday() < 5 and not calendar.is_banking_day(d)]
    assert [d.strftime("%m-%d") for d in closed] == expected


def test_no_saturday_or_sunday_is_a_banking_day() -> None:
    days = (date(2026, 1, 1) + timedelta(days=n) for n in range(730))
    assert not any(calendar.is_banking_day(d) for d in days if d.weekday() >= 5)


def test_the_day_of_the_old_constitution_is_no_holiday_from_2026() -> None:
    assert not calendar.is_banking_day(date(2026, 8, 30))  # a Sunday
    assert calendar.is_banking_day(date(2026, 8, 31))
    assert calendar.is_banking_day(date(2027, 8, 30))


@pytest.mark.parametrize(
    ("settled_at", "paid_on"),
    [
        ("2026-11-19T12:00", "2026-11-20"),
        ("2026-11-19T18:00", "2026-11-20"),
        ("2026-11-19T18:00:00.001", "2026-11-23"),  # after the cut-off of Thursday: Friday's batch
        ("2026-11-20T17:59", "2026-11-23"),
        ("2026-11-21T12:00", "2026-11-23"),
        ("2026-03-20T18:00", "2026-03-26"),  # the longest gap of the year: Nauryz
        ("2026-10-23T10:00", "2026-10-27"),  # Republic Day on a Sunday moves to Monday
        ("2026-12-31T20:00", "2027-01-05"),
    ],
)
def test_the_value_date_is_the_banking_day_after_the_cut_off(settled_at: str, paid_on: str) -> None:
    assert calendar.value_date(at(settled_at)) == date.fromisoformat(paid_on)


def test_the_date_is_counted_in_almaty() -> None:
    # 20:00 UTC on Thursday is 01:00 on Friday in Almaty.
    assert calendar.value_date(datetime(2026, 11, 19, 20, 0, tzinfo=UTC)) == date(2026, 11, 23)


def test_almaty_moved_to_utc_plus_five_in_march_2024() -> None:
    assert at("2024-02-29T12:00").utcoffset() == timedelta(hours=6)
    assert at("2024-03-01T12:00").utcoffset() == timedelta(hours=5)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-19T17:59:59.999", "2026-11-18"),
        ("2026-11-19T18:00", "2026-11-19"),
        ("2026-11-20T00:30", "2026-11-19"),
    ],
)
def test_the_last_cut_off_is_the_newest_that_has_passed(moment: str, day: str) -> None:
    assert calendar.last_cut_off(at(moment)) == date.fromisoformat(day)


def test_a_value_date_on_a_day_off_is_booked_on_the_next_banking_day() -> None:
    assert calendar.bank_opens(date(2026, 11, 20)) == at("2026-11-20T09:00")
    assert calendar.bank_opens(date(2026, 11, 21)) == at("2026-11-23T09:00")


def test_the_table_of_days_off_agrees_with_the_package_that_computes_them() -> None:
    for year in sorted(days_off.YEARS):
        computed = {d for d in holidays.country_holidays("KZ", years=year) if d.weekday() < 5}
        assert {d for d in days_off.DAYS_OFF if d.year == year} == computed


def test_years_beyond_the_table_have_their_holidays_too() -> None:
    assert max(days_off.YEARS) < 2033
    assert not calendar.is_banking_day(date(2033, 3, 21))  # Nauryz, a Monday
    assert calendar.is_banking_day(date(2033, 3, 14))


@pytest.mark.parametrize(
    ("rail", "moment", "opens"),
    [
        ("rtgs", "2026-03-20T17:59", "2026-03-20T17:59"),
        ("rtgs", "2026-03-20T18:00", "2026-03-26T09:00"),  # the longest gap of the year
        ("rtgs", "2026-11-19T03:00", "2026-11-19T09:00"),
        ("rtgs", "2026-08-29T12:00", "2026-08-31T09:00"),
        ("instant", "2026-03-22T03:00", "2026-03-22T03:00"),
    ],
)
def test_a_rail_takes_payments_in_its_hours_only(rail: str, moment: str, opens: str) -> None:
    assert rails.opens_at(rails.RAILS[rail], at(moment)) == at(opens)
