"""The bank alone, in this process: crashes at the worst moments of a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sandbox.devnets.solana import execution
from sandbox.devnets.solana.archive import ArchiveUnusable
from sandbox.devnets.solana.bank import Bank, Depths
from sandbox.devnets.solana.records import Record
from tests.devnets.solana.chain import SOL, move

DEPTHS = Depths(confirmed=1, finality=4)


def pay(bank: Bank, receiver: Pubkey, lamports: int) -> Record:
    faucet = bank.faucets[0]
    message = Message.new_with_blockhash(
        [move(faucet, receiver, lamports)], faucet.pubkey(), Hash(bank.tip.hash)
    )
    incoming = execution.decode(bytes(VersionedTransaction(message, [faucet])))
    assert execution.is_signed(incoming)
    done = bank.execute(incoming, keep_failed=True)
    assert isinstance(done, Record)
    return done


def content(bank: Bank, keys: list[Pubkey]) -> Any:
    """Everything that must not differ between two openings of one chain."""
    levels = (None, bank.slot_at("confirmed"), bank.slot_at("finalized"))
    slots = bank.history.slots(0, bank.open_slot, 10_000)
    blocks = [bank.history.block(slot) for slot in slots]
    return (
        [[bank.accounts.at(bytes(key), slot) for slot in levels] for key in keys],
        [(b.slot, b.parent, b.height, b.time, b.hash, b.tx_total) for b in blocks if b],
        [[r.body for r in bank.history.records_of(b)] for b in blocks if b],
        [[r.signature for r in bank.history.records_for(bytes(k), 2**62, 999)] for k in keys],
        bank.open_slot,
    )


class Crash(Exception):
    pass


@pytest.mark.parametrize("crash_at", ["before", "archive", "journal", "after"])
def test_a_crash_around_a_checkpoint_loses_nothing(
    tmp_path: Path, crash_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = Bank.open(tmp_path, DEPTHS)
    keys = [Keypair().pubkey() for _ in range(5)]
    for step in range(30):
        for key in keys[: step % 6]:
            pay(bank, key, SOL + step)
        bank.seal()
        if step in (12, 22):
            bank.reorg(3)
        if step == 15:
            bank.checkpoint()
            bank.set_clock(5, 2_000_000_000_000)

    def crash(*_: Any, **__: Any) -> None:
        raise Crash

    before = content(bank, keys)
    if crash_at == "archive":
        monkeypatch.setattr(bank._archive, "_write_blocks", crash)
    if crash_at == "journal":
        monkeypatch.setattr(bank._journal, "rewrite", crash)
    if crash_at in ("archive", "journal"):
        with pytest.raises(Crash):
            bank.checkpoint()
    elif crash_at == "after":
        bank.checkpoint()
        assert content(bank, keys) == before
    # No close: what is open now is what a dead process leaves.
    again = Bank.open(tmp_path, DEPTHS)
    assert content(again, keys) == before
    assert (again.clock.offset_ms, again.clock.frozen_at_ms) == (5, 2_000_000_000_000)
    for signature in [r.signature for r in again.history.records_for(bytes(keys[0]), 2**62, 9)]:
        assert again.is_known(signature)
    pay(again, keys[0], SOL)
    again.seal()
    assert again.tip.previous == before[1][-1][4]


def test_a_block_shown_as_confirmed_is_already_on_disk(tmp_path: Path) -> None:
    """Each confirmed slot is found by a second reader of the same files."""
    (tmp_path / "one").mkdir()
    bank = Bank.open(tmp_path / "one", DEPTHS)
    receiver = Keypair().pubkey()
    for step in range(10):
        record = pay(bank, receiver, SOL + step)
        assert bank.level_of(record.slot) == "processed"
        bank.seal()
        assert bank.level_of(record.slot) == "confirmed"
        copy = tmp_path / f"copy{step}"
        copy.mkdir()
        for name in ("chain.db", "journal.bin"):
            (copy / name).write_bytes((tmp_path / "one" / name).read_bytes())
        assert Bank.open(copy, DEPTHS).history.record(record.signature) == record


def test_a_chain_that_died_before_its_first_commit_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "chain.db").touch()
    assert Bank.open(tmp_path, DEPTHS).open_slot == 1


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chain.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(ArchiveUnusable):
        Bank.open(tmp_path, DEPTHS)
