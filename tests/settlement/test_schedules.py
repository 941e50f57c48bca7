"""Each merchant's own cut-off and schedule."""

import pytest

from sandbox.parties import service as parties
from sandbox.settlement import jobs, service
from tests.settlement.conftest import Town


@pytest.fixture
def town(swept_town: Town) -> Town:
    return swept_town


async def change(town: Town, **values: object) -> None:
    async with town.database.transaction() as db:
        await parties.update_merchant(db, town.shop, values)
    await jobs.cut_off(town.database, town.world.chains)


async def run(town: Town, moment: str) -> int:
    await town.set_clock(moment)
    return await jobs.cut_off(town.database, town.world.chains)


async def busy(town: Town) -> list[str]:
    async with town.database.transaction() as db:
        return [left for left in await service.busy(db) if "cut-off" in left]


async def test_who_settles_on_demand_has_no_cut_off(town: Town) -> None:
    await change(town, schedule="on_demand")
    await town.pay(6000)
    assert await run(town, "2026-11-19T18:00") == 0
    assert await run(town, "2026-11-20T18:00") == 0
    assert (await town.ask())["cut_off"] is None


async def test_a_merchants_own_cut_off_takes_what_was_captured_before_it_and_no_more(
    town: Town,
) -> None:
    await change(town, cut_off="15:30")
    await town.pay(6000)
    assert await run(town, "2026-11-19T15:29") == 0
    await town.set_clock("2026-11-19T15:30")
    assert await busy(town) == ["cut-off of 2026-11-19 at 15:30 not run"]
    assert await run(town, "2026-11-19T15:30") == 1
    assert await busy(town) == []
    await town.pay(1000)
    assert await run(town, "2026-11-19T18:00") == 0
    assert await run(town, "2026-11-20T15:30") == 1
    (newest, first) = (await town.get("/v1/settlements"))["data"]
    assert (first["cut_off"], first["check"]["gross_tiyn"]) == ("2026-11-19", 6000)
    assert (newest["cut_off"], newest["check"]["gross_tiyn"]) == ("2026-11-20", 1000)


async def test_a_cut_off_after_the_banks_is_paid_a_day_later(town: Town) -> None:
    await change(town, cut_off="20:00")
    await town.pay(6000)
    assert await run(town, "2026-11-19T20:00") == 1
    (made,) = (await town.get("/v1/settlements"))["data"]
    assert (made["cut_off"], made["value_date"]) == ("2026-11-19", "2026-11-23")


async def test_a_cut_off_chosen_after_its_hour_begins_the_next_day(town: Town) -> None:
    await town.pay(6000)
    await change(town, cut_off="09:00")
    assert await run(town, "2026-11-19T23:00") == 0
    assert await run(town, "2026-11-20T09:00") == 1


async def test_each_business_day_has_no_cut_off_on_days_off_and_daily_has(town: Town) -> None:
    await change(town)
    await town.pay(6000)
    # Friday's is the newest on the days after it; what comes then waits for Monday's.
    assert await run(town, "2026-11-20T18:00") == 1
    await town.pay(1000)
    assert [await run(town, f"2026-11-{day}T20:00") for day in (21, 22)] == [0, 0]
    assert await busy(town) == []
    assert await run(town, "2026-11-23T18:00") == 1
    days = [one["cut_off"] for one in (await town.get("/v1/settlements"))["data"]]
    assert days == ["2026-11-23", "2026-11-20"]
    await change(town, schedule="daily")
    await town.pay(500)
    assert await run(town, "2026-11-28T18:00") == 1
    newest = (await town.get("/v1/settlements"))["data"][0]
    assert (newest["cut_off"], newest["value_date"]) == ("2026-11-28", "2026-11-30")


async def test_a_dated_day_off_has_no_cut_off_and_a_clock_that_jumps_to_it_takes_the_day_before(
    town: Town,
) -> None:
    # Independence Day, a Wednesday.
    await run(town, "2026-12-14T20:00")
    await town.pay(6000)
    assert await run(town, "2026-12-16T20:00") == 1
    (made,) = (await town.get("/v1/settlements"))["data"]
    assert (made["cut_off"], made["value_date"]) == ("2026-12-15", "2026-12-17")
    assert await run(town, "2026-12-16T23:00") == 0
