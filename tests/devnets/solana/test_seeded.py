"""A chain from a seed, in step with transactions: the same one each time."""

from pathlib import Path

from solders.keypair import Keypair

from sandbox.core.chance import START
from sandbox.devnets.solana.bank import MAX_HASH_AGE, Depths
from tests.devnets.solana.inside import InsideChain

SOL = 1_000_000_000
IN_STEP = Depths(in_step=True)
PAYER, RECEIVER = Keypair.from_seed(bytes([1] * 32)), Keypair.from_seed(bytes([2] * 32)).pubkey()


async def played(chain: InsideChain) -> list[str]:
    sent = [await chain.call("requestAirdrop", str(PAYER.pubkey()), SOL)]
    sent.append(await chain.pay(PAYER, RECEIVER, 10_000_000))
    return [*sent, chain.bank.tip.hash.hex()]


async def test_another_seed_makes_another_chain(tmp_path: Path) -> None:
    one, two = (InsideChain(tmp_path / str(seed), IN_STEP, seed=seed) for seed in (7, 8))
    assert one.bank.genesis_hash != two.bank.genesis_hash
    assert await played(one) != await played(two)


async def test_the_same_seed_gives_the_same_transactions_and_hashes(tmp_path: Path) -> None:
    one, two = (InsideChain(tmp_path / name, IN_STEP, seed=7) for name in "ab")
    assert await played(one) == await played(two)
    assert one.bank.tip.time == START.timestamp()


async def test_each_transaction_has_a_slot_of_its_own_and_is_final_when_it_is_answered(
    tmp_path: Path,
) -> None:
    chain = InsideChain(tmp_path / "a", IN_STEP, seed=7)
    sent, paid, _ = await played(chain)
    for signature in (sent, paid):
        assert (await chain.status(signature))["confirmationStatus"] == "finalized"
    assert chain.bank.tip.slot == 2 * IN_STEP.finality
    # Nothing else moves it: the newest slot is one that is sealed.
    assert await chain.call("getSlot", {"commitment": "processed"}) == chain.bank.tip.slot
    chain.node.producer._seal()
    assert chain.bank.tip.slot == 2 * IN_STEP.finality


async def test_it_goes_on_in_step_after_a_kill(tmp_path: Path) -> None:
    one, two = (InsideChain(tmp_path / name, IN_STEP, seed=7) for name in "ab")
    await played(one)
    await one.kill()
    await one.start()
    await played(two)
    assert await one.pay(PAYER, RECEIVER, 20_000_000) == await two.pay(PAYER, RECEIVER, 20_000_000)
    assert one.bank.tip.time == START.timestamp()


async def test_a_paused_chain_gathers_what_is_sent_into_one_slot(tmp_path: Path) -> None:
    chain = InsideChain(tmp_path / "a", IN_STEP, seed=7)
    await chain.call("requestAirdrop", str(PAYER.pubkey()), SOL)
    chain.node.producer.pause()
    await chain.pay(PAYER, RECEIVER, 10_000_000)
    await chain.pay(PAYER, RECEIVER, 20_000_000)
    assert len(chain.bank.history.open_records) == 2
    chain.node.producer.resume()
    chain.node.producer._seal()
    assert chain.bank.tip.slot == 2 * IN_STEP.finality


async def test_a_lost_transaction_can_soon_no_longer_come(tmp_path: Path) -> None:
    chain = InsideChain(tmp_path / "a", IN_STEP, seed=7)
    before = await chain.blockhash("finalized")
    chain.node.producer.let_expire()
    chain.node.producer._seal()
    assert chain.bank.final_block.height > MAX_HASH_AGE
    assert chain.bank.hash_block(bytes(before)) is None
