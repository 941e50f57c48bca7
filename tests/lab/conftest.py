from collections.abc import AsyncIterator

import pytest

from sandbox.chains.memory import MemoryChain
from sandbox.core.db import Database
from sandbox.lab import jobs, routes
from sandbox.lab.faucet import FaucetHandler
from sandbox.reserve import routes as reserve_routes
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from tests.reserve.world import World


@pytest.fixture(params=[2, 6])
def decimals(request: pytest.FixtureRequest) -> int:
    """KZTE's own places, and what others guess (DESIGN 2)."""
    return int(request.param)


async def make_world(database: Database, decimals: int = 2) -> World:
    world = World(
        database,
        MemoryChain(decimals=decimals),
        [ReserveWatch()],
        {"issuance": IssuanceHandler(), "faucet": FaucetHandler()},
        [routes.router, reserve_routes.router],
    )
    await world.begin()
    return world


async def fill(world: World) -> None:
    """Let the worker's job fill the float, to the end."""
    for _ in range(10):
        if not await jobs.refill_float(world.database, world.chains):
            await world.carry_out()
            if not await jobs.refill_float(world.database, world.chains):
                return
    raise AssertionError("the float does not come to rest")


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """A world whose float is empty."""
    world = await make_world(database)
    yield world
    await world.end()


@pytest.fixture
async def any_world(database: Database, decimals: int) -> AsyncIterator[World]:
    """The same with 2 and with 6 decimals, its float full."""
    world = await make_world(database, decimals)
    await fill(world)
    yield world
    await world.end()
