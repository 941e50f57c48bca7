"""Checkout over a memory chain, with the token's decimals as they are and as others guess them."""

from collections.abc import AsyncIterator

import pytest

from sandbox.chains.memory import MemoryChain
from sandbox.core.db import Database
from tests.payments.world import World


@pytest.fixture(params=[2, 6], ids=["2 decimals", "6 decimals"])
def chain(request: pytest.FixtureRequest) -> MemoryChain:
    return MemoryChain(decimals=request.param)


@pytest.fixture
async def world(database: Database, chain: MemoryChain) -> AsyncIterator[World]:
    world = World(database, chain)
    await world.begin()
    yield world
    await world.books_hold()
    await world.end()
