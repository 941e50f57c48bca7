import asyncio

from sandbox.chains.memory import new_address
from sandbox.lab import floats, jobs
from sandbox.ledger.chart import accounts
from sandbox.reserve import minting
from tests.lab.conftest import fill
from tests.reserve.world import World


async def _take(world: World, amount_tiyn: int) -> int:
    body = {"chain": "memory", "address": new_address(), "amount_tiyn": amount_tiyn}
    status = (await world.post("/v1/sandbox/faucet", body)).status_code
    await world.carry_out()
    return status


async def _ready(world: World) -> bool:
    async with world.database.transaction() as db:
        return await floats.are_ready(db, world.chains)


async def test_a_float_is_not_filled_while_minting_is_halted(world: World) -> None:
    assert await jobs.refill_float(world.database, world.chains)
    async with world.database.transaction() as db:
        await minting.halt(db, "a test")
    assert not await jobs.refill_float(world.database, world.chains)
    assert await world.count("issuance") == 0
    assert await world.count("deposit") == 1


async def test_many_workers_fill_one_float_once(world: World) -> None:
    for _ in range(4):
        await asyncio.gather(*(jobs.refill_float(world.database, world.chains) for _ in range(4)))
    assert await world.count("deposit") == 1
    assert await world.count("issuance") == 1
    assert not await _ready(world)
    await world.carry_out()
    assert await _ready(world)
    assert await world.posted(accounts.float_("memory")) == floats.FLOAT_TIYN


async def test_a_mint_that_failed_is_tried_again_from_the_same_deposit(world: World) -> None:
    await jobs.refill_float(world.database, world.chains)
    await jobs.refill_float(world.database, world.chains)
    world.chain.losing = True
    for _ in range(10):
        await world.runner.step()
        world.chain.mine(40)
        await world.follow()
    world.chain.losing = False
    assert (await world.event_types())[-1] == "reserve.issuance_failed"
    await fill(world)
    assert await world.count("deposit") == 1
    assert await world.posted(accounts.float_("memory")) == floats.FLOAT_TIYN


async def test_a_float_is_refilled_only_below_a_tenth(world: World) -> None:
    await fill(world)
    assert await _take(world, floats.FLOAT_TIYN - floats.LOW_TIYN) == 201
    assert not await jobs.refill_float(world.database, world.chains)
    assert await _take(world, 1) == 201
    await fill(world)
    assert await world.count("deposit") == 2
    assert await world.posted(accounts.float_("memory")) == floats.FLOAT_TIYN
    assert await world.posted(accounts.reserve_bank()) == await world.posted(
        accounts.outstanding("memory")
    )


async def test_a_grant_above_the_whole_float_is_served_after_one_refill(world: World) -> None:
    await fill(world)
    assert await _take(world, 10**11) == 503
    await fill(world)
    assert await _take(world, 10**11) == 201
    await fill(world)
    assert await world.posted(accounts.float_("memory")) == floats.FLOAT_TIYN


async def test_a_bank_reference_somebody_used_does_not_stop_the_refill(world: World) -> None:
    body = {"amount_tiyn": 5, "bank_reference": "FLOAT-memory-000001"}
    assert (await world.post("/v1/reserve/deposits", body)).status_code == 201
    await fill(world)
    assert await world.posted(accounts.float_("memory")) == floats.FLOAT_TIYN
