"""`/v1/refunds`: what is refused, what is reserved, how it ends."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from sandbox.ledger import accounts
from tests.payments.world import Json, World

PATH = "/v1/refunds"


async def captured(world: World, tiyn: int = 6_000) -> Json:
    """A captured payment of an exactly paid session."""
    session = await world.session(tiyn)
    await world.pay(session, tiyn)
    await world.finalize()
    payment: Json = (await world.read(session))["payment"]
    return payment


async def payment_now(world: World, payment: Json) -> Json:
    answer: Json = (await world.get(f"/v1/payments/{payment['id']}")).json()
    return answer


def ask(payment: Json, tiyn: Any, **more: Any) -> Json:
    return {"payment": payment["id"], "amount_tiyn": tiyn} | more


@pytest.mark.parametrize("amount", [0, -1, 1.5, "12", True, None, 10**11 + 1])
async def test_an_amount_that_is_no_whole_tiyn_is_refused(world: World, amount: Any) -> None:
    answer = await world.post(PATH, {"payment": "pay_x", "amount_tiyn": amount})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_refund_without_a_key_or_by_a_wrong_role_is_refused(world: World) -> None:
    body = {"payment": "pay_x", "amount_tiyn": 1}
    plain = await world.http.post(PATH, json=body, headers=world.headers("shop"))
    assert (plain.status_code, plain.json()["code"]) == (400, "idempotency_key_missing")
    assert (await world.post(PATH, body, "operator")).status_code == 403


async def test_the_payment_of_another_merchant_is_not_found(world: World) -> None:
    payment = await captured(world)
    answer = await world.post(PATH, ask(payment, 1), "other")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_payment_that_is_not_captured_is_refused(world: World) -> None:
    session = await world.session()
    await world.pay(session, 10_000)
    answer = await world.post(PATH, ask((await world.read(session))["payment"], 1))
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_final")
    assert answer.json()["retryable"] is True


async def test_a_duplicate_is_not_the_merchants_to_refund(world: World) -> None:
    session = await world.session()
    for _ in range(2):
        await world.pay(session, 10_000)
    await world.finalize()
    duplicate = (await world.read(session))["payments"][1]
    answer = await world.post(PATH, ask(duplicate, 1))
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_final")


async def test_refunds_never_exceed_the_payment_pending_ones_counted(world: World) -> None:
    payment = await captured(world)
    assert (await world.post(PATH, ask(payment, 6_001))).json()["left_tiyn"] == 6_000
    assert (await world.post(PATH, ask(payment, 4_000))).status_code == 201
    answer = await world.post(PATH, ask(payment, 2_001))
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_exceeds_payment")
    assert answer.json()["left_tiyn"] == 2_000


@pytest.mark.parametrize("state", ["in_batch", "settled"])
async def test_settled_money_is_not_there_to_refund(world: World, state: str) -> None:
    payment = await captured(world)
    async with world.database.transaction() as db:
        await db.execute(text("UPDATE payment SET settlement_state = :state"), {"state": state})
    answer = await world.post(PATH, ask(payment, 1))
    assert (answer.status_code, answer.json()["code"]) == (409, "insufficient_merchant_balance")


async def test_a_refund_reserves_is_sent_and_gives_its_part_of_the_fee_back(world: World) -> None:
    payment = await captured(world)
    assert payment["fee_tiyn"] == 60
    answer = await world.post(PATH, ask(payment, 2_000, reason="wrong size"))
    refund = answer.json()
    assert (answer.status_code, refund["status"], refund["tx"]) == (201, "pending", None)
    assert (refund["payment"], refund["amount_tiyn"]) == (payment["id"], 2_000)
    claims = await world.balance(accounts.merchant("memory", "mch_shop"))
    assert (claims.posted, claims.pending_debit) == (world.units(6_000), world.units(2_000))
    customer = (await world.chain.balance(world.customer, final=False)).units

    await world.carry_out()

    done = (await world.get(f"{PATH}/{refund['id']}")).json()
    assert (done["status"], bool(done["tx"])) == ("completed", True)
    assert (await world.chain.balance(world.customer)).units == customer + world.units(2_000)
    after = await payment_now(world, payment)
    assert (after["fee_tiyn"], after["refunded_units"]) == (40, world.units(2_000))
    assert await world.posted(accounts.merchant("memory", "mch_shop")) == world.units(4_000)
    assert await world.posted(accounts.treasury("memory")) == world.units(4_000)
    assert (await world.told())[-2:] == ["refund.requested", "refund.completed"]
    [(_, requested), (_, completed)] = await world.events("refund.requested", "refund.completed")
    assert "reason" not in requested
    assert completed["tx"] == done["tx"]


async def test_everything_can_be_refunded_and_no_fee_is_left(world: World) -> None:
    payment = await captured(world)
    await world.post(PATH, ask(payment, 6_000))
    await world.carry_out()
    assert (await payment_now(world, payment))["fee_tiyn"] == 0
    assert await world.posted(accounts.treasury("memory")) == 0


async def test_a_refund_that_cannot_happen_gives_the_reservation_back(world: World) -> None:
    payment = await captured(world)
    refund = (await world.post(PATH, ask(payment, 2_000))).json()
    world.chain.losing = True
    await world.runner.step()
    world.chain.losing = False
    world.chain.mine(40)
    await world.follow()
    world.chain.losing = True
    for _ in range(12):
        await world.runner.step()
        world.chain.mine(40)
        await world.follow()
    done = (await world.get(f"{PATH}/{refund['id']}")).json()
    assert (done["status"], done["tx"]) == ("failed", None)
    claims = await world.balance(accounts.merchant("memory", "mch_shop"))
    assert (claims.posted, claims.pending_debit) == (world.units(6_000), 0)
    after = await payment_now(world, payment)
    assert (after["fee_tiyn"], after["refunded_units"]) == (60, 0)
    assert (await world.told())[-1] == "refund.failed"
    assert (await world.post(PATH, ask(payment, 6_000))).status_code == 201


async def test_a_repeated_request_refunds_once(world: World) -> None:
    payment = await captured(world)
    headers = world.headers("shop") | {"Idempotency-Key": "once"}
    answers = [
        await world.http.post(PATH, json=ask(payment, 1_000), headers=headers) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len((await world.get(PATH)).json()["data"]) == 1


async def test_refunds_asked_for_at_once_never_exceed_the_payment(world: World) -> None:
    payment = await captured(world)
    answers = await asyncio.gather(*(world.post(PATH, ask(payment, 2_000)) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    await world.carry_out()
    assert await world.posted(accounts.merchant("memory", "mch_shop")) == 0
