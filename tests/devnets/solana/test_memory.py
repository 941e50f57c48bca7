"""Memory holds what is recent, counted in objects, not bytes; what is older is read from disk."""

import gc
from collections import Counter
from pathlib import Path

from sandbox.devnets.solana.bank import Bank
from sandbox.devnets.solana.records import Block, Record
from tests.devnets.solana.banks import DEPTHS, new_keys, pay

RECORDS, SLOTS = 100, 900


def held(bank: Bank) -> Counter[str]:
    """What grows with transactions, blocks, or accounts that change."""
    gc.collect()
    alive = Counter(type(each).__name__ for each in gc.get_objects()
                    if isinstance(each, Record | Block))  # fmt: skip
    history, accounts = bank.history, bank.accounts
    parts = (
        history.blocks, history._by_slot, history._by_hash, history._by_signature,
        history._by_address, bank._recent, bank._recent._by_height, accounts._layers,
        accounts._touched, accounts.unsaved,
    )  # fmt: skip
    return alive + Counter({f"part {n}": len(part) for n, part in enumerate(parts)})


def grow(bank: Bank) -> bytes:
    first = b""
    for step in range(SLOTS):
        for key in new_keys(2):
            first = first or pay(bank, key, 10**6 + step).signature
        bank.seal(sync=False)
        if step % 50 == 0:
            bank._checkpoints.wait()  # the disk keeps up: slots here come faster than any clock's
    return first


def test_memory_does_not_grow_with_history_and_old_blocks_are_on_disk(tmp_path: Path) -> None:
    bank = Bank.open(tmp_path, DEPTHS, max_memory_records=RECORDS)
    old = grow(bank)
    before, journal = held(bank), (tmp_path / "journal.bin").stat().st_size
    grow(bank)
    after = held(bank)
    assert after["Record"] < 5 * RECORDS
    assert after["Block"] < 2_000
    # Where a checkpoint or a trim stands makes the difference; ten times more slots would not.
    for part, count in after.items():
        assert count <= before[part] + 5 * RECORDS + 256, part
    assert (tmp_path / "journal.bin").stat().st_size < journal + 1_000_000
    record = bank.history.record(old)
    assert record is not None
    assert record.signature == old
    block = bank.history.block(record.slot)
    assert block is not None
    assert block.records is None
    assert next(each.signature for each in bank.history.records_of(block)) == old
    listed = bank.history.listed(bytes(new_keys()[0]), 2**62, 10**6)
    assert [each.signature for each in listed].count(old) == 1
    bank.close()
    again = Bank.open(tmp_path, DEPTHS, max_memory_records=RECORDS)
    assert held(again)["Record"] < 3 * RECORDS
