from collections.abc import AsyncIterator

import pytest

from sandbox.chains.memory import MemoryChain
from sandbox.core.db import Database
from sandbox.reserve import routes
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from tests.reserve.world import World


@pytest.fixture(params=[2, 6])
def decimals(request: pytest.FixtureRequest) -> int:
    """KZTE's own places, and what others guess (DESIGN 2)."""
    return int(request.param)


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    chain = MemoryChain()
    world = World(
        database, chain, [ReserveWatch()], {"issuance": IssuanceHandler()}, [routes.router]
    )
    await world.begin()
    yield world
    await world.end()
