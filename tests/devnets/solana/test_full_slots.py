"""A slot that holds more than the journal or an index can say: refused, never lost."""

from pathlib import Path

import pytest
from solders.keypair import Keypair

from sandbox.devnets import journal_file
from sandbox.devnets.solana import bank
from sandbox.devnets.solana.bank import Bank
from tests.devnets.solana.chain import SOL, Refused
from tests.devnets.solana.inside import InsideChain


async def test_a_slot_too_large_for_the_journal_is_not_written_and_so_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = InsideChain(tmp_path / "chain")
    payer = await chain.wallet()
    await chain.advance(1)
    before = (tmp_path / "chain" / "journal.bin").stat().st_size
    monkeypatch.setattr(journal_file, "_MAX_FRAME", 4_000)
    for at in range(10):
        await chain.pay(payer, Keypair().pubkey(), SOL // 100 + at)
    with pytest.raises(OSError, match="too large"):
        chain.bank.seal()
    assert (tmp_path / "chain" / "journal.bin").stat().st_size == before
    chain.bank.shut()
    again = Bank.open(tmp_path / "chain")
    assert again.tip.slot == chain.bank.tip.slot
    again.close()


async def test_a_full_block_takes_no_more_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = InsideChain(tmp_path / "chain")
    payer = await chain.wallet()
    await chain.advance(1)
    monkeypatch.setattr(bank, "MAX_IN_SLOT", 3)
    for at in range(3):
        await chain.pay(payer, Keypair().pubkey(), SOL // 100 + at)
    with pytest.raises(Refused, match="would exceed max Block Cost Limit"):
        await chain.pay(payer, Keypair().pubkey(), SOL // 100)
    await chain.advance(1)
    await chain.pay(payer, Keypair().pubkey(), SOL // 100)
    await chain.close()
