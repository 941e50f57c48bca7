"""Unmodified EVM clients pay by our URL, and the payment arrives with its key."""

import asyncio
import sys
from pathlib import Path

from sandbox.chains.port import Transfer
from tests.chains.suite.worlds import EvmWorld, funded

HERE = Path(__file__).parent


async def run(*argv: str) -> str:
    child = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=HERE
    )
    async with asyncio.timeout(60):
        out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode().strip()


async def test_a_customer_with_web3_py_pays(
    evm_world: EvmWorld, evm_rpc: str, tmp_path: Path
) -> None:
    holder = await funded(evm_world, 1000)
    key_file = tmp_path / "key"
    key_file.write_text(evm_world.accounts[holder].key.hex())
    option = evm_world.chain.receive_option("cs_1", 250, "a shop")
    script = str(HERE / "web3_py_pay.py")
    tx = await run(sys.executable, script, evm_rpc, str(key_file), str(option.fields["url"]))
    block = await evm_world.final(tx)
    deposit = str(option.fields["address"]).lower()
    assert [t for t in block.transfers if t.tx == tx] == [
        Transfer(tx, 0, "transfer", holder, deposit, 250, option.keys)
    ]
