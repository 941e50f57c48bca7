"""Sessions that are paid at an address of their own, as on EVM chains: where the units lie."""

import pytest

from sandbox.chains.memory import Move, new_address
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.chains.port import Command
from sandbox.chains.service import Intent, request
from sandbox.ledger import accounts
from tests.payments.world import World


@pytest.fixture
def chain() -> DepositMemoryChain:
    return DepositMemoryChain()


async def test_money_for_an_address_of_nobody_is_no_payment_and_no_stray(world: World) -> None:
    await world.session()
    world.chain.pay(world.customer, new_address(), 5)
    world.chain.send_foreign("native", world.customer, new_address(), 5)
    await world.finalize()
    assert await world.told() == ["checkout.session.created"]
    await world.agrees()


async def test_a_wrong_token_and_native_coin_at_the_address_are_strays_of_the_session(
    world: World,
) -> None:
    session = await world.session()
    world.chain.send_foreign("0xother", world.customer, world.place_of(session), 7)
    world.chain.send_foreign("native", world.customer, world.place_of(session), 8)
    await world.finalize()
    strays = await world.strays()
    assert [(one["session"], one["token"]) for one in strays] == [
        (session["id"], "0xother"),
        (session["id"], "native"),
    ]
    assert (await world.read(session))["status"] == "open"
    await world.agrees()


async def test_a_payment_lies_unswept_and_belongs_to_the_merchant_all_the_same(
    world: World,
) -> None:
    session = await world.session(10_000)
    await world.pay(session, 10_000)
    assert (await world.read(session))["status"] == "complete"
    await world.finalize()
    units, chain = world.units(10_000), world.chain.name
    assert await world.posted(accounts.unswept(chain)) == units
    assert await world.posted(accounts.treasury(chain)) == 0
    assert await world.posted(accounts.merchant(chain, session["merchant"])) == units
    await world.agrees()


async def test_parts_excess_and_money_straight_to_the_treasury_are_told_apart(
    world: World,
) -> None:
    session = await world.session(10_000)
    await world.pay(session, 4_000)
    await world.pay(None, 500)
    await world.pay(session, 7_000)
    await world.finalize()
    found = await world.read(session)
    assert (found["status"], found["reason"]) == ("complete", "overpaid")
    assert found["excess_units"] == world.units(1_000)
    assert await world.posted(accounts.unswept(world.chain.name)) == world.units(11_000)
    assert await world.posted(accounts.treasury(world.chain.name)) == world.units(500)
    await world.agrees()


async def test_a_payment_that_a_reorg_moves_is_booked_at_its_address_again(world: World) -> None:
    session = await world.session(10_000)
    await world.pay(session, 10_000)
    world.chain.reorg(1, what="return")
    world.chain.mine()
    await world.follow()
    await world.finalize()
    assert "payment.reverted" in await world.told()
    assert (await world.read(session))["status"] == "complete"
    assert await world.posted(accounts.unswept(world.chain.name)) == world.units(10_000)
    await world.agrees()


async def test_two_sessions_paid_in_one_transaction_are_two_payments(world: World) -> None:
    first, second = await world.session(100), await world.session(200)
    world.chain.send(
        Move("transfer", world.customer, world.place_of(first), 100),
        Move("transfer", world.customer, world.place_of(second), 200),
    )
    await world.finalize()
    assert (await world.read(first))["status"] == (await world.read(second))["status"] == "complete"
    await world.agrees()


async def test_a_mint_that_nobody_asked_for_pays_no_session(world: World) -> None:
    session = await world.session(100)
    world.chain.mint_unasked(world.place_of(session), 100)
    await world.finalize()
    assert (await world.read(session))["status"] == "open"
    assert await world.posted(accounts.unswept(world.chain.name)) == 0


async def test_money_that_we_send_to_the_address_ourselves_pays_the_session(world: World) -> None:
    session = await world.session(100)
    command = Command("mint", "iss_1", world.place_of(session), world.units(100))
    async with world.database.transaction() as db:
        await request(db, [Intent("iss_1", "gift", world.chain.name, command)])
    await world.carry_out()
    assert (await world.read(session))["status"] == "complete"
    assert await world.strays() == []
    assert await world.posted(accounts.unswept(world.chain.name)) == world.units(100)
    await world.agrees()


async def test_a_payment_that_comes_back_with_another_amount_is_what_it_is_now(
    world: World,
) -> None:
    session = await world.session(100)
    payer = new_address()
    world.chain.pay(world.customer, payer, world.units(100))
    world.chain.mine()
    extra = world.chain.pay(world.customer, payer, world.units(20))
    world.chain.mine()
    # A contract that pays whatever it has.
    world.chain.send(Move("sweep", payer, world.place_of(session)))
    world.chain.mine()
    await world.follow()
    assert (await world.read(session))["received_units"] == world.units(120)
    world.chain.reorg(2, what="return")
    world.chain._mempool.pop(extra)
    await world.finalize()
    found = await world.read(session)
    assert (found["status"], found["received_units"]) == ("complete", world.units(100))
    assert found["excess_units"] == 0
    assert await world.posted(accounts.unswept(world.chain.name)) == world.units(100)
    await world.agrees()
