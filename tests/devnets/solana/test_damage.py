"""Files that were damaged, cut, exchanged or lost: the bank says so by name and keeps all of it.

What a kill can leave is no damage, and opens.
"""

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sandbox.devnets.journal_file import JournalCorrupt
from sandbox.devnets.solana.archive import ArchiveUnusable
from sandbox.devnets.solana.bank import Bank
from tests.devnets.solana.banks import DEPTHS, content, new_keys, pay, play
from tests.devnets.solana.chain import SOL

FILES = ("chain.db", "journal.bin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A chain of sixty slots, with a checkpoint, a reorg and open slots, as a kill leaves it."""
    (tmp_path / "one").mkdir()
    play(Bank.open(tmp_path / "one", DEPTHS))
    return tmp_path / "one"


def refusal(folder: Path) -> str:
    before = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
    with pytest.raises((JournalCorrupt, ArchiveUnusable)) as refused:
        Bank.open(folder, DEPTHS)
    for name, was in before.items():
        assert (folder / name).read_bytes() == was, f"{name} was changed"
    return str(refused.value)


@pytest.mark.parametrize("junk", [b"garbage", b"\0" * 7, b"x" * 5_000, bytes(5_000)])
def test_a_journal_replaced_by_garbage_is_refused(folder: Path, junk: bytes) -> None:
    (folder / "journal.bin").write_bytes(junk)
    said = refusal(folder)
    assert "does not begin as a journal does" in said or "the frame at byte 0 is damaged" in said


@pytest.mark.parametrize("how", ["empty", "gone"])
def test_a_journal_that_is_gone_is_refused(folder: Path, how: str) -> None:
    (folder / "journal.bin").unlink()
    if how == "empty":
        (folder / "journal.bin").touch()
    assert "chain.db ends at slot" in refusal(folder)


def test_an_archive_that_is_gone_is_refused_while_its_journal_is_there(folder: Path) -> None:
    (folder / "chain.db").unlink()
    assert "the chain.db beside it is gone" in refusal(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_chain_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "two").mkdir()
    play(Bank.open(tmp_path / "two", DEPTHS))
    shutil.copy(tmp_path / "two" / name, folder / name)
    assert "another chain's" in refusal(folder)


def test_a_journal_from_before_the_archive_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "journal.bin", tmp_path / "older")
    bank = Bank.open(folder, DEPTHS)
    bank.advance(100)
    bank.checkpoint()
    bank.advance(1)
    shutil.copy(tmp_path / "older", folder / "journal.bin")
    assert "above it" in refusal(folder)


def test_an_archive_from_before_the_journal_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "chain.db", tmp_path / "older")
    bank = Bank.open(folder, DEPTHS)
    bank.advance(100)
    bank.checkpoint()
    shutil.copy(tmp_path / "older", folder / "chain.db")
    assert "it begins at slot" in refusal(folder)


def test_a_journal_cut_below_what_was_written_in_one_step_is_refused(folder: Path) -> None:
    bank = Bank.open(folder, DEPTHS)
    bank.checkpoint()
    journal = folder / "journal.bin"
    journal.write_bytes(journal.read_bytes()[:-3])
    assert "it is cut short" in refusal(folder)


def test_a_journal_cut_anywhere_in_what_was_appended_is_the_chain_of_that_slot(
    folder: Path,
) -> None:
    """What a machine without power can leave: the slots up to the cut, no half of one."""
    bank, keys = Bank.open(folder, DEPTHS), new_keys()
    bank.checkpoint()
    journal = folder / "journal.bin"
    ends = [(journal.stat().st_size, content(bank, keys))]
    for step in range(8):
        for key in keys[: step % 3]:
            pay(bank, key, SOL + step)
        bank.seal()
        ends.append((journal.stat().st_size, content(bank, keys)))
    bank.shut()
    whole, dice = journal.read_bytes(), random.Random(6)
    for _ in range(40):
        cut = dice.randint(ends[0][0], len(whole))
        tail = dice.choice([b"", bytes(dice.randint(0, 200))])  # zeros: a file longer than its data
        journal.write_bytes(torn := whole[:cut] + tail)
        again = Bank.open(folder, DEPTHS)
        assert content(again, keys) == [seen for end, seen in ends if torn[:end] == whole[:end]][-1]
        again.shut()


