"""The VAT rate as dated data; what was charged at one rate stays at it."""

from datetime import UTC, date, datetime

import pytest

from sandbox.bank import calendar
from sandbox.chains import memory
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.core.db import Database
from sandbox.core.money import vat_included_tiyn
from sandbox.settlement import vat
from tests.settlement.conftest import open_town
from tests.settlement.test_sweeps import final, freeze, is_settled, paid, thaw


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


def test_the_evening_of_31_december_in_utc_is_the_new_year_in_almaty() -> None:
    for moment, percent in (("18:59:59.999", 12), ("19:00", 16), ("19:30", 16)):
        at = datetime.fromisoformat(f"2025-12-31T{moment}").replace(tzinfo=UTC)
        assert vat.rate_on(calendar.local_date(at)).percent == percent


async def test_what_a_batch_of_december_gives_back_in_january_goes_back_at_decembers_rate(
    database: Database, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_START", datetime(2025, 12, 31, tzinfo=UTC))
    town = await open_town(database, owner_url, DepositMemoryChain(), "2025-12-31T23:50")
    await paid(town, 6000)
    _, address = await paid(town, 4000)
    await town.set_clock("2025-12-31T23:59:59.999")
    made = await town.ask()
    # 40 of 100 tiyn fall away when it is half past midnight, or 19:30 in UTC.
    await town.set_clock("2026-01-01T00:30")
    freeze(town, address)
    await final(town)
    await town.world.carry_out()
    [burn] = (await is_settled(town, made["id"]))["burns"]
    assert (burn["fee_tiyn"], burn["vat_percent"], burn["vat_tiyn"]) == (60, 12, 6)
    thaw(town, address)
    await final(town)
    later = await town.ask()
    await town.world.carry_out()
    [burn] = (await is_settled(town, later["id"]))["burns"]
    assert (burn["fee_tiyn"], burn["vat_percent"], burn["vat_tiyn"]) == (40, 16, 6)
    await town.bank_and_books()
    await town.audit()
    await town.world.end()
