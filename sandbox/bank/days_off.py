"""Days off on weekdays, as dated data: a day, and where it is from.

2026 is the official calendar (KAZAKHSTAN 2.8, seen in 2026). The other years were computed by the
package `holidays` 0.108 and stand here until their calendars are published; for years beyond the
table `calendar` asks the package itself.
"""

from datetime import date
from typing import Final

OFFICIAL: Final = "official calendar"
COMPUTED: Final = "holidays 0.108"

_BY_YEAR: Final = {
    2024: (
        COMPUTED,
        "01-01 01-02 03-08 03-21 03-22 03-25 05-01 05-07 05-08 05-09 07-08 08-30 10-25 12-16",
    ),
    2025: (
        COMPUTED,
        "01-01 01-02 01-03 01-07 03-10 03-21 03-24 03-25 05-01 05-07 05-09 06-06 07-07 09-01 10-27"
        " 12-16",
    ),
    2026: (
        OFFICIAL,
        "01-01 01-02 01-07 03-09 03-23 03-24 03-25 05-01 05-07 05-11 05-27 07-06 10-26 12-16",
    ),
    2027: (
        COMPUTED,
        "01-01 01-04 01-07 03-08 03-15 03-22 03-23 03-24 05-03 05-07 05-10 07-06 10-25 12-16",
    ),
    2028: (
        COMPUTED,
        "01-03 01-04 01-07 03-08 03-15 03-21 03-22 03-23 05-01 05-05 05-08 05-09 07-06 10-25 12-18",
    ),
    2029: (
        COMPUTED,
        "01-01 01-02 03-08 03-15 03-21 03-22 03-23 04-24 05-01 05-07 05-09 07-06 10-25 12-17",
    ),
    2030: (
        COMPUTED,
        "01-01 01-02 01-07 03-08 03-15 03-21 03-22 03-25 05-01 05-07 05-09 07-08 10-25 12-16",
    ),
}

DAYS_OFF: Final = {
    date.fromisoformat(f"{year}-{day}"): source
    for year, (source, days) in _BY_YEAR.items()
    for day in days.split()
}
"""Every weekday without banks, and its source."""

YEARS: Final = frozenset(_BY_YEAR)
