"""kill -9 of the devnet and of the worker while mints are on their way: none lost, none doubled."""

import asyncio
import socket
from pathlib import Path

from contracts import token
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.deploy import deploy
from sandbox.chains.port import Command
from sandbox.core.db import Database
from sandbox.devnets.evm import process
from tests.chains.conftest import Follower
from tests.chains.evm_followed import ask, until_done, until_sent

MINTS = 20


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


async def test_twenty_mints_survive_the_devnets_death_and_the_workers(
    database: Database, tmp_path: Path
) -> None:
    argv = process.command(
        tmp_path / "chain", port=free_port(), block_ms=20, final_delay_ms=50, control=True
    )
    devnet = await process.start(argv)
    try:
        deployment, keys = await deploy(database, devnet.rpc, tmp_path / "keys", token.load())
        chain = EvmChain(devnet.rpc, deployment, keys)
        holder = "0x" + "42" * 20
        ids = [f"iss_{n:02}" for n in range(MINTS)]
        await ask(database, *(Command("mint", id_, holder, 100) for id_ in ids))
        first = Follower(database, chain)
        async with first.at_work():
            await until_sent(database)
            await devnet.kill()
            await asyncio.sleep(0.3)
        after = await first.restart()
        devnet = await process.start(argv)
        async with after.at_work():
            await until_done(database, *ids)
        assert (await chain.balance(holder)).units == 100 * MINTS
        assert (await chain.supply()).units == 100 * MINTS
        assert len(after.listener.of("done")) == MINTS
        # Whatever the crash took back was told as taken back, and what stayed stayed once.
        final = after.listener.transfers("final")
        assert len(final) == len({tx for tx, _, _ in final}) == MINTS
        await after.leader.release()
        await chain.aclose()
    finally:
        await devnet.stop()
