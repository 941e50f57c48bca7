"""Redemption on every real chain, from a wallet's transfer to tenge on a statement."""

import pytest

from contracts.evm_addresses import deposit_salt
from sandbox.bank import registry, simulator
from sandbox.chains.evm.calls import SWEEP_MANY
from sandbox.chains.evm.tx import call_data
from sandbox.ledger import accounts
from tests.scenarios.on_evm import EvmGround
from tests.scenarios.orders import ordered
from tests.scenarios.redeeming import (
    PAYEE,
    at_addresses,
    bank,
    carry_out,
    done,
    read,
    redeem,
    redeemed,
    send,
)
from tests.scenarios.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

swept_only = pytest.mark.parametrize("ground", ["evm"], indirect=True)


async def test_too_few_units_burn_nothing_and_go_back_to_their_sender(world: World) -> None:
    supply = (await world.chain.supply()).units
    made = await redeem(world, 5_000)
    held = await world.ground.units(world.customer)
    await send(world, made, 4_999)
    await world.mine()
    await world.finalize()
    await carry_out(world)
    found = await read(world, made)
    assert (found["status"], found["remainder_units"]) == ("open", world.units(4_999))
    await done(world, f"redemptions/{made['id']}/cancel", {})
    back = await done(world, f"redemptions/{made['id']}/send_back", {}, 201)
    assert back["recipient"] == world.chain.check_recipient(world.customer)
    await carry_out(world)
    assert await world.ground.units(world.customer) == held
    assert (await world.chain.supply()).units == supply
    assert await world.in_suspense(made["id"]) == 0


async def test_units_sent_by_any_wallet_are_burned_and_paid_in_tenge_once(world: World) -> None:
    supply = (await world.chain.supply()).units
    reserve = await world.posted(accounts.reserve_bank())
    found = await redeemed(world, 6_000)
    assert (await world.chain.supply()).units == supply - world.units(6_000)
    assert await at_addresses(world) == 0
    await bank(world)
    await world.pass_time(5 * 86_400)
    await bank(world)
    assert (await read(world, found))["status"] == "paid"
    assert await world.posted(accounts.reserve_bank()) == reserve - 6_000
    assert (await world.strays(found["burn_tx"])) == []


async def test_a_rejected_payout_restores_the_claim_and_is_retried(world: World) -> None:
    async with world.database.transaction() as db:
        await registry.refuse_payments_to(db, PAYEE["iban"])
    made = await redeem(world, 3_000)
    await send(world, made, 3_000)
    await world.mine()
    await world.finalize()
    await carry_out(world)
    await bank(world)
    assert (await read(world, made))["status"] == "rejected"
    assert await world.posted(accounts.redemption(made["id"])) == 3_000
    again = {"iban": "KZ41722C000000000001"}
    await done(world, f"redemptions/{made['id']}/retry", again)
    await bank(world)
    await world.pass_time(5 * 86_400)
    await bank(world)
    assert (await read(world, made))["status"] == "paid"
    assert await world.posted(accounts.redemption(made["id"])) == 0
    async with world.database.transaction() as db:
        await registry.accept_payments_to(db, PAYEE["iban"])


async def test_a_returned_payout_restores_the_claim_and_is_retried(world: World) -> None:
    made = await redeemed(world, 2_000)
    await bank(world)
    await world.pass_time(5 * 86_400)
    await bank(world)
    async with world.database.transaction() as db:
        await simulator.return_payment(db, f"{made['id']}:1")
    await bank(world)
    assert (await read(world, made))["status"] == "returned"
    assert await world.posted(accounts.redemption(made["id"])) == 2_000
    await done(world, f"redemptions/{made['id']}/retry", {})
    await bank(world)
    await world.pass_time(5 * 86_400)
    await bank(world)
    assert (await read(world, made))["status"] == "paid"


async def test_a_burn_that_a_reorg_takes_burns_once(world: World) -> None:
    made = await redeem(world, 1_500)
    supply = (await world.chain.supply()).units
    await send(world, made, 1_500)
    await world.mine()
    await world.finalize()
    if world.chain.sweep_batch:
        await world.run("redemptions")
        await world.send_due()
        await world.finalize()
    await world.run("redemptions")
    await world.ground.mine(2)
    await world.send_due()
    await world.mine()
    await world.ground.reorg(1, "drop")
    await world.follow()
    await carry_out(world)
    await bank(world)
    assert (await read(world, made))["status"] == "sent"
    assert (await world.chain.supply()).units == supply - world.units(1_500)


async def test_a_paused_token_leaves_a_redemption_stuck_until_it_is_retried(world: World) -> None:
    made = await redeem(world, 1_000)
    await send(world, made, 1_000)
    await world.mine()
    await world.finalize()
    async with ordered(world, "pause"):
        await carry_out(world)
        assert (await read(world, made))["status"] == "stuck"
    await done(world, f"redemptions/{made['id']}/retry", {})
    await carry_out(world)
    await bank(world)
    assert (await read(world, made))["status"] == "sent"


@swept_only
async def test_a_stranger_who_collects_first_changes_places_only(world: World) -> None:
    made = await redeem(world, 2_500)
    await send(world, made, 2_500)
    await world.mine()
    await world.finalize()
    assert await at_addresses(world) == world.units(2_500)
    ground = world.ground
    assert isinstance(ground, EvmGround)
    stranger = await ground.payer()
    sweep = call_data(SWEEP_MANY, [deposit_salt(made["id"])])
    await ground.call(stranger, ground.factory, sweep)
    await world.mine()
    await world.finalize()
    assert await at_addresses(world) == 0
    await carry_out(world)
    await bank(world)
    assert (await read(world, made))["status"] == "sent"


@swept_only
async def test_a_frozen_deposit_address_leaves_a_redemption_stuck_until_it_is_retried(
    world: World,
) -> None:
    made = await redeem(world, 2_500)
    await send(world, made, 2_500)
    await world.mine()
    await world.finalize()
    async with ordered(world, "freeze", made["option"]["address"]):
        await carry_out(world)
        assert (await read(world, made))["status"] == "stuck"
    await done(world, f"redemptions/{made['id']}/retry", {})
    await carry_out(world)
    assert (await read(world, made))["units_state"] == "burned"
