"""What a merchant's status stops: sessions and payouts, never refunds; money stays accounted."""

import pytest

from sandbox.bank import registry
from sandbox.parties import service as parties
from sandbox.settlement import row_checks
from tests.settlement.conftest import OTHER_IBAN, Town


@pytest.fixture
def town(swept_town: Town) -> Town:
    return swept_town


async def become(town: Town, status: str) -> None:
    async with town.database.transaction() as db:
        await parties.set_status(db, town.shop, status, None)


@pytest.mark.parametrize("status", ["suspended", "closed"])
async def test_who_is_suspended_or_closed_gets_no_new_session(town: Town, status: str) -> None:
    await become(town, status)
    answer = await town.world.post("/v1/checkout/sessions", {"amount_tiyn": 100}, "shop")
    assert (answer.status_code, answer.json()["code"]) == (409, f"merchant_{status}")


async def test_a_suspended_merchants_money_is_carried_and_paid_when_it_is_active_again(
    town: Town,
) -> None:
    payment = await town.pay(6000)
    await become(town, "suspended")
    await town.refund(payment, 2000)
    held = await town.settle()
    assert (held["hold"], held["payout"], held["check"]["carried_tiyn"]) == (
        "suspended",
        None,
        3960,
    )
    await town.world.carry_out()
    await town.bank_and_books()
    await town.audit()
    nothing = await town.world.post("/v1/settlements", {}, "shop")
    assert nothing.json()["code"] == "nothing_to_settle"
    await become(town, "active")
    paid = await town.settle()
    assert (paid["hold"], paid["check"]["opening_tiyn"], paid["check"]["paid_tiyn"]) == (
        None,
        3960,
        3960,
    )
    await town.bank_and_books()
    await town.audit()


async def test_a_closed_merchant_gets_a_last_settlement(town: Town) -> None:
    await town.pay(6000)
    await become(town, "closed")
    made = await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    assert (await town.settlement(made["id"]))["payout"]["status"] == "sent"
    await town.audit()


async def test_who_is_not_verified_sells_and_is_not_paid_out(town: Town) -> None:
    await town.as_owner("UPDATE merchant SET status = 'unverified'")
    await town.pay(6000)
    made = await town.settle()
    assert (made["hold"], made["payout"]) == ("unverified", None)
    await town.world.carry_out()
    await become(town, "active")
    assert (await town.settle())["check"]["paid_tiyn"] == 5940
    await town.audit()


async def test_a_new_account_ends_the_hold_of_a_payout_that_was_rejected(town: Town) -> None:
    await town.pay(6000)
    first = await town.settle()
    async with town.database.transaction() as db:
        await registry.refuse_payments_to(db, first["payout"]["iban"])
    await town.world.carry_out()
    await town.bank_and_books()
    assert (await town.settlement(first["id"]))["payout"]["status"] == "rejected"
    await town.pay(1000)
    assert (await town.settle(retry_payout=False))["hold"] == "payout_failed"
    await town.world.carry_out()
    async with town.database.transaction() as db:
        await parties.update_merchant(db, town.shop, {"iban": OTHER_IBAN})
    paid = await town.settle(retry_payout=False)
    assert (paid["hold"], paid["payout"]["iban"], paid["check"]["paid_tiyn"]) == (
        None,
        OTHER_IBAN,
        6930,
    )
    await town.bank_and_books()
    await town.audit()


async def test_an_altered_hold_is_found(town: Town) -> None:
    await town.pay(6000)
    made = await town.settle()
    await town.as_owner("UPDATE settlement SET hold = 'suspended'")
    async with town.database.transaction() as db:
        (check,) = await row_checks.settlements_as_told(db)
    assert not check.ok
    assert made["id"] in check.detail
