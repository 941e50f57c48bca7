"""Unmodified clients pay by our URL, and the payment arrives with its keys."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest

from sandbox.chains.port import Command, Transfer
from tests.chains.suite.worlds import SolanaWorld, carry_out

HERE = Path(__file__).parent
NODE_MODULES = HERE.parents[1] / "node_modules"


async def run(*argv: str) -> str:
    child = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=HERE
    )
    async with asyncio.timeout(60):
        out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode().strip()


def websocket_of(rpc_url: str) -> str:
    host, _, port = rpc_url.removeprefix("http://").rpartition(":")
    return f"ws://{host}:{int(port) + 1}"


@pytest.mark.parametrize("client", ["kit", "solana-py"])
async def test_a_customer_with_an_ordinary_client_pays(
    solana_world: SolanaWorld, solana_rpc: str, tmp_path: Path, client: str
) -> None:
    holder = await solana_world.holder()
    await solana_world.final(await carry_out(solana_world, Command("mint", "iss_1", holder, 1000)))
    key_file = tmp_path / "key.json"
    key_file.write_text(json.dumps(list(bytes(solana_world.key(holder)))))
    option = solana_world.chain.receive_option("cs_1", 250, "a shop")
    url = str(option.fields["url"])
    if client == "kit":
        node = shutil.which("node")
        assert node, "Node is missing: make setup needs it"
        assert NODE_MODULES.is_dir(), "run make setup"
        ws = websocket_of(solana_rpc)
        tx = await run(node, str(HERE / "kit_pay.mjs"), solana_rpc, ws, str(key_file), url)
    else:
        script = str(HERE / "solana_py_pay.py")
        tx = await run(sys.executable, script, solana_rpc, str(key_file), url)
    block = await solana_world.final(tx)
    treasury = str(option.fields["recipient"])
    assert [t for t in block.transfers if t.tx == tx] == [
        Transfer(tx, 0, "transfer", holder, treasury, 250, option.keys)
    ]
