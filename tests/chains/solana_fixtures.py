"""Solana as fixtures: one devnet per run, one deployment with a world of people per test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from contracts import token
from sandbox.chains.solana import tx
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.deploy import deploy
from sandbox.core.db import Database
from tests.chains import solana_node
from tests.chains.suite.worlds import SolanaWorld


@pytest.fixture(scope="package")
def solana_rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One devnet for all files of a folder."""
    with solana_node.running(tmp_path_factory.mktemp("solana")) as rpc:
        yield rpc


@pytest.fixture
async def solana_world(
    solana_rpc: str, database: Database, tmp_path: Path
) -> AsyncIterator[SolanaWorld]:
    deployment, keys = await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    chain = SolanaChain(solana_rpc, deployment, keys)
    mint = Pubkey.from_string(deployment.config["mint"])
    world = SolanaWorld(solana_rpc, chain, tx.Token(mint, chain.decimals))
    yield world
    await world.aclose()
    await chain.aclose()