def test_a_slot_that_does_not_follow_is_refused(folder: Path) -> None:
    """A whole frame is missing in the middle: each other one is sound."""
    bank = Bank.open(folder, DEPTHS)
    places = [block.frame for block in bank.history.blocks if block.frame]
    (start, length), journal = places[-4], folder / "journal.bin"
    was = journal.read_bytes()
    journal.write_bytes(was[:start] + was[start + length :])
    assert "does not follow slot" in refusal(folder)


def test_every_damaged_byte_is_refused_or_is_in_no_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flipped bits in both files: a refusal by name, or the same chain.

    Left out: the journal's last frame, which looks torn (here a clock frame, which says nothing
    new), and the archive's indexes, which have no checksums, so what is listed by address.
    """
    monkeypatch.setattr("secrets.token_bytes", bytes)  # the same files in each run
    monkeypatch.setattr("time.time_ns", lambda: 1_800_000_000_000_000_000)
    keys, folder = new_keys(), tmp_path
    play(bank := Bank.open(folder, DEPTHS))
    bank.set_clock(5, 2_000_000_000_000)

    def opened() -> Any:
        accounts, blocks, records, _, open_slot = content(Bank.open(folder, DEPTHS), keys)
        return accounts, blocks, records, open_slot

    good = opened()
    rng, refused = random.Random(7), 0
    for name in FILES:
        was = (folder / name).read_bytes()
        for _ in range(60):
            at = rng.randrange(len(was))
            (folder / name).write_bytes(
                was[:at] + bytes([was[at] ^ 1 << rng.randrange(8)]) + was[at + 1 :]
            )
            try:
                assert opened() == good, f"byte {at} of {name}"
            except (JournalCorrupt, ArchiveUnusable):
                refused += 1
            (folder / name).write_bytes(was)
            (folder / "chain.db-journal").unlink(missing_ok=True)
    assert refused > 60
    assert opened() == good


@pytest.mark.parametrize("table", ["record", "listed"])
def test_a_damaged_transaction_in_the_archive_is_not_given_out(folder: Path, table: str) -> None:
    key = bytes(new_keys()[0])
    bank = Bank.open(folder, DEPTHS)
    bank.advance(200)  # so that none of them is looked at to refuse it a second time
    bank.checkpoint()
    [listed] = bank.history.listed(key, 2**62, 1)
    bank.close()
    column = {"record": "body", "listed": "entry"}[table]
    with contextlib.closing(sqlite3.connect(folder / "chain.db")) as db:
        found = db.execute(f"select {column} from {table} where position = {listed.position}")
        (blob,) = found.fetchone()
        damaged = blob[:60] + bytes([blob[60] ^ 4]) + blob[61:]
        db.execute(f"update {table} set {column} = ? where {column} = ?", (damaged, blob))
        db.commit()
    bank = Bank.open(folder, DEPTHS)
    with pytest.raises(ArchiveUnusable, match="damaged"):
        _ = bank.history.record(listed.signature), bank.history.listed(key, 2**62, 9)
    bank.close()


def test_an_archive_of_another_layout_is_refused(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "chain.db")) as db:
        db.execute("pragma user_version = 2")
    assert "layout 2, this program reads 3" in refusal(folder)


@pytest.mark.parametrize("left", ["head", "nothing"])
def test_a_chain_that_died_while_it_was_founded_begins_anew(tmp_path: Path, left: str) -> None:
    bank = Bank.open(tmp_path, DEPTHS)
    bank.close()
    (tmp_path / "chain.db").unlink()
    if left == "nothing":
        (tmp_path / "journal.bin").unlink()
    assert Bank.open(tmp_path, DEPTHS).genesis_hash != bank.genesis_hash
