"""What becomes of a payout: refused, returned, held, asked for again."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sandbox.bank import registry, simulator
from sandbox.bank import service as bank
from sandbox.settlement import jobs, payouts, service
from tests.settlement.conftest import OTHER_IBAN, SHOP_IBAN, Town


async def paid_out(town: Town) -> str:
    """A batch of 6000 whose payout is booked; returns the payout's id."""
    await town.pay(6000)
    made = await town.settle()
    await town.world.carry_out()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    return str(made["payout"]["id"])


async def close_account(town: Town, iban: str) -> None:
    async with town.database.transaction() as db:
        await registry.refuse_payments_to(db, iban)


async def open_account(town: Town, iban: str) -> None:
    async with town.database.transaction() as db:
        await registry.accept_payments_to(db, iban)


async def give_back(town: Town, payout: str) -> None:
    async with town.database.transaction() as db:
        await simulator.return_payment(db, payout)
    await town.bank_and_books()


async def test_a_payout_rejected_at_once_never_left_the_merchants_account(town: Town) -> None:
    await close_account(town, SHOP_IBAN)
    await town.pay(6000)
    made = await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    payout = await town.get(f"/v1/payouts/{made['payout']['id']}")
    assert (payout["status"], payout["reason"]) == ("rejected", "AC04")
    figures = await town.figures()
    assert (figures["2040"], figures["1090"]) == (5940, 0)
    assert "payout.sent" not in await town.world.event_types()
    await town.audit()


async def test_a_name_that_no_message_can_carry_is_paid_and_agrees_with_its_order(
    town: Town,
) -> None:
    await town.as_owner("UPDATE merchant SET name = E'Shop\\r\\x01'")
    await paid_out(town)
    await town.audit()


async def test_at_the_weekend_tokens_settle_and_tenge_wait_for_monday(swept_town: Town) -> None:
    town = swept_town
    await town.set_clock("2026-11-21T12:00")
    await town.pay(6000)
    made = await town.settle()
    await town.world.carry_out()
    settled = await town.settlement(made["id"])
    assert (settled["status"], settled["burns"][0]["status"]) == ("settled", "burned")
    assert settled["payout"]["value_date"] == "2026-11-23"
    for moment in ("2026-11-21T12:00", "2026-11-22T23:59", "2026-11-23T08:59"):
        await town.set_clock(moment)
        await town.bank_and_books()
        assert (await town.get(f"/v1/payouts/{made['payout']['id']}"))["status"] == "sent"
        figures = await town.figures()
        assert (figures["1090"], figures["bank"]) == (-5940, 100_000)
        await town.audit()
    await town.set_clock("2026-11-23T09:00")
    await town.bank_and_books()
    assert (await town.get(f"/v1/payouts/{made['payout']['id']}"))["status"] == "completed"


async def test_a_payout_rejected_after_it_was_sent_is_owed_again(town: Town) -> None:
    await town.pay(6000)
    made = await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    assert (await town.figures())["1090"] == -5940
    await close_account(town, SHOP_IBAN)
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    assert (await town.get(f"/v1/payouts/{made['payout']['id']}"))["status"] == "rejected"
    figures = await town.figures()
    assert (figures["2040"], figures["1090"], figures["1010"]) == (5940, 0, 99_940)
    await town.audit()


async def test_a_returned_payout_is_owed_again_and_paid_when_asked_for(town: Town) -> None:
    payout = await paid_out(town)
    await give_back(town, payout)
    figures = await town.figures()
    assert (figures["2040"], figures["1010"], figures["bank"]) == (5940, 99_940, 99_940)
    await town.audit()
    again = await town.settle()
    assert again["check"] == {
        "opening_tiyn": 5940,
        "gross_tiyn": 0,
        "fees_tiyn": 0,
        "refunds_tiyn": 0,
        "paid_tiyn": 5940,
        "to_wallet_tiyn": 0,
        "reserved_tiyn": 0,
        "carried_tiyn": 0,
        "unexplained_tiyn": 0,
    }
    assert (again["status"], again["lines"], again["burns"]) == ("settled", [], [])
    await town.set_clock("2026-11-23T09:00")
    await town.bank_and_books()
    assert (await town.settlement(again["id"]))["payout"]["status"] == "completed"
    first = await town.get(f"/v1/payouts/{payout}")
    assert (first["status"], first["carried_into"]) == ("returned", again["id"])
    assert (await town.figures())["2040"] == 0
    await town.audit()


