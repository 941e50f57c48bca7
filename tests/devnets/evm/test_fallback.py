"""eth-tester behind the same front, where Node is missing: what works, and what is refused.

The suites of reorgs, bursts and anvil's own control methods are skipped here: it has none of them.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from contracts import token
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.deploy import deploy
from sandbox.chains.port import UNSWEPT, Command
from sandbox.core.db import Database
from sandbox.devnets.evm import process
from tests.chains.suite.worlds import EvmWorld
from tests.devnets.evm.chain import FAUCET, OTHER, Chain, Refused, transfer
from tests.devnets.evm.test_process import refused

HOUR_MS = 3_600_000


@pytest.fixture
async def fallback(tmp_path: Path) -> AsyncIterator[Chain]:
    said = os.open(tmp_path / "stderr", os.O_RDWR | os.O_CREAT)
    made = Chain(tmp_path / "chain", stderr=said, engine="eth-tester")
    try:
        await made.start()
        yield made
        if made.running is not None:
            assert await made.stop() == 0
        lines = (tmp_path / "stderr").read_text().splitlines()
        assert {line.partition(":")[0] for line in lines} == {
            "this EVM chain runs on eth-tester instead of anvil (as asked)"
        }
    finally:
        await made.close()
        os.close(said)


async def test_what_it_cannot_do_is_refused_by_name(fallback: Chain) -> None:
    for method, params in (
        ("sandbox_reorg", [{"blocks": 1}]),
        ("anvil_impersonateAccount", [OTHER]),
        ("anvil_setStorageAt", [OTHER, "0x0", "0x" + "00" * 32]),
        ("debug_traceTransaction", ["0x" + "00" * 32]),
        ("eth_newBlockFilter", []),
    ):
        with pytest.raises(Refused, match=f"{method} is not there with eth-tester") as found:
            await fallback.call(method, *params)
        assert found.value.code == -32601
    with pytest.raises(Refused, match="use sandbox_setClock"):
        await fallback.call("evm_increaseTime", 10)


async def test_it_goes_back_to_a_snapshot(fallback: Chain) -> None:
    await fallback.quiet()
    await fallback.call("sandbox_pause")
    await fallback.send(transfer(0))
    await fallback.call("sandbox_snapshot", {"name": "one"})
    before = await fallback.head()
    await fallback.call("sandbox_mine", {"blocks": 2})
    assert await fallback.call("eth_getBalance", OTHER, "latest") == "0x1"
    await fallback.call("sandbox_restore", {"name": "one"})
    assert await fallback.head() == before
    assert await fallback.call("eth_getBalance", OTHER, "latest") == "0x0"
    await fallback.call("sandbox_mine", {"blocks": 1})  # it waits in the pool again
    assert await fallback.call("eth_getBalance", OTHER, "latest") == "0x1"


async def test_dev_accounts_and_a_chain_of_the_other_engine_are_refused(
    fallback: Chain, tmp_path: Path
) -> None:
    flags = process.command(tmp_path / "c", engine="eth-tester", dev_accounts=True)
    code, said = await refused(flags)
    assert code == 2
    assert "--dev-accounts needs anvil, not eth-tester (as asked)" in said
    await fallback.stop()
    code, said = await refused(process.command(fallback.data_dir, engine="anvil"))
    assert code == 2
    assert said.count("\n") == 1
    assert "made with --engine eth-tester, not anvil" in said


def where_anvil_is_not_installed(tmp_path: Path, data_dir: Path) -> tuple[list[str], Any]:
    """Arguments and environment without a node_modules above and with nothing on the PATH."""
    probe = (
        "import sys, sandbox.devnets.evm.anvil as a; a.__file__ = '/nowhere/at/all/anvil.py';"
        "from sandbox.devnets.evm.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    (tmp_path / "empty").mkdir(exist_ok=True)
    env = {"PATH": str(tmp_path / "empty"), "PYTHONPATH": str(Path(__file__).parents[3])}
    argv = [sys.executable, "-c", probe, "--json", "--port", "0", "--data-dir", str(data_dir)]
    return argv, {"env": env, "cwd": tmp_path / "empty"}


async def test_it_runs_by_itself_where_anvil_is_not_installed(tmp_path: Path) -> None:
    argv, where = where_anvil_is_not_installed(tmp_path, tmp_path / "chain")
    child = await asyncio.create_subprocess_exec(
        *argv, **where, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    ready = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))
    assert ready["chain_id"] == 31337
    child.terminate()
    _, said = await asyncio.wait_for(child.communicate(), 20)
    assert child.returncode == 0
    assert said.count(b"\n") == 1
    assert b"runs on eth-tester instead of anvil (anvil is not installed: run `npm ci" in said
    # Where anvil is installed later, the chain goes on with the engine that made it.
    again = await process.start(
        process.command(tmp_path / "chain"), stderr=asyncio.subprocess.DEVNULL
    )
    assert again.genesis == ready["genesis"]
    assert await again.stop() == 0


async def test_a_chain_of_anvil_is_not_taken_over_where_anvil_is_missing(
    stopped_chain: Chain, tmp_path: Path
) -> None:
    await stopped_chain.start()
    await stopped_chain.stop()
    argv, where = where_anvil_is_not_installed(tmp_path, stopped_chain.data_dir)
    code, said = await refused(argv, **where)
    assert code == 2
    assert said.count("\n") == 1
    assert "anvil is not installed: run `npm ci --ignore-scripts`" in said


async def test_wrong_transactions_are_refused_in_anvils_words(fallback: Chain) -> None:
    await fallback.pay(0)
    for raw, words in (
        ("0x02c0", "not a signed transaction"),
        ("0x" + "ff" * 60, "not a signed transaction"),
        (transfer(0), "nonce too low"),
        (transfer(1, most=1, tip=0), "less than block base fee"),
        (transfer(1, value=10**30), "Insufficient funds"),
    ):
        with pytest.raises(Refused, match=words):
            await fallback.send(raw)
    later = await fallback.send(transfer(2))
    assert await fallback.call("txpool_status") == {"pending": "0x0", "queued": "0x1"}
    await fallback.pay(1)
    assert (await fallback.receipt(later))["status"] == "0x1"


async def test_a_burst_from_one_sender_fits_into_blocks(fallback: Chain) -> None:
    sent = [await fallback.send(transfer(nonce)) for nonce in range(20)]
    receipts = [await fallback.receipt(tx) for tx in sent]
    assert [r["status"] for r in receipts] == ["0x1"] * 20
    assert int(await fallback.call("eth_getBalance", OTHER, "latest"), 16) == 20


async def test_the_clock_moves_and_survives_a_kill(fallback: Chain) -> None:
    await fallback.call("sandbox_setClock", {"offsetMs": HOUR_MS, "frozenAtMs": None})
    receipt = await fallback.pay(0)
    await fallback.final(int(receipt["blockNumber"], 16))
    before = [await fallback.head(hex(n)) for n in range(await fallback.height() + 1)]
    await fallback.kill()
    await fallback.start()
    assert (await fallback.call("sandbox_getClock"))["offsetMs"] == HOUR_MS
    after = [await fallback.head(hex(n)) for n in range(len(before))]
    assert after == before
    stamps = [int(block["timestamp"], 16) for block in before]
    assert stamps == sorted(set(stamps))  # equal stamps are not legal here


async def test_subscriptions_and_web3_work_as_with_anvil(fallback: Chain) -> None:
    await fallback.quiet()
    async with connect(fallback.ws) as ws:
        await ws.send(json.dumps({"id": 1, "method": "eth_subscribe", "params": ["newHeads"]}))
        await ws.recv()
        receipt = await fallback.pay(0)
        head = json.loads(await ws.recv())["params"]["result"]
        assert head["hash"] == receipt["blockHash"]
    w3 = fallback.web3()
    try:
        seen = await w3.eth.get_transaction_receipt(receipt["transactionHash"])
        assert seen["gasUsed"] == 21_000
        block = await w3.eth.get_block(seen["blockHash"], full_transactions=True)
        assert block["transactions"][0]["from"] == FAUCET.address
    finally:
        await w3.provider.disconnect()


async def test_the_token_is_deployed_paid_and_swept_and_a_kill_keeps_it(
    fallback: Chain, database: Database, tmp_path: Path
) -> None:
    deployment, keys = await deploy(database, fallback.rpc, tmp_path / "keys", token.load())
    chain = EvmChain(fallback.rpc, deployment, keys)
    world = EvmWorld(fallback.rpc, chain, keys, deployment.config["token"])

    async def carry_out(command: Command) -> str:
        signed = await chain.prepare(command)
        await chain.broadcast(signed)
        await world.final(signed.tx_id)
        return signed.tx_id

    try:
        holder = await world.holder()
        await carry_out(Command("mint", "iss_1", holder, 1_000))
        option = chain.receive_option("cs_1", 250, "a coffee")
        paid = await world.pay(holder, option, 250)
        await world.final(paid)
        [treasury] = chain.own_addresses()
        assert (await chain.holdings(["cs_1"])).by_place[UNSWEPT] == 250
        swept = await carry_out(Command("sweep", "swp_1", sessions=("cs_1",)))
        assert (await chain.holdings(["cs_1"])).by_place[UNSWEPT] == 0
        assert (await chain.balance(treasury)).units == 250
        receipts = [await fallback.call("eth_getTransactionReceipt", tx) for tx in (paid, swept)]
        assert all(receipt["logs"] for receipt in receipts)
        port = int(fallback.rpc.rsplit(":", 1)[1])
        await fallback.kill()
        await fallback.start(port=port)
        again = [await fallback.call("eth_getTransactionReceipt", tx) for tx in (paid, swept)]
        assert again == receipts
        assert (await chain.balance(holder)).units == 750
    finally:
        await world.aclose()
        await chain.aclose()
