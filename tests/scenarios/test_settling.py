"""Batches on every real chain: swept first where payments lie at deposit addresses, burned, paid.

Sweeps are disturbed as anybody may: strangers, reorgs, frozen addresses, a token that stands still.
"""

from typing import Literal

import pytest

from contracts.evm_addresses import deposit_salt
from sandbox.chains.evm.calls import SWEEP_MANY
from sandbox.chains.evm.tx import call_data
from sandbox.ledger import accounts
from tests.scenarios.on_evm import EvmGround
from tests.scenarios.orders import ordered
from tests.scenarios.world import Json, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

swept_only = pytest.mark.parametrize("ground", ["evm"], indirect=True)


async def paid(world: World, *amounts: int) -> list[Json]:
    """Sessions whose payments are captured, in one block."""
    sessions = [await world.session(tiyn) for tiyn in amounts]
    for session in sessions:
        await world.send(session, session["amount_tiyn"])
    await world.mine()
    await world.finalize()
    return sessions


async def at_deposits(world: World) -> int:
    return await world.posted(accounts.unswept(world.name))


async def sweep_by_stranger(world: World, *sessions: Json) -> str:
    ground = world.ground
    assert isinstance(ground, EvmGround)
    stranger = await ground.payer()
    salts = [deposit_salt(session["id"]) for session in sessions]
    return await ground.call(stranger, ground.factory, call_data(SWEEP_MANY, salts))


