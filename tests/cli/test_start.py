"""What makes a start quick: what loads early waits for its world, and nobody loads too much."""

import asyncio
import socket
import subprocess
import sys

import pytest

from sandbox.cli.world.hosts import Hosts
from sandbox.core.line import Line, Values


async def _served(what: str, values: Values) -> Values:
    return {"asked": what}


async def test_who_loads_before_the_world_is_ready_may_open_it_only_then() -> None:
    hosts = Hosts(_served)
    ours, theirs = socket.socketpair()
    heard = asyncio.create_task(hosts.hear(ours))
    line = await Line.over(theirs, _served)
    running = asyncio.create_task(line.run())
    joined = asyncio.create_task(line.ask("join", role="api"))
    try:
        async with asyncio.timeout(10):
            # What is asked later is answered, so the first question has been heard, too.
            assert await line.ask("list") == {"asked": "list"}
            assert not joined.done()
            assert hosts.of("api") == []
            await hosts.begin()
            assert await joined == {"open": True}
        assert [host.is_open for host in hosts.of("api")] == [True]
    finally:
        running.cancel()
        heard.cancel()
        await asyncio.gather(running, heard, joined, return_exceptions=True)


@pytest.mark.parametrize(
    "module", ["sandbox.devnets.evm.__main__", "sandbox.devnets.solana.__main__", "sandbox.cli.pay"]
)
def test_devnets_and_wallets_load_no_database(module: str) -> None:
    code = f"import sys, {module}; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
