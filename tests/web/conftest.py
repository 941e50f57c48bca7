"""The payment page over the world of checkout."""

from collections.abc import AsyncIterator

import pytest

from sandbox.chains.memory import MemoryChain
from sandbox.core.db import Database
from tests.payments.world import World


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    world = World(database, MemoryChain())
    await world.begin()
    yield world
    await world.end()