async def test_what_was_paid_is_burned_and_paid_out_once(world: World) -> None:
    await paid(world, 6_000, 4_000)
    supply = (await world.chain.supply()).units
    lying = await at_deposits(world)
    assert lying == (world.units(10_000) if world.chain.sweep_batch else 0)
    done = await world.settled(await world.ask_settlement())
    assert [line["amount_tiyn"] for line in done["lines"]] == [6_000, 4_000]
    moved = [sweep["moved_units"] for sweep in done["sweeps"]]
    assert moved == ([world.units(10_000)] if world.chain.sweep_batch else [])
    assert [(burn["chain"], burn["units"]) for burn in done["burns"]] == [
        (world.name, world.units(10_000))
    ]
    assert (await world.chain.supply()).units == supply - world.units(10_000)
    assert (done["payout"]["status"], done["payout"]["amount_tiyn"]) == ("sent", 9_900)
    await world.pass_time(5 * 86_400)
    await world.bank()
    done = await world.get(f"/v1/settlements/{done['id']}")
    assert done["payout"]["status"] == "completed"
    assert await at_deposits(world) == 0
    refused = await world.post("/v1/settlements", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_settle")


async def test_a_split_is_sent_and_paid_and_its_reserve_refunds_what_is_settled(
    world: World,
) -> None:
    terms = f"/v1/merchants/{world.keys['merchant_id']}/settlement_terms"
    wallet = await world.ground.payer()
    split = {
        "mode": "split", "split_bps": 2_500, "wallets": {world.name: wallet},
        "refund_reserve_tiyn": 1_900,
    }  # fmt: skip
    assert (await world.post(terms, split)).status_code == 200
    [session] = await paid(world, 10_000)
    supply = (await world.chain.supply()).units
    made = await world.ask_settlement()
    # What was chosen since is of the next batch.
    back = await world.post(terms, {"mode": "payout", "refund_reserve_tiyn": 0})
    assert back.status_code == 200
    done = await world.settled(made)
    check = done["check"]
    # 9 900 less 1 900 for refunds; a quarter of 8 000 in tenge.
    assert (check["reserved_tiyn"], check["to_wallet_tiyn"], check["paid_tiyn"]) == (
        1_900, 6_000, 2_000,
    )  # fmt: skip
    assert (await world.chain.supply()).units == supply - world.units(2_100)
    assert await world.ground.units(wallet) == world.units(6_000)
    [sent] = done["transfers"]
    assert await world.failure_of(sent["tx"]) is None
    payment = (await world.read(session))["payment"]
    too_much = await world.post("/v1/refunds", {"payment": payment["id"], "amount_tiyn": 1_901})
    assert too_much.json()["code"] == "insufficient_merchant_balance"
    refund = await world.refund(payment, 1_500)
    await world.carry_out()
    assert (await world.get(f"/v1/refunds/{refund['id']}"))["status"] == "completed"
    last = await world.settled(await world.ask_settlement())
    assert (last["check"]["reserved_tiyn"], last["check"]["paid_tiyn"]) == (-400, 400)
    await world.agrees()


async def test_a_burn_that_a_reorg_takes_is_sent_again_and_burns_once(world: World) -> None:
    await paid(world, 5_000)
    supply = (await world.chain.supply()).units
    made = await world.ask_settlement()
    if world.chain.sweep_batch:
        await world.send_due()
        await world.finalize()
        await world.run("sweeps")
    await world.ground.mine(2)
    await world.send_due()
    await world.mine()
    await world.ground.reorg(1, "drop")
    await world.follow()
    await world.settled(made)
    assert (await world.chain.supply()).units == supply - world.units(5_000)


@swept_only
async def test_a_stranger_who_sweeps_first_moves_places_and_the_batch_goes_on(
    world: World,
) -> None:
    sessions = await paid(world, 3_000, 2_000)
    made = await world.ask_settlement()
    await sweep_by_stranger(world, sessions[0])
    await world.mine()
    await world.finalize()
    assert await at_deposits(world) == world.units(2_000)
    done = await world.settled(made)
    [sweep] = done["sweeps"]
    assert sweep["moved_units"] == world.units(2_000)
    assert [burn["units"] for burn in done["burns"]] == [world.units(5_000)]


@swept_only
async def test_a_stranger_in_the_block_of_our_sweep_takes_nothing_from_the_batch(
    world: World,
) -> None:
    sessions = await paid(world, 3_000, 2_000)
    made = await world.ask_settlement()
    await world.send_due()
    await sweep_by_stranger(world, *sessions)
    await world.mine()
    await world.finalize()
    done = await world.settled(made)
    assert [burn["units"] for burn in done["burns"]] == [world.units(5_000)]
    assert await at_deposits(world) == 0


@swept_only
@pytest.mark.parametrize("mode", ["drop", "reinclude"])
async def test_a_sweep_that_a_reorg_takes_or_moves_sweeps_once(
    world: World, mode: Literal["drop", "reinclude"]
) -> None:
    await paid(world, 3_000, 2_000)
    treasury = await world.ground.units(world.ground.treasury)
    made = await world.ask_settlement()
    await world.send_due()
    await world.mine()
    assert await world.ground.units(world.ground.treasury) == treasury + world.units(5_000)
    await world.ground.reorg(1, mode)
    await world.follow()
    done = await world.settled(made)
    assert [sweep["moved_units"] for sweep in done["sweeps"]] == [world.units(5_000)]
    assert await world.ground.units(world.ground.treasury) == treasury


@swept_only
async def test_a_frozen_deposit_address_is_left_out_and_taken_by_the_next_batch(
    world: World,
) -> None:
    free, stopped = await paid(world, 3_000, 2_000)
    async with ordered(world, "freeze", world.place(stopped)):
        done = await world.settled(await world.ask_settlement())
        assert [(line["amount_tiyn"], line["deferred"]) for line in done["lines"]] == [
            (3_000, False),
            (2_000, True),
        ]
        assert [sweep["moved_units"] for sweep in done["sweeps"]] == [world.units(3_000)]
        assert await at_deposits(world) == world.units(2_000)
    assert (await world.read(free))["payment"]["settlement_state"] == "settled"
    assert (await world.read(stopped))["payment"]["settlement_state"] == "unsettled"
    await world.settled(await world.ask_settlement())
    assert (await world.read(stopped))["payment"]["settlement_state"] == "settled"


@swept_only
async def test_a_frozen_treasury_takes_no_sweep_and_the_money_waits_where_it_is(
    world: World,
) -> None:
    [session] = await paid(world, 3_000)
    async with ordered(world, "freeze", world.ground.treasury):
        made = await world.ask_settlement()
        await world.carry_out()
        found = await world.get(f"/v1/settlements/{made['id']}")
        assert [sweep["moved_units"] for sweep in found["sweeps"]] == [0]
        assert await at_deposits(world) == world.units(3_000)
        assert (await world.read(session))["payment"]["settlement_state"] == "unsettled"
    await world.settled(await world.ask_settlement())
    assert (await world.read(session))["payment"]["settlement_state"] == "settled"


@swept_only
async def test_a_paused_token_is_not_swept_and_the_next_batch_takes_all(
    world: World,
) -> None:
    [session] = await paid(world, 3_000)
    async with ordered(world, "pause"):
        made = await world.ask_settlement()
        await world.carry_out()
        found = await world.get(f"/v1/settlements/{made['id']}")
        assert [sweep["moved_units"] for sweep in found["sweeps"]] == [0]
        assert [line["deferred"] for line in found["lines"]] == [True]
        assert await at_deposits(world) == world.units(3_000)
    await world.settled(await world.ask_settlement())
    assert (await world.read(session))["payment"]["settlement_state"] == "settled"
