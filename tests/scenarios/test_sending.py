"""What the sandbox sends itself on every real chain: refunds, and the faucet's units and coin."""

import pytest

from sandbox.ledger import accounts
from tests.scenarios.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("ground", ["evm"], indirect=True)
async def test_a_refund_that_the_treasury_cannot_pay_is_refused_and_nothing_is_sent(
    world: World,
) -> None:
    """Payments lie at deposit addresses: the treasury may hold less than merchants own."""
    tiyn = 50_000_000
    payment = await world.captured(tiyn)
    body = {"payment": payment["id"], "amount_tiyn": tiyn}
    assert await world.ground.units(world.ground.treasury) < world.units(tiyn)
    answer = await world.post("/v1/refunds", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "treasury_short")
    assert await world.under_way() == []


async def test_refunds_reach_the_payer_are_final_and_never_exceed_the_payment(
    world: World,
) -> None:
    payer = await world.payer(6_000)
    payment = await world.captured(6_000, payer)
    first = await world.refund(payment, 2_000)
    assert (first["status"], first["tx"], first["recipient"]) == ("pending", None, payer)
    body = {"payment": payment["id"], "amount_tiyn": 4_001}
    refused = await world.post("/v1/refunds", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_exceeds_payment")
    second = await world.refund(payment, 4_000)
    await world.carry_out()
    for refund in (first, second):
        done = await world.get(f"/v1/refunds/{refund['id']}")
        assert (done["status"], done["failure"]) == ("completed", None)
        assert await world.failure_of(done["tx"]) is None
    assert await world.ground.units(payer) == world.units(6_000)
    after = await world.get(f"/v1/payments/{payment['id']}")
    assert (after["refunded_units"], after["fee_tiyn"]) == (world.units(6_000), 0)


async def test_a_refund_is_not_done_before_it_is_final(world: World) -> None:
    payer = await world.payer(6_000)
    payment = await world.captured(6_000, payer)
    refund = await world.refund(payment, 6_000)
    await world.send_due()
    await world.mine()
    assert await world.ground.units(payer) == world.units(6_000)
    assert (await world.get(f"/v1/refunds/{refund['id']}"))["status"] == "pending"
    await world.finalize()
    assert (await world.get(f"/v1/refunds/{refund['id']}"))["status"] == "completed"


async def test_the_faucet_gives_units_and_coin_and_its_customer_pays_with_them(
    world: World,
) -> None:
    while await world.run("float"):
        await world.carry_out()
    payer = await world.ground.payer()
    coin = await world.ground.coin(payer)
    floated = await world.posted(accounts.float_(world.name))
    grant = await world.grant(payer, 30_000)
    await world.carry_out()
    done = await world.get(f"/v1/sandbox/faucet/{grant['id']}", "operator")
    assert done["status"] == "sent"
    assert await world.failure_of(done["tx"]) is None
    assert await world.ground.units(payer) == world.units(30_000)
    assert await world.ground.coin(payer) > coin
    assert await world.posted(accounts.float_(world.name)) == floated - world.units(30_000)
    assert await world.strays(done["tx"]) == []
    session = await world.session(30_000)
    await world.pay(session, 30_000, payer)
    assert (await world.read(session))["status"] == "complete"


async def test_what_nobody_can_hold_is_refused_by_the_faucet(world: World) -> None:
    for address in (world.ground.treasury, "nowhere"):
        body = {"chain": world.name, "address": address, "amount_tiyn": 5}
        answer = await world.post("/v1/sandbox/faucet", body, "operator")
        assert (answer.status_code, answer.json()["code"]) in (
            (422, "faucet_to_own_address"),
            (422, "invalid_address"),
        )
