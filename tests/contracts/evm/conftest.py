"""One deployed token per module; every test starts from it again."""

from collections.abc import Iterator

import boa
import pytest

from tests.contracts.evm.calls import Contract
from tests.contracts.evm.world import START, World, at

boa.interpret.disable_cache()


@pytest.fixture(scope="module")
def deployed() -> Iterator[World]:
    with boa.env.anchor():
        at(START)
        yield World()


@pytest.fixture
def world(deployed: World) -> Iterator[World]:
    """The token with nobody holding anything; what a test does to it is undone."""
    with boa.env.anchor():
        yield deployed


@pytest.fixture
def kzte(world: World) -> Contract:
    return world.kzte
