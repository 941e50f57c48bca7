"""Stopping, killing and starting again: the chain goes on, and no confirmed transaction is lost."""

import asyncio
import os
from pathlib import Path

import pytest
from solders.keypair import Keypair

from sandbox.devnets.solana import process
from tests.devnets.solana.chain import SOL, Chain, move

CONFIRMED = {"commitment": "confirmed"}


async def run(argv: list[str]) -> tuple[int | None, bytes, bytes]:
    """Exit code, stdout and stderr of a devnet that should not start."""
    child = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            out, said = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        raise
    return child.returncode, out, said


async def test_a_second_devnet_on_one_data_directory_is_refused(
    chain: Chain, tmp_path: Path
) -> None:
    with pytest.raises(process.DevnetDidNotStart) as refused:
        await process.start(process.command(chain.data_dir), stderr=asyncio.subprocess.PIPE)
    assert "is in use by another devnet" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("above", [0, 1])
async def test_a_port_in_use_is_refused_with_the_remedy(
    chain: Chain, tmp_path: Path, above: int
) -> None:
    port = int(chain.rpc.rsplit(":", 1)[1]) + above
    code, out, said = await run(process.command(tmp_path / "other", port=port))
    assert code == 2
    assert out == b""
    assert said.count(b"\n") == 1
    assert str(port).encode() in said
    assert b"--port" in said


async def test_a_damaged_journal_is_refused_and_not_cut(chain: Chain, tmp_path: Path) -> None:
    await chain.wallet()
    await chain.advance(5)
    await chain.stop()
    journal = chain.data_dir / "journal.bin"
    good = journal.read_bytes()
    journal.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
    code, _, said = await run(process.command(chain.data_dir))
    assert code == 3
    assert b"damaged" in said
    assert said.count(b"\n") == 1
    assert len(journal.read_bytes()) == len(good)
    journal.write_bytes(good)
    await chain.start()


async def test_a_clean_stop_loses_nothing_processed(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    signature = await chain.pay(payer, receiver, SOL)
    assert (await chain.status(signature))["confirmationStatus"] == "processed"
    await chain.stop()
    await chain.start()
    assert (await chain.status(signature))["confirmationStatus"] == "confirmed"
    assert await chain.balance(receiver, "confirmed") == SOL


async def test_genesis_and_blocks_are_the_same_after_a_restart(chain: Chain) -> None:
    payer = await chain.wallet()
    for _ in range(45):
        await chain.pay(payer, Keypair().pubkey(), SOL // 100)
        await chain.advance(1)
    genesis = await chain.call("getGenesisHash")
    options = CONFIRMED | {"encoding": "base64"}
    blocks = [await chain.call("getBlock", slot, options) for slot in range(46)]
    await chain.stop()
    await chain.start()
    assert await chain.call("getGenesisHash") == genesis
    assert chain.running is not None
    assert chain.running.genesis == genesis
    assert [await chain.call("getBlock", slot, options) for slot in range(46)] == blocks
    await chain.advance(1)
    following = await chain.call("getBlock", 46, options)
    assert following["previousBlockhash"] == blocks[-1]["blockhash"]
    assert await chain.call("getTransactionCount", CONFIRMED) == 46


@pytest.mark.parametrize("tail", [b"\x07", b"\x00" * 64, b"\xff\x00\x00\x00abcdefgh"])
async def test_a_torn_last_frame_is_dropped(chain: Chain, tail: bytes) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.pay(payer, receiver, SOL)
    slot = await chain.advance(3)
    await chain.kill()
    with (chain.data_dir / "journal.bin").open("ab") as journal:
        journal.write(tail)
    await chain.start()
    assert await chain.call("getSlot", {"commitment": "processed"}) == slot
    assert await chain.balance(receiver, "confirmed") == SOL
    await chain.advance(1)


async def test_a_cut_last_slot_is_dropped_and_the_chain_goes_on(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(3)
    await chain.pay(payer, receiver, SOL)
    slot = await chain.advance(1)
    await chain.kill()
    path = chain.data_dir / "journal.bin"
    os.truncate(path, path.stat().st_size - 5)
    await chain.start()
    assert await chain.call("getSlot", {"commitment": "processed"}) == slot - 1
    assert await chain.balance(receiver) == 0
    await chain.pay(payer, receiver, SOL)
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == SOL


async def test_payments_go_on_across_a_restart(chain: Chain) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    raw = await chain.sign(move(payer, receiver, SOL), signers=[payer])
    await chain.advance(1)
    await chain.stop()
    await chain.start()
    await chain.send(raw)  # signed before, its blockhash is still known
    assert await chain.balance(receiver) == SOL
