"""An EVM chain as fixtures: one devnet per run, one deployment with a world of people per test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts import token
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.deploy import deploy
from sandbox.core.db import Database
from tests.chains import evm_node
from tests.chains.suite.worlds import EvmWorld


@pytest.fixture(scope="package")
def evm_rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One devnet for all files of a folder."""
    with evm_node.running(tmp_path_factory.mktemp("evm")) as rpc:
        yield rpc


@pytest.fixture
async def evm_world(evm_rpc: str, database: Database, tmp_path: Path) -> AsyncIterator[EvmWorld]:
    deployment, keys = await deploy(database, evm_rpc, tmp_path / "keys", token.load())
    chain = EvmChain(evm_rpc, deployment, keys)
    world = EvmWorld(evm_rpc, chain, keys, deployment.config["token"])
    yield world
    await world.aclose()
    await chain.aclose()
