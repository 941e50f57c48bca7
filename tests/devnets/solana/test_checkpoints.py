"""The bank alone, in this process: crashes at the worst moments of a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from sandbox.devnets.solana.archive import ArchiveUnusable
from sandbox.devnets.solana.bank import Bank
from tests.devnets.solana.banks import DEPTHS, content, new_keys, pay
from tests.devnets.solana.chain import SOL


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
        monkeypatch.setattr(bank._journal, "give_way", crash)
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
    for signature in [r.signature for r in again.history.listed(bytes(keys[0]), 2**62, 9)]:
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


def test_a_list_is_whole_while_transactions_move_to_the_archive(tmp_path: Path) -> None:
    """Between memory and archive no transaction is missing or there twice, at any slot."""
    bank, receiver = Bank.open(tmp_path, DEPTHS, max_memory_records=3), new_keys()[0]
    key, paid = bytes(receiver), list[bytes]()
    for step in range(80):
        paid += [pay(bank, receiver, SOL + 7 * step + n).signature for n in range(step % 4)]
        bank.seal()
        listed = bank.history.listed(key, 2**62, 999)
        assert [each.signature for each in listed] == paid[::-1]
        if listed:
            below = listed[len(listed) // 2].position
            rest = bank.history.listed(key, below, 5)
            assert rest == [each for each in listed if each.position < below][:5]
    bank.checkpoint()
    assert bank.history.live_records < 12
    whole = bank.history.listed(key, 2**62, 999)
    assert [each.signature for each in whole] == paid[::-1]
    bank.close()
    assert Bank.open(tmp_path, DEPTHS).history.listed(key, 2**62, 999) == whole


def test_what_the_archive_has_is_cut_from_the_journal_after_a_restart_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, receiver = Bank.open(tmp_path, DEPTHS, max_memory_records=10), new_keys()[0]
    monkeypatch.setattr(bank._checkpoints, "_cut", lambda _standing: None)  # it never came to it
    for step in range(40):
        pay(bank, receiver, SOL + step)
        bank.seal()
    bank.close()
    before = (tmp_path / "journal.bin").stat().st_size
    again = Bank.open(tmp_path, DEPTHS, max_memory_records=10)
    again.seal()
    again.close()
    assert (tmp_path / "journal.bin").stat().st_size < before / 2
    assert len(Bank.open(tmp_path, DEPTHS).history.listed(bytes(receiver), 2**62, 99)) == 40
