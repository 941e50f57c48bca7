"""The fee of a payment is that of the plan in force when it was captured, in books and report."""

from pathlib import Path

import pytest

from sandbox.parties import plans
from sandbox.payments import row_checks
from sandbox.settlement.verification import verify
from tests.settlement.conftest import Town
from tests.settlement.logged import report_of, sequenced


@pytest.fixture
def town(swept_town: Town) -> Town:
    return swept_town


async def agree(town: Town, fee_bps: int, fixed_tiyn: int, minimum_tiyn: int) -> None:
    async with town.database.transaction() as db:
        plan = await plans.offer(
            db,
            town.shop,
            fee_bps=fee_bps,
            fixed_tiyn=fixed_tiyn,
            minimum_tiyn=minimum_tiyn,
            from_at=None,
        )
        await plans.consent(db, town.shop, plan.version)


async def test_an_offer_alone_changes_no_fee(town: Town) -> None:
    async with town.database.transaction() as db:
        await plans.offer(db, town.shop, fee_bps=0, fixed_tiyn=0, minimum_tiyn=0, from_at=None)
    payment = await town.get(f"/v1/payments/{await town.pay(6000)}")
    assert (payment["fee_plan"], payment["fee_tiyn"]) == (1, 60)


async def test_each_payment_keeps_the_plan_of_its_capture(town: Town, tmp_path: Path) -> None:
    first = await town.pay(6000)
    await town.set_clock("2026-11-19T13:00")
    await agree(town, 50, 100, 0)
    second = await town.pay(4000)
    await town.set_clock("2026-11-19T14:00")
    await agree(town, 100, 0, 75)
    third = await town.pay(2000)
    await town.refund(second, 2000)
    made = await town.settle()
    fees = {line["payment"]: line["fee_tiyn"] for line in made["lines"]}
    # 1 % of 6000; 0.5 % of what is left of 4000, and 100; 1 % of 2000 is less than 75.
    assert fees == {first: 60, second: 110, third: 75}
    await town.world.carry_out()
    await town.bank_and_books()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    await town.audit()
    vkey = await sequenced(town, tmp_path)
    report = await report_of(town, made["id"])
    assert [line["fee_plan"] for line in report["lines"]] == [1, 2, 3]
    assert verify(report, vkey).check["fees_tiyn"] == 245


async def test_a_fee_takes_no_more_than_what_was_paid(town: Town) -> None:
    await agree(town, 0, 500, 0)
    await town.pay(300)
    made = await town.settle()
    assert (made["lines"][0]["fee_tiyn"], made["payout"]) == (300, None)
    await town.world.carry_out()
    await town.audit()


@pytest.mark.parametrize(
    ("breach", "word"),
    [
        ("UPDATE fee_plan SET fixed_tiyn = 1", "fee_plan"),
        ("UPDATE payment SET fee_plan = 2", "fee_plan"),
        ("UPDATE payment SET fee_minimum_tiyn = 100, fee_tiyn = 100", "fee_plan"),
        ("UPDATE payment SET fee_fixed_tiyn = 1", "tiyn is not"),
        ("UPDATE fee_plan SET in_force_at = NULL, consented_at = NULL", "not in force"),
    ],
)
async def test_a_fee_of_no_plan_is_found(town: Town, breach: str, word: str) -> None:
    payment = await town.pay(6000)
    async with town.database.transaction() as db:
        (sound,) = await row_checks.captures_match(db)
        assert sound.ok, sound.detail
    await town.as_owner(breach)
    async with town.database.transaction() as db:
        (found,) = await row_checks.captures_match(db)
    assert not found.ok
    assert payment in found.detail
    assert word in found.detail
