"""Worlds over real devnets: one node per chain and run, one world per chain and file of tests."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from sandbox.devnets import postgres as embedded
from tests.chains import evm_node, solana_node
from tests.scenarios.ground import Ground
from tests.scenarios.on_evm import EvmGround
from tests.scenarios.on_solana import SolanaGround
from tests.scenarios.world import World, opened


@pytest.fixture(scope="package")
def evm_rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with evm_node.running(tmp_path_factory.mktemp("evm")) as rpc:
        yield rpc


@pytest.fixture(scope="package")
def solana_rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with solana_node.running(tmp_path_factory.mktemp("solana")) as rpc:
        yield rpc


@pytest.fixture(scope="module")
def kept_folder(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module", params=["solana", "evm"])
def ground(request: pytest.FixtureRequest) -> Ground:
    """A real chain; whatever stands in `params` is played in full."""
    rpc: str = request.getfixturevalue(f"{request.param}_rpc")
    kinds: dict[str, type[SolanaGround] | type[EvmGround]] = {
        "solana": SolanaGround,
        "evm": EvmGround,
    }
    return kinds[request.param](rpc)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept_url(
    ground: Ground, postgres: embedded.Running, migrated_template: str
) -> AsyncIterator[str]:
    """A fresh database for a file of tests on one chain."""
    name = f"test_{secrets.token_hex(8)}"
    owner = await asyncpg.connect(postgres.url)
    try:
        await owner.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
        yield postgres.app_url(name)
        await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await owner.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept_world(ground: Ground, kept_url: str, kept_folder: Path) -> AsyncIterator[World]:
    async with opened(ground, kept_url, kept_folder) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def world(kept_world: World) -> AsyncIterator[World]:
    """The file's world. After every scenario its books are those of the chain, and every event
    that it told is as the catalog says."""
    yield kept_world
    await kept_world.agrees()
    await kept_world.told_as_described()
