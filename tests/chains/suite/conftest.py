"""Every chain that there is, each as a fixture of the same kind (the real ones: one folder up)."""

import pytest

from sandbox.chains.memory import MemoryChain
from sandbox.chains.memory_deposits import DepositMemoryChain
from tests.chains.suite.worlds import MemoryWorld, World


@pytest.fixture
def memory_world() -> MemoryWorld:
    return MemoryWorld(MemoryChain())


@pytest.fixture
def deposits_world() -> MemoryWorld:
    return MemoryWorld(DepositMemoryChain())


@pytest.fixture(params=["memory_world", "deposits_world", "solana_world", "evm_world"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(request.param)
    return found
