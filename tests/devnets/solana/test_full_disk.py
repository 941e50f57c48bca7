"""No room on the disk, as a limit on the size of files: the process says so and ends, and the chain
goes on behind the last slot that anybody was shown.
"""

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tests.devnets.solana.chain import SOL, Chain, Refused

CONFIRMED = {"commitment": "confirmed"}
EXIT_DATA = 3


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    made = Chain(tmp_path / "chain", stderr=asyncio.subprocess.PIPE, max_memory_records=50)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


def no_more_than(chain: Chain, size: int) -> None:
    """No file of the process grows beyond `size` bytes from now on."""
    assert chain.running is not None
    _, most = resource.prlimit(chain.running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(chain.running.pid, resource.RLIMIT_FSIZE, (size, most))


async def ended(chain: Chain) -> str:
    """What it said when it ended by itself."""
    assert chain.running is not None
    process = chain.running.process
    assert process.stderr is not None
    async with asyncio.timeout(20):
        said = await process.stderr.read()
        assert await process.wait() == EXIT_DATA
    chain.running = None
    return said.decode()


async def test_a_slot_that_cannot_be_written_is_never_shown_and_the_chain_goes_on(
    chain: Chain,
) -> None:
    payer, receiver = await chain.wallet(), Keypair().pubkey()
    await chain.advance(1)
    kept = await chain.pay(payer, receiver, SOL)
    slot = await chain.advance(1)
    lost = await chain.pay(payer, receiver, 2 * SOL)
    no_more_than(chain, (chain.data_dir / "journal.bin").stat().st_size + 100)
    with pytest.raises(Refused, match=r"The chain cannot be written: .*File too large"):
        await chain.advance(5)
    said = await ended(chain)
    assert said.startswith(f"the chain in {chain.data_dir} cannot be written: ")
    assert said.count("\n") == 1
    await chain.start()
    assert await chain.call("getSlot", {"commitment": "processed"}) == slot
    assert await chain.balance(receiver, "confirmed") == SOL
    assert (await chain.status(kept))["confirmationStatus"] == "confirmed"
    assert await chain.status(lost) is None
    await chain.pay(payer, receiver, 3 * SOL)
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == 4 * SOL


async def test_a_slot_made_by_time_that_cannot_be_written_ends_the_process_too(
    chain: Chain,
) -> None:
    await chain.advance(2)
    await chain.call("sandbox_setSlotMs", {"slotMs": 20})
    no_more_than(chain, (chain.data_dir / "journal.bin").stat().st_size + 1)
    await chain.call("sandbox_resume")
    assert "cannot be written" in await ended(chain)
    await chain.start()
    assert await chain.call("getSlot", {"commitment": "processed"}) == 3


async def test_a_checkpoint_that_cannot_be_written_loses_nothing(chain: Chain) -> None:
    payer, receiver = await chain.wallet(1_000 * SOL), Keypair().pubkey()
    await chain.advance(1)
    sent = []
    for n in range(60):
        sent.append(await chain.pay(payer, receiver, SOL + n))
        if n % 10 == 0:
            await chain.advance(1)
    slot = await chain.advance(1)
    # Room for empty slots in the journal, none for sixty payments in the archive.
    no_more_than(chain, (chain.data_dir / "journal.bin").stat().st_size + 5_000)
    with pytest.raises(Refused, match="cannot be written"):
        await chain.advance(200)
    assert "cannot be written" in await ended(chain)
    await chain.start()
    reached = await chain.call("getSlot", {"commitment": "processed"})
    assert slot + 20 < reached < slot + 200  # some slots were sealed while it was written
    found = await chain.value("getSignatureStatuses", sent, {"searchTransactionHistory": True})
    assert all(status and status["err"] is None for status in found)
    await chain.advance(100)
    assert await chain.balance(receiver, "confirmed") == sum(SOL + n for n in range(60))


async def test_a_snapshot_that_cannot_be_written_or_put_back_is_refused_and_the_chain_lives_on(
    chain: Chain,
) -> None:
    receiver = Keypair().pubkey()
    payer = await chain.wallet()
    await chain.advance(2)
    await chain.call("sandbox_snapshot", {"name": "one"})
    no_more_than(chain, 20_000)  # room for slots, not for an archive
    with pytest.raises(Refused, match=r"the snapshot cannot be written: .*chain\.db"):
        await chain.call("sandbox_snapshot", {"name": "two"})
    with pytest.raises(Refused, match=r"snapshot one cannot be used: .*File too large"):
        await chain.call("sandbox_restore", {"name": "one"})
    await chain.pay(payer, receiver, SOL)
    await chain.advance(1)
    assert await chain.balance(receiver, "confirmed") == SOL
    no_more_than(chain, 10**9)
    await chain.call("sandbox_snapshot", {"name": "two"})
    await chain.call("sandbox_restore", {"name": "one"})
    assert await chain.balance(receiver) == 0
    await chain.call("sandbox_restore", {"name": "two"})
    assert await chain.balance(receiver, "confirmed") == SOL
