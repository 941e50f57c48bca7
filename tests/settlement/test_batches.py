"""Making a batch: what is refused, what goes in, and that nothing goes in twice."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from sandbox.settlement import jobs
from sandbox.settlement.objects import LINES_IN_AN_EVENT
from tests.settlement.conftest import OTHER_IBAN, Town


async def test_nothing_to_settle_is_refused(town: Town) -> None:
    answer = await town.world.post("/v1/settlements", {}, "shop")
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_settle")


async def test_another_merchants_payments_are_not_found(town: Town) -> None:
    other = await town.merchant("other", OTHER_IBAN)
    await town.pay(6000)
    answer = await town.world.post("/v1/settlements", {"merchant_id": other}, "shop")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await town.world.post("/v1/settlements", {"merchant_id": town.shop}, "other")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_operator_has_to_name_the_merchant(town: Town) -> None:
    answer = await town.world.post("/v1/settlements", {}, "operator")
    assert (answer.status_code, answer.json()["code"]) == (422, "merchant_id_missing")
    answer = await town.world.post("/v1/settlements", {"merchant_id": "mch_none"}, "operator")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_roles_that_may_not_settle_are_refused(town: Town) -> None:
    for role in ("issuer", "regulator", "fund_officer"):
        answer = await town.world.post("/v1/settlements", {"merchant_id": town.shop}, role)
        assert answer.status_code == 403


async def test_a_merchant_without_payment_codes_is_refused_by_name(town: Town) -> None:
    await town.pay(6000)
    for column, name in (("knp", "KNP"), ("kbe", "KBe")):
        async with town.database.transaction() as db:
            before = await db.scalar(
                text(f"SELECT {column} FROM merchant WHERE id = :id"), {"id": town.shop}
            )
        await town.as_owner(f"UPDATE merchant SET {column} = ''")
        answer = await town.world.post("/v1/settlements", {}, "shop")
        assert (answer.status_code, answer.json()["code"]) == (409, "payment_code_missing")
        assert answer.json()["missing"] == name
        await town.as_owner(f"UPDATE merchant SET {column} = '{before}'")
    await town.settle()


async def test_a_payment_with_a_refund_on_its_way_waits_for_the_next_batch(town: Town) -> None:
    first, second = await town.pay(6000), await town.pay(4000)
    await town.done("/v1/refunds", {"payment": first, "amount_tiyn": 1000}, "shop")
    made = await town.settle()
    assert [line["payment"] for line in made["lines"]] == [second]
    await town.world.carry_out()
    assert [line["payment"] for line in (await town.settle())["lines"]] == [first]


async def test_a_settled_payment_is_in_no_other_batch(town: Town) -> None:
    await town.pay(6000)
    await town.settle()
    answer = await town.world.post("/v1/settlements", {}, "shop")
    assert answer.json()["code"] == "nothing_to_settle"
    await town.world.carry_out()
    answer = await town.world.post("/v1/settlements", {}, "shop")
    assert answer.json()["code"] == "nothing_to_settle"


async def test_many_calls_at_once_make_one_batch(town: Town) -> None:
    await town.pay(6000)
    await town.pay(4000)
    answers = await asyncio.gather(
        *(town.world.post("/v1/settlements", {}, "shop") for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert len((await town.get("/v1/settlements"))["data"]) == 1
    await town.audit()


async def test_the_same_key_answers_with_the_same_batch(town: Town) -> None:
    await town.pay(6000)
    first = await town.world.post("/v1/settlements", {}, "shop", "same")
    again = await town.world.post("/v1/settlements", {}, "shop", "same")
    assert first.json() == again.json()


async def test_a_second_batch_may_begin_before_the_first_is_burned(town: Town) -> None:
    await town.pay(6000)
    first = await town.settle()
    await town.pay(4000)
    second = await town.settle()
    assert (first["payout"]["amount_tiyn"], second["payout"]["amount_tiyn"]) == (5940, 3960)
    await town.world.carry_out()
    await town.bank_and_books()
    for made in (first, second):
        assert (await town.settlement(made["id"]))["status"] == "settled"
    await town.audit()


async def test_a_fully_refunded_payment_is_settled_without_burn_and_payout(town: Town) -> None:
    payment = await town.pay(6000)
    await town.refund(payment, 6000)
    made = await town.settle()
    assert (made["status"], made["burns"], made["payout"]) == ("settled", [], None)
    assert made["check"]["gross_tiyn"] == made["check"]["refunds_tiyn"] == 6000
    assert made["fee_status"] == "none"
    await town.audit()


async def test_a_fee_of_everything_leaves_no_payout(town: Town) -> None:
    await town.as_owner("UPDATE fee_plan SET fee_bps = 10000")
    await town.pay(6000)
    made = await town.settle()
    assert made["payout"] is None
    await town.world.carry_out()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    assert (await town.settlement(made["id"]))["fee_status"] == "paid"
    assert (await town.figures())["bank, own"] == 6000
    await town.audit()


async def test_a_payment_too_small_for_a_fee_moves_no_fee(town: Town) -> None:
    await town.pay(1)
    made = await town.settle()
    await town.world.carry_out()
    await town.set_clock("2026-11-20T09:00")
    await town.bank_and_books()
    done = await town.settlement(made["id"])
    assert (done["fee_status"], done["payout"]["status"]) == ("none", "completed")
    await town.audit()


async def test_objects_are_listed_newest_first_and_only_to_their_owner(town: Town) -> None:
    await town.merchant("other", OTHER_IBAN)
    made = []
    for amount in (1000, 2000, 3000):
        await town.pay(amount)
        made.append((await town.settle())["id"])
    listed = await town.get("/v1/settlements?limit=2")
    assert [one["id"] for one in listed["data"]] == made[:0:-1]
    assert listed["has_more"] is True
    assert len((await town.get(f"/v1/payouts?merchant_id={town.shop}", "operator"))["data"]) == 3
    assert (await town.get("/v1/payouts", "other"))["data"] == []
    payout = (await town.get("/v1/payouts"))["data"][0]
    for path in (f"/v1/settlements/{made[0]}", f"/v1/payouts/{payout['id']}"):
        assert (await town.world.get(path, "other")).status_code == 404
        assert (await town.world.get(path, "regulator")).status_code == 200


async def test_a_long_batch_fits_into_a_leaf_and_keeps_a_hash_of_all_lines(town: Town) -> None:
    await town.pay_many(LINES_IN_AN_EVENT + 5, 10)
    made = await town.settle()
    assert len(made["lines"]) == LINES_IN_AN_EVENT + 5
    async with town.database.transaction() as db:
        leaf = await db.scalar(
            text(
                "SELECT convert_from(leaf, 'UTF8')::json -> 'data' FROM event"
                " WHERE type = 'settlement.created'"
            )
        )
    assert (len(leaf["lines"]), leaf["lines_left_out"]) == (100, 5)
    assert len(leaf["lines_sha256"]) == 64


class TestCutOff:
    async def test_a_new_sandbox_does_not_settle_for_a_cut_off_before_its_start(
        self, town: Town
    ) -> None:
        await town.pay(6000)
        assert await jobs.cut_off(town.database, town.world.chains) == 0

    async def test_every_merchant_gets_one_batch_per_cut_off(self, town: Town) -> None:
        await jobs.cut_off(town.database, town.world.chains)
        await town.pay(6000)
        await town.set_clock("2026-11-19T17:59")
        assert await jobs.cut_off(town.database, town.world.chains) == 0
        await town.set_clock("2026-11-19T18:00:05")
        assert await jobs.cut_off(town.database, town.world.chains) == 1
        (made,) = (await town.get("/v1/settlements"))["data"]
        assert (made["cut_off"], made["value_date"]) == ("2026-11-19", "2026-11-20")
        await town.pay(4000)
        assert await jobs.cut_off(town.database, town.world.chains) == 0
        await town.set_clock("2026-11-20T18:00")
        assert await jobs.cut_off(town.database, town.world.chains) == 1
        newest = (await town.get("/v1/settlements"))["data"][0]
        assert (newest["cut_off"], newest["value_date"]) == ("2026-11-20", "2026-11-23")

    async def test_workers_at_once_make_one_batch(self, town: Town) -> None:
        await jobs.cut_off(town.database, town.world.chains)
        await town.pay(6000)
        await town.set_clock("2026-11-19T18:00")
        made = await asyncio.gather(
            *(jobs.cut_off(town.database, town.world.chains) for _ in range(4))
        )
        assert sum(made) == 1

    async def test_a_clock_that_jumps_over_several_cut_offs_settles_once(self, town: Town) -> None:
        await jobs.cut_off(town.database, town.world.chains)
        await town.pay(6000)
        await town.set_clock("2026-11-24T20:00")
        assert await jobs.cut_off(town.database, town.world.chains) == 1
        assert await jobs.cut_off(town.database, town.world.chains) == 0

    async def test_one_merchant_that_cannot_be_settled_does_not_stop_the_others(
        self, town: Town
    ) -> None:
        await jobs.cut_off(town.database, town.world.chains)
        other = await town.merchant("other", OTHER_IBAN)
        await town.pay(6000)
        await town.pay(4000, "other")
        await town.as_owner(f"UPDATE merchant SET knp = '' WHERE id = '{town.shop}'")
        await town.set_clock("2026-11-19T18:00")
        assert await jobs.cut_off(town.database, town.world.chains) == 1
        (made,) = (await town.get("/v1/settlements", "other"))["data"]
        assert made["merchant"] == other
        assert await jobs.cut_off(town.database, town.world.chains) == 0

    async def test_an_error_with_one_merchant_is_raised_after_the_others_are_settled(
        self, town: Town
    ) -> None:
        await jobs.cut_off(town.database, town.world.chains)
        await town.merchant("other", OTHER_IBAN)
        broken = await town.pay(6000)
        await town.pay(4000, "other")
        await town.as_owner(f"UPDATE payment SET fee_tiyn = 7000 WHERE id = '{broken}'")
        await town.set_clock("2026-11-19T18:00")
        for _ in range(2):
            with pytest.raises(IntegrityError, match="ck_settlement_line_amounts"):
                await jobs.cut_off(town.database, town.world.chains)
        assert len((await town.get("/v1/settlements", "other"))["data"]) == 1
        await town.as_owner(f"UPDATE payment SET fee_tiyn = 60 WHERE id = '{broken}'")
        assert await jobs.cut_off(town.database, town.world.chains) == 1
        assert len((await town.get("/v1/settlements"))["data"]) == 1
