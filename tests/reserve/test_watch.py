"""Movements nobody asked for."""

import pytest

from sandbox.chains.memory import MemoryChain, Move, new_address
from sandbox.core.db import Database
from sandbox.ledger.chart import accounts
from sandbox.reserve import minting, routes
from sandbox.reserve.checks import supply_matches
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from tests.reserve.world import World


async def _holder_with(world: World, amount_tiyn: int) -> str:
    """An outside holder who was issued tokens."""
    body = {"amount_tiyn": amount_tiyn, "bank_reference": "CAMT-1"}
    deposit = (await world.post("/v1/reserve/deposits", body)).json()["id"]
    holder = new_address()
    answer = await world.post(
        "/v1/reserve/issuances",
        {
            "deposit": deposit,
            "chain": "memory",
            "amount_tiyn": amount_tiyn,
            "recipient": holder,
        },
    )
    assert answer.status_code == 201
    await world.carry_out()
    return holder


async def _minting(world: World) -> tuple[bool, str]:
    async with world.database.transaction() as db:
        return await minting.state(db)


async def test_a_mint_nobody_asked_for_stops_all_minting_and_turns_i1_red(world: World) -> None:
    await _holder_with(world, 1000)
    tx = world.chain.mint_unasked(new_address(), 7)
    world.chain.mine()
    await world.follow()
    assert await _minting(world) == (False, f"chain.unexplained_supply: {tx}")
    types = await world.event_types()
    assert types.count("chain.unexplained_supply") == 1
    assert types.count("minting.halted") == 1
    assert await world.posted(accounts.supply("memory")) == 1000
    world.chain.mine_final()
    await world.follow()
    [check] = await supply_matches(world.database, world.chains, wait_s=0)
    assert (check.id, check.ok, check.left, check.right) == ("I1", False, 1007, 1000)


@pytest.mark.parametrize("action", ["transfer", "burn"])
async def test_money_that_leaves_us_without_an_intent_stops_all_minting(
    world: World, action: str
) -> None:
    await _holder_with(world, 1000)
    destination = new_address() if action == "transfer" else ""
    world.chain.endow(world.chain.treasury, 50)
    world.chain.send(Move(action, world.chain.treasury, destination, 50))
    world.chain.mine()
    await world.follow()
    is_on, reason = await _minting(world)
    assert (is_on, reason.partition(":")[0]) == (False, "chain.unexplained_outflow")
    assert (await world.event_types()).count("chain.unexplained_outflow") == 1
    assert await world.count("holder_burn") == 0


async def test_an_alarm_is_told_once_although_its_transaction_comes_back(world: World) -> None:
    world.chain.mint_unasked(new_address(), 7)
    world.chain.mine()
    await world.follow()
    world.chain.reorg(1)
    world.chain.mine(2)
    await world.follow()
    assert (await world.event_types()).count("chain.unexplained_supply") == 1


async def test_a_chain_that_cannot_be_followed_stops_all_minting(world: World) -> None:
    await world.follow()
    world.chain.mine(20)
    await world.follow()
    world.chain.reorg(10)
    world.chain.mine(20)
    for _ in range(5):
        await world.watcher.step()
    is_on, reason = await _minting(world)
    assert not is_on
    assert reason.startswith("memory is halted: ")
    assert {"chain.halted", "minting.halted"} <= set(await world.event_types())


async def test_a_watcher_that_lags_turns_i1_red_instead_of_guessing(world: World) -> None:
    await _holder_with(world, 1000)
    world.chain.mine(3)
    [check] = await supply_matches(world.database, world.chains, wait_s=0)
    assert (check.ok, check.right) == (False, None)
    assert "the watcher has handled" in check.detail


@pytest.mark.parametrize(("decimals", "units", "freed_tiyn"), [(2, 30, 30), (6, 300_001, 30)])
async def test_a_holders_own_burn_leaves_supply_and_frees_its_tenge(
    database: Database, decimals: int, units: int, freed_tiyn: int
) -> None:
    world = World(
        database,
        MemoryChain(decimals=decimals),
        [ReserveWatch()],
        {"issuance": IssuanceHandler()},
        [routes.router],
    )
    await world.begin()
    holder = await _holder_with(world, 1000)
    before = await world.posted(accounts.supply("memory"))
    tx = world.chain.burn_own(holder, units)
    world.chain.mine()
    await world.follow()
    assert await world.posted(accounts.supply("memory")) == before
    world.chain.mine_final()
    await world.follow()
    assert await world.posted(accounts.supply("memory")) == before - units
    assert await world.posted(accounts.external("memory")) == before - units
    assert await world.posted(accounts.outstanding("memory")) == 1000 - freed_tiyn
    assert await world.posted(accounts.unidentified(tx)) == freed_tiyn
    assert (await _minting(world))[0]
    [check] = await supply_matches(database, world.chains, wait_s=0)
    assert check.ok
    assert (await world.event_types())[-2:] == ["stray.recorded", "stray.final"]
    await world.end()


async def test_a_burn_below_one_tiyn_frees_no_tenge(database: Database) -> None:
    world = World(
        database,
        MemoryChain(decimals=6),
        [ReserveWatch()],
        {"issuance": IssuanceHandler()},
        [routes.router],
    )
    await world.begin()
    holder = await _holder_with(world, 1000)
    tx = world.chain.burn_own(holder, 9_999)
    world.chain.mine_final()
    await world.follow()
    assert await world.posted(accounts.outstanding("memory")) == 1000
    assert await world.posted(accounts.unidentified(tx)) == 0
    await world.end()


async def test_a_burn_that_a_reorg_took_back_counts_once_it_returns(world: World) -> None:
    holder = await _holder_with(world, 1000)
    world.chain.burn_own(holder, 30)
    world.chain.mine()
    await world.follow()
    world.chain.reorg(1)
    world.chain.mine(2)
    await world.follow()
    assert (await world.event_types()).count("stray.reverted") == 1
    world.chain.mine_final()
    await world.follow()
    assert await world.posted(accounts.supply("memory")) == 970
    assert await world.count("holder_burn") == 1
    types = await world.event_types()
    assert (types.count("stray.recorded"), types.count("stray.final")) == (2, 1)
