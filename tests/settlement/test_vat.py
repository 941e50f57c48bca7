"""The VAT rate as dated data."""

from datetime import date

import pytest

from sandbox.core.money import vat_included_tiyn
from sandbox.settlement import vat


@pytest.mark.parametrize(
    ("day", "percent", "version"),
    [
        ("2025-12-31", 12, "120-VI"),
        ("2026-01-01", 16, "214-VIII"),
        ("2027-06-01", 16, "214-VIII"),
    ],
)
def test_the_rate_is_that_of_the_day(day: str, percent: int, version: str) -> None:
    rate = vat.rate_on(date.fromisoformat(day))
    assert (rate.percent, rate.version) == (percent, version)


@pytest.mark.parametrize(
    ("gross", "day", "tax"),
    [
        (125_050, "2026-06-01", 17_248),
        (125_050, "2025-06-01", 13_398),
        (11_600, "2026-06-01", 1600),
        (999, "2026-06-01", 138),
        (1, "2026-06-01", 0),
        (80, "2026-06-01", 11),
        (100, "2026-06-01", 14),
    ],
)
def test_the_tax_contained_in_a_fee_is_rounded_half_up(gross: int, day: str, tax: int) -> None:
    assert vat_included_tiyn(gross, vat.rate_on(date.fromisoformat(day)).percent) == tax