async def test_without_a_retry_what_came_back_is_carried_and_not_paid(town: Town) -> None:
    await give_back(town, await paid_out(town))
    answer = await town.world.post("/v1/settlements", {"retry_payout": False}, "shop")
    assert answer.json()["code"] == "nothing_to_settle"
    await town.pay(1000)
    held = await town.settle(retry_payout=False)
    assert held["payout"] is None
    assert (held["check"]["opening_tiyn"], held["check"]["carried_tiyn"]) == (5940, 6930)
    await town.world.carry_out()
    await town.bank_and_books()
    await town.audit()
    again = await town.settle()
    assert (again["check"]["opening_tiyn"], again["check"]["paid_tiyn"]) == (6930, 6930)
    await town.bank_and_books()
    await town.audit()


async def test_the_cut_off_holds_payouts_until_the_iban_is_changed(town: Town) -> None:
    await jobs.cut_off(town.database, town.world.chains)
    await town.pay(6000)
    await close_account(town, SHOP_IBAN)
    await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    await town.set_clock("2026-11-19T18:00")
    assert await jobs.cut_off(town.database, town.world.chains) == 0
    await town.as_owner(f"UPDATE merchant SET iban = '{OTHER_IBAN}'")
    await town.set_clock("2026-11-20T18:00")
    assert await jobs.cut_off(town.database, town.world.chains) == 1
    newest = (await town.get("/v1/settlements"))["data"][0]
    assert newest["payout"]["iban"] == OTHER_IBAN
    assert newest["check"]["opening_tiyn"] == newest["payout"]["amount_tiyn"] == 5940
    await town.audit()


async def test_money_of_a_batch_that_is_not_burned_is_not_opened_with(town: Town) -> None:
    await give_back(town, await paid_out(town))
    await town.pay(1000)
    held = await town.settle(retry_payout=False)
    await town.pay(2000)
    second = await town.settle()
    assert second["check"]["opening_tiyn"] == 0
    await town.world.carry_out()
    await town.bank_and_books()
    third = await town.settle()
    assert third["check"]["opening_tiyn"] == held["check"]["carried_tiyn"] == 6930
    await town.bank_and_books()
    assert (await town.figures())["2040"] == 0
    await town.audit()


async def test_a_rejected_fee_is_ordered_again_and_then_waits_for_the_next_settlement(
    town: Town,
) -> None:
    await close_account(town, "KZ369480000000000002")
    await town.pay(6000)
    made = await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    stuck = await town.settlement(made["id"])
    assert (stuck["fee_status"], stuck["payout"]["status"]) == ("stuck", "sent")
    assert await town.world.count("bank_sim.payment_order") == 1 + payouts.MAX_FEE_ORDERS
    await town.audit()
    assert (await town.settle())["id"] == made["id"]
    await town.bank_and_books()
    assert (await town.settlement(made["id"]))["fee_status"] == "stuck"
    assert await town.world.count("bank_sim.payment_order") == 1 + 2 * payouts.MAX_FEE_ORDERS
    await open_account(town, "KZ369480000000000002")
    await town.set_clock("2026-11-20T09:00")
    await town.settle()
    await town.bank_and_books()
    assert (await town.settlement(made["id"]))["fee_status"] == "paid"
    assert (await town.figures())["bank, own"] == 60
    await town.audit()


