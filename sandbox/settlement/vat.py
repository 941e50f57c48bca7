"""The VAT rate of Kazakhstan as dated data; merchant fees include the tax (KAZAKHSTAN 2.4)."""

from dataclasses import dataclass
from datetime import date
from typing import Final


@dataclass(frozen=True, slots=True)
class VatRate:
    """A rate in whole percent, from a day on; `version` names the law it comes from."""

    since: date
    percent: int
    version: str


# Newest first. Tax Code of 2017 (law 120-VI), then Tax Code of 18 July 2025 (law 214-VIII).
RATES: Final = (
    VatRate(date(2026, 1, 1), 16, "214-VIII"),
    VatRate(date(2018, 1, 1), 12, "120-VI"),
)


def rate_on(day: date) -> VatRate:
    """The rate in force on `day`, in Almaty."""
    return next((rate for rate in RATES if rate.since <= day), RATES[-1])
