"""Running the scripts that stand for other people's EVM clients."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chains.suite.worlds import EvmWorld

HERE = Path(__file__).parent
NODE_MODULES = HERE.parents[1] / "node_modules"
CLIENTS = ("viem", "ethers", "web3_py")
DEADLINE_S = 60


class ClientRefused(Exception):
    """The script ended with an error; the text is what it told its user."""


def command(client: str, act: str) -> list[str]:
    """How to start a client's script for `act` (`pay`, `sign`, `watch`)."""
    if client == "web3_py":
        return [sys.executable, str(HERE / f"web3_py_{act}.py")]
    node = shutil.which("node")
    assert node, "Node is missing: make setup needs it"
    assert NODE_MODULES.is_dir(), "run make setup"
    return [node, str(HERE / f"{client}_{act}.mjs")]


async def run(client: str, act: str, *args: str) -> str:
    """What the script prints; raises `ClientRefused`."""
    child = await start(client, act, *args)
    async with asyncio.timeout(DEADLINE_S):
        out, err = await child.communicate()
    if child.returncode != 0:
        raise ClientRefused(err.decode().strip())
    return out.decode().strip()


async def start(client: str, act: str, *args: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command(client, act),
        *args,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=HERE,
    )


@asynccontextmanager
async def traffic(world: EvmWorld) -> AsyncIterator[None]:
    """Blocks keep coming: ethers counts only those that it sees come, and these nodes fall silent
    faster than it looks."""

    async def mine() -> None:
        while True:
            await world.node.call("sandbox_mine")
            await asyncio.sleep(0.1)

    mining = asyncio.create_task(mine())
    try:
        yield
    finally:
        mining.cancel()
        await asyncio.wait([mining])
