"""Frozen people, frozen places and a token that stands still: refused on chain, by name.

An open session stays open, and is paid once what stopped the payment is over.
"""

import pytest

from sandbox.chains.errors import PaymentRefused
from tests.scenarios.orders import ordered
from tests.scenarios.world import Json, World, completed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def is_untouched(world: World, session: Json, payer: str, tiyn: int) -> None:
    read = await world.read(session)
    assert (completed(read), read["payments"]) == (("open", "none", []), [])
    assert await world.ground.units(payer) == world.units(tiyn)


async def test_a_frozen_payer_is_refused_by_name_and_pays_when_thawed(world: World) -> None:
    session = await world.session()
    payer = await world.payer(10_000)
    async with ordered(world, "freeze", payer):
        with pytest.raises(PaymentRefused, match="frozen"):
            await world.send(session, 10_000, payer)
        tx = await world.ground.force(payer, world.place(session), world.units(10_000))
        await world.mine()
        assert await world.failure_of(tx) == "frozen"
        await is_untouched(world, session, payer, 10_000)
    await world.pay(session, 10_000, payer)
    assert (await world.read(session))["status"] == "complete"


async def test_the_frozen_place_of_a_session_takes_nothing_until_it_is_thawed(
    world: World,
) -> None:
    """The treasury itself, or the session's deposit address."""
    session = await world.session()
    payer = await world.payer(10_000)
    async with ordered(world, "freeze", world.place(session)):
        with pytest.raises(PaymentRefused, match="frozen"):
            await world.send(session, 10_000, payer)
        tx = await world.ground.force(payer, world.place(session), world.units(10_000))
        await world.mine()
        assert await world.failure_of(tx) == "frozen"
        await is_untouched(world, session, payer, 10_000)
    await world.pay(session, 10_000, payer)
    assert (await world.read(session))["status"] == "complete"


async def test_a_frozen_treasury_sends_no_refund_says_so_and_keeps_the_money_owed(
    world: World,
) -> None:
    payer = await world.payer(10_000)
    payment = await world.captured(10_000, payer)
    async with ordered(world, "freeze", world.ground.treasury):
        refund = await world.refund(payment, 4_000)
        await world.carry_out()
        failed = await world.get(f"/v1/refunds/{refund['id']}")
        assert (failed["status"], failed["failure"]) == ("failed", "frozen")
        assert await world.ground.units(payer) == 0
    again = await world.refund(payment, 10_000)
    await world.carry_out()
    assert (await world.get(f"/v1/refunds/{again['id']}"))["status"] == "completed"
    assert await world.ground.units(payer) == world.units(10_000)


@pytest.mark.parametrize("ground", ["evm"], indirect=True)
async def test_deposit_addresses_take_payments_while_the_treasury_is_frozen(
    world: World,
) -> None:
    session = await world.session()
    async with ordered(world, "freeze", world.ground.treasury):
        await world.pay(session, 10_000)
        await world.finalize()
        assert (await world.read(session))["payment"]["settlement_state"] == "unsettled"


async def test_a_paused_token_refuses_payments_and_refunds_by_name_until_it_goes_on(
    world: World,
) -> None:
    session = await world.session()
    payer = await world.payer(20_000)
    payment = await world.captured(10_000, payer)
    async with ordered(world, "pause"):
        with pytest.raises(PaymentRefused, match="paused"):
            await world.send(session, 10_000, payer)
        tx = await world.ground.force(payer, world.place(session), world.units(10_000))
        refund = await world.refund(payment, 5_000)
        await world.send_due()
        await world.mine()
        assert await world.failure_of(tx) == "paused"
        await is_untouched(world, session, payer, 10_000)
        await world.carry_out()
        failed = await world.get(f"/v1/refunds/{refund['id']}")
        assert (failed["status"], failed["failure"]) == ("failed", "paused")
    await world.pay(session, 10_000, payer)
    assert (await world.read(session))["status"] == "complete"


async def test_a_session_that_ends_while_the_token_is_paused_takes_no_late_money_for_its_own(
    world: World,
) -> None:
    session = await world.session(expires_in_s=60)
    async with ordered(world, "pause"):
        await world.expire()
    assert (await world.read(session))["status"] == "expired"
    tx = await world.pay(session, 10_000)
    assert completed(await world.read(session)) == ("expired", "late", ["late"])
    [stray] = await world.strays(tx)
    assert (stray["session"], stray["proposal"]) == (session["id"], "accept")
