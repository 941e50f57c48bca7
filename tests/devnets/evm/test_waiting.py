"""What waits in the pool too long, and what anvil holds: said once, and shown by control."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from tests.devnets.evm.chain import ETHER, FAUCET, GWEI, Chain, Refused, transfer, until


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Chain]:
    """A chain that says after half a second what waits; its words are in `stderr`."""
    said = os.open(tmp_path / "stderr", os.O_RDWR | os.O_CREAT)
    made = Chain(tmp_path / "chain", stderr=said, pool_seconds=0.5)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
        os.close(said)


def lines(chain: Chain) -> list[str]:
    return (chain.data_dir.parent / "stderr").read_text().splitlines()


async def said(chain: Chain, words: str) -> str:
    async def found() -> str:
        return next((line for line in lines(chain) if words in line), "")

    line: str = await until(found, f"the line {words!r}")
    return line


async def test_without_the_flag_health_is_not_served(stopped_chain: Chain) -> None:
    await stopped_chain.start(control=False)
    with pytest.raises(Refused, match="with --faults only"):
        await stopped_chain.call("sandbox_health")


async def test_a_nonce_gap_is_said_once_with_sender_and_nonce(watched: Chain) -> None:
    tx = await watched.send(transfer(2))
    line = await said(watched, tx)
    sender = FAUCET.address.lower()
    assert f"of {sender} (nonce 2) waits for" in line
    assert line.endswith("nonce gap, the sender's next nonce is 0")
    [waiting] = (await watched.call("sandbox_health"))["waiting"]
    assert (waiting["hash"], waiting["from"], waiting["nonce"]) == (tx, sender, 2)
    await asyncio.sleep(2.2)
    assert len(lines(watched)) == 1
    await watched.pay(0)
    await watched.pay(1)
    await watched.receipt(tx)
    health = await watched.call("sandbox_health")
    assert (health["waiting"], health["pool"]) == ([], 0)


async def test_one_that_the_base_fee_outgrows_is_said_and_does_not_come_again(
    watched: Chain,
) -> None:
    key = Account.from_key("0x" + "0e" * 32)
    await watched.call("anvil_setBalance", key.address, hex(ETHER))
    await watched.call("sandbox_pause")
    cheap = await watched.send(transfer(0, key=key, tip=0, most=GWEI))
    await watched.call("anvil_setNextBlockBaseFeePerGas", hex(10 * GWEI))
    await watched.call("sandbox_resume")
    await watched.pay(0)
    # Before, it may have been said to wait: whoever is slow leaves it there for half a second.
    line = await said(watched, f"{cheap} of {key.address.lower()} (nonce 0) left the pool")
    assert "left the pool without a block" in line
    assert "it offers 1000000000 wei per gas and a block takes" in line
    assert lines(watched).count(line) == 1
    assert not [each for each in lines(watched) if "started it again" in each]
    await watched.call("anvil_setNextBlockBaseFeePerGas", hex(GWEI // 2))
    await watched.call("sandbox_mine", {"blocks": 1})
    await watched.kill()
    await watched.start()
    assert await watched.call("eth_getTransactionByHash", cheap) is None
    assert (await watched.pay(0, key=key))["status"] == "0x1"


async def test_many_at_once_are_said_in_few_lines(watched: Chain) -> None:
    await watched.send_at_once([transfer(nonce) for nonce in range(1, 21)])
    await said(watched, "and 15 more: see sandbox_health")
    assert len(lines(watched)) == 6
    assert len((await watched.call("sandbox_health"))["waiting"]) == 20


async def test_what_was_replaced_does_not_wait(watched: Chain) -> None:
    await watched.call("sandbox_pause")
    better = transfer(0, tip=2 * GWEI, most=30 * GWEI)
    _, again = await watched.send_at_once([transfer(0), better])
    line = await said(watched, again)
    assert line.endswith("payable, the next block should hold it")
    health = await watched.call("sandbox_health")
    assert [each["hash"] for each in health["waiting"]] == [again]
    await watched.call("sandbox_resume")
    await watched.receipt(again)
    await asyncio.sleep(1.2)
    assert lines(watched) == [line]


async def test_anvils_memory_is_said_at_thresholds_and_health_counts_a_restart(
    tmp_path: Path, watched: Chain
) -> None:
    health: dict[str, Any] = await watched.call("sandbox_health")
    assert (health["up"], health["engine"]) == (True, "anvil/v1.7.1")
    assert health["anvilPid"] == watched.anvil_pid()
    assert 5 < health["residentMb"] < health["residentMbMost"] == 400
    held = health["residentMb"]
    await watched.stop()
    await watched.start(anvil_memory_mb=int(held * 1.4))
    line = await said(watched, "of what it may")
    assert "MB" in line
    os.kill(watched.anvil_pid(), signal.SIGKILL)
    await said(watched, "anvil ended: started it again, block")
    assert (await watched.call("sandbox_health"))["anvilPid"] == watched.anvil_pid()
