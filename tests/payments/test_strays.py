"""The stray desk: who may resolve what, and where the money goes."""

from typing import Any

import pytest
from sqlalchemy import text

from sandbox.ledger import accounts
from tests.payments.world import Json, World


async def resolve(world: World, stray: Json, action: Any, role: str = "shop") -> Any:
    return await world.post(f"/v1/stray_transfers/{stray['id']}/resolve", {"action": action}, role)


async def overpaid(world: World, *, final: bool = True) -> tuple[Json, Json]:
    session = await world.session()
    await world.pay(session, 12_500)
    if final:
        await world.finalize()
    [stray] = await world.strays()
    return session, stray


async def late(world: World) -> tuple[Json, Json]:
    session = await world.session(expires_in_s=30)
    await world.wait(60)
    await world.pay(session, 10_000)
    await world.finalize()
    [stray] = await world.strays()
    return session, stray


async def merchants(world: World) -> int:
    return await world.posted(accounts.merchant("memory", "mch_shop"))


@pytest.mark.parametrize("action", ["burn", "", None, 1])
async def test_an_unknown_action_is_refused(world: World, action: Any) -> None:
    _, stray = await overpaid(world)
    assert (await resolve(world, stray, action)).status_code == 422


async def test_who_has_no_part_in_it_cannot_resolve_it(world: World) -> None:
    _, stray = await overpaid(world)
    assert (await resolve(world, stray, "refund", "other")).status_code == 404
    assert (await resolve(world, stray, "refund", "regulator")).status_code == 403
    assert (await world.get(f"/v1/stray_transfers/{stray['id']}", "other")).status_code == 404


async def test_money_that_is_not_final_waits(world: World) -> None:
    _, stray = await overpaid(world, final=False)
    answer = await resolve(world, stray, "accept")
    assert (answer.status_code, answer.json()["code"]) == (409, "stray_not_final")


async def test_money_of_nobody_is_not_the_merchants_to_take(world: World) -> None:
    await world.pay(None, 700)
    await world.finalize()
    [stray] = await world.strays()
    assert (await resolve(world, stray, "refund", "shop")).status_code == 404
    answer = await resolve(world, stray, "accept", "operator")
    assert (answer.status_code, answer.json()["code"]) == (409, "stray_not_acceptable")


async def test_another_token_is_not_sent_back(world: World) -> None:
    world.chain.send_foreign("USDT", world.customer, world.chain.treasury, 5)
    world.chain.mine()
    await world.finalize()
    [stray] = await world.strays()
    answer = await resolve(world, stray, "refund", "operator")
    assert (answer.status_code, answer.json()["code"]) == (409, "stray_not_refundable")


async def test_excess_of_a_settled_payment_can_only_go_back(world: World) -> None:
    _, stray = await overpaid(world)
    async with world.database.transaction() as db:
        await db.execute(text("UPDATE payment SET settlement_state = 'in_batch'"))
    answer = await resolve(world, stray, "accept")
    assert (answer.status_code, answer.json()["code"]) == (409, "stray_not_acceptable")
    assert (await resolve(world, stray, "refund")).status_code == 200


async def test_accepted_excess_becomes_the_merchants_with_its_fee(world: World) -> None:
    session, stray = await overpaid(world)
    answer = await resolve(world, stray, "accept")
    assert (answer.status_code, answer.json()["status"]) == (200, "resolved")
    assert await merchants(world) == world.units(12_500)
    payment = (await world.read(session))["payment"]
    assert (payment["counted_units"], payment["fee_tiyn"]) == (world.units(12_500), 125)
    assert (await world.told())[-2:] == ["payment.resolved", "stray.resolved"]
    again = await resolve(world, stray, "refund")
    assert (again.status_code, again.json()["code"]) == (409, "stray_already_resolved")


async def test_accepted_late_money_can_be_settled_and_refunded(world: World) -> None:
    session, stray = await late(world)
    assert (await resolve(world, stray, "accept")).status_code == 200
    assert await merchants(world) == world.units(10_000)
    [payment] = (await world.read(session))["payments"]
    assert (payment["settlement_state"], payment["fee_tiyn"]) == ("unsettled", 100)
    asked = await world.post("/v1/refunds", {"payment": payment["id"], "amount_tiyn": 10_000})
    assert asked.status_code == 201
    await world.carry_out()
    assert await merchants(world) == 0


async def test_refunded_excess_goes_back_and_the_rest_stays(world: World) -> None:
    _, stray = await overpaid(world)
    customer = (await world.chain.balance(world.customer)).units
    pending = (await resolve(world, stray, "refund")).json()
    assert (pending["status"], pending["refund"][:3]) == ("open", "re_")
    assert (await resolve(world, stray, "accept")).json()["code"] == "stray_already_resolved"
    await world.carry_out()
    [stray] = await world.strays()
    assert (stray["status"], stray["resolution"]) == ("resolved", "refunded")
    assert (await world.chain.balance(world.customer)).units == customer + world.units(2_500)
    assert await merchants(world) == world.units(10_000)
    assert await world.posted(accounts.treasury("memory")) == world.units(10_000)
    assert (await world.told())[-3:] == ["refund.completed", "payment.resolved", "stray.resolved"]


async def test_refunded_late_money_never_counts_again(world: World) -> None:
    session, stray = await late(world)
    await resolve(world, stray, "refund")
    await world.carry_out()
    await world.pay(session, 1)
    read = await world.read(session)
    assert (read["status"], read["payments"][0]["counted_units"]) == ("expired", 0)
    assert await world.posted(accounts.suspense("memory", session["id"])) == 0


async def test_money_of_nobody_is_sent_back_by_the_operator(world: World) -> None:
    await world.pay(None, 700)
    await world.finalize()
    [stray] = await world.strays()
    assert (await resolve(world, stray, "refund", "operator")).status_code == 200
    await world.carry_out()
    [stray] = await world.strays()
    assert (stray["status"], stray["resolution"]) == ("resolved", "refunded")
    assert await world.posted(accounts.treasury("memory")) == 0
    assert await world.posted(accounts.suspense("memory", stray["id"])) == 0


async def test_a_refund_that_failed_leaves_the_stray_on_the_desk(world: World) -> None:
    _, stray = await late(world)
    await resolve(world, stray, "refund")
    world.chain.losing = True
    for _ in range(12):
        await world.runner.step()
        world.chain.mine(40)
        await world.follow()
    world.chain.losing = False
    [stray] = await world.strays()
    assert (stray["status"], stray["refund"]) == ("open", None)
    assert (await resolve(world, stray, "refund")).status_code == 200
    await world.carry_out()
    assert (await world.strays())[0]["resolution"] == "refunded"