async def test_a_fee_rejected_once_is_paid_by_the_next_order(town: Town) -> None:
    await close_account(town, "KZ369480000000000002")
    await town.pay(6000)
    made = await town.settle()
    await town.world.carry_out()
    await simulator.step(town.database)
    await open_account(town, "KZ369480000000000002")
    await town.bank_and_books()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    assert (await town.settlement(made["id"]))["fee_status"] == "paid"
    assert (await town.figures())["bank, own"] == 60
    await town.audit()


async def test_a_crash_between_acting_and_reading_counts_nothing_twice(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await town.pay(6000)
    await town.settle()
    await town.world.carry_out()
    await simulator.step(town.database)
    before = await town.figures()

    async def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(bank, "mark_read", dies)
        with pytest.raises(RuntimeError, match="killed"):
            await jobs.step(town.database)
    assert await town.figures() == before
    await town.bank_and_books()
    assert (await town.world.event_types()).count("payout.sent") == 1
    await town.audit()


async def test_a_message_that_cannot_be_acted_upon_does_not_keep_others_waiting(
    town: Town,
) -> None:
    made = []
    for amount in (1000, 2000):
        await town.pay(amount)
        made.append((await town.settle())["payout"]["id"])
    await town.world.carry_out()
    await simulator.step(town.database)
    await town.as_owner(f"UPDATE payout SET status = 'completed' WHERE id = '{made[0]}'")
    with pytest.raises(AssertionError, match="is completed, the bank says"):
        await jobs.step(town.database)
    assert (await town.get(f"/v1/payouts/{made[1]}"))["status"] == "sent"
    async with town.database.transaction() as db:
        assert await bank.busy(db) == ["bank messages not read: 1"]


async def test_the_application_cannot_change_what_a_batch_was_made_of(town: Town) -> None:
    await town.pay(6000)
    await town.settle()
    for statement in (
        "UPDATE settlement_line SET fee_tiyn = 0",
        "DELETE FROM settlement_line",
        "UPDATE settlement SET opening_tiyn = 1",
        "UPDATE settlement SET paid_tiyn = paid_tiyn + 1",
        "UPDATE settlement_burn SET units = 1",
        "DELETE FROM settlement_burn",
        "UPDATE payout SET amount_tiyn = amount_tiyn + 1",
        "DELETE FROM payout",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with town.database.transaction() as db:
                await db.execute(text(statement))
    await town.world.carry_out()
    for statement in (
        "UPDATE settlement SET paid_tiyn = paid_tiyn - 1",
        "UPDATE payout SET amount_tiyn = amount_tiyn - 1",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with town.database.transaction() as db:
                await db.execute(text(statement))


async def test_workers_at_once_act_on_each_message_once(town: Town) -> None:
    for amount in (1000, 2000, 3000):
        await town.pay(amount)
        await town.settle()
    await town.world.carry_out()
    await town.set_clock("2026-11-20T09:00")
    for _ in range(6):
        await asyncio.gather(
            *(jobs.step(town.database) for _ in range(3)), simulator.step(town.database)
        )
    types = await town.world.event_types()
    assert types.count("payout.sent") == types.count("payout.completed") == 3
    assert types.count("settlement.fee_paid") == 3
    assert (await town.figures())["1090"] == 0
    await town.audit()


async def test_settlement_is_busy_until_burn_order_and_answer_are_done(town: Town) -> None:
    async def busy() -> list[str]:
        async with town.database.transaction() as db:
            return await service.busy(db) + await bank.busy(db)

    await jobs.cut_off(town.database, town.world.chains)
    assert await busy() == []
    await town.pay(6000)
    await town.settle()
    assert await busy() == ["burns not final: 1"]
    await town.world.carry_out()
    assert await busy() == [
        "payouts the bank has not answered: 1",
        "payment orders the bank has not read: 2",
    ]
    await town.bank_and_books()
    assert await busy() == []
    await town.set_clock("2026-11-20T09:00")
    assert await busy() == [
        "cut-off of 2026-11-19 at 18:00 not run",
        "payment orders due at the bank: 2",
    ]
    await jobs.cut_off(town.database, town.world.chains)
    await town.bank_and_books()
    assert await busy() == []
