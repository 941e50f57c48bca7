import asyncio
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sandbox.core import clock, failpoints
from sandbox.core.db import Database, Leader, LostLead
from sandbox.eventlog import keys, sequencer, service
from sandbox.eventlog.checkpoint import open_checkpoint
from sandbox.eventlog.errors import EventTooLong, WrongLogKey
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.merkle import leaf_hash, root_of
from sandbox.eventlog.types import NewEvent
from tests.eventlog.facts import append


async def rows(database: Database, sql: str) -> list[tuple[object, ...]]:
    async with database.transaction() as db:
        return [tuple(row) for row in await db.execute(text(sql))]


@pytest.mark.parametrize("table", ["event", "log_entry", "log_node", "checkpoint", "log_epoch"])
@pytest.mark.parametrize("act", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_application_role_may_not_change_or_remove_what_was_logged(
    database: Database, table: str, act: str
) -> None:
    column = {"event": "id", "log_epoch": "epoch"}.get(table, "epoch")
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction() as db:
            await db.execute(text(act.format(table, column, column)))


async def test_a_fact_too_long_for_a_leaf_is_refused_by_name(database: Database) -> None:
    async with database.transaction() as db:
        now = await clock.now(db)
        long = NewEvent("evt_1", "payment.final", now, {"tx": "x" * 65_536})
        with pytest.raises(EventTooLong):
            await service.append_many(db, [long], {})


async def test_a_stalled_leader_writes_nothing_after_it_lost_the_lead(
    database: Database, leader: Leader, key: LogKey
) -> None:
    await append(database, 1)
    async with database.transaction() as db:
        await db.execute(text("UPDATE leader SET term = term + 1"))
    with pytest.raises(LostLead):
        await sequencer.Sequencer(database, leader, key).step()
    assert await rows(database, "SELECT * FROM log_entry") == []
    assert len(await rows(database, "SELECT * FROM event_queue")) == 1


async def test_another_key_cannot_continue_the_log(
    database: Database, leader: Leader, key: LogKey, tmp_path: Path
) -> None:
    await sequencer.Sequencer(database, leader, key).step()
    await append(database, 1)
    other = keys.load_or_create(tmp_path / "other", "log.example")
    with pytest.raises(WrongLogKey):
        await sequencer.Sequencer(database, leader, other).step()


async def test_an_event_of_a_rolled_back_change_never_enters_the_log(
    database: Database, leader: Leader, key: LogKey
) -> None:
    async with database.transaction() as db:
        now = await clock.now(db)
        await service.append_many(db, [NewEvent("evt_1", "payment.final", now, {})], {})
        await db.rollback()
    assert await sequencer.Sequencer(database, leader, key).step() == 0


async def test_a_late_commit_is_not_skipped(
    database: Database, leader: Leader, key: LogKey
) -> None:
    async with database.transaction() as slow:
        now = await clock.now(slow)
        await service.append_many(slow, [NewEvent("evt_slow", "payment.final", now, {})], {})
        quick = await append(database, 1)
        assert await sequencer.Sequencer(database, leader, key).step() == 1
    assert await sequencer.Sequencer(database, leader, key).step() == 1
    found = await rows(database, "SELECT event_id FROM log_entry ORDER BY position")
    assert found == [(quick[0],), ("evt_slow",)]


async def test_an_open_log_has_an_empty_signed_checkpoint(
    database: Database, leader: Leader, key: LogKey
) -> None:
    assert await sequencer.Sequencer(database, leader, key).step() == 0
    assert await sequencer.Sequencer(database, leader, key).step() == 0
    [(size, note)] = await rows(database, "SELECT size, note FROM checkpoint")
    assert size == 0
    assert open_checkpoint(str(note).encode(), key.signer(1).verifier).size == 0


async def test_positions_and_sequences_are_gapless_over_any_batches(
    database: Database, leader: Leader, key: LogKey
) -> None:
    for count, merchant in ((3, "mch_1"), (2, None), (250, "mch_2"), (4, "mch_1"), (300, None)):
        await append(database, count, merchant)
        if count != 2:
            while await sequencer.Sequencer(database, leader, key).step(97):
                pass
    await append(database, 1, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    positions = await rows(database, "SELECT position FROM log_entry ORDER BY position")
    assert positions == [(i,) for i in range(560)]
    for merchant, count in (("mch_1", 8), ("mch_2", 250)):
        sequences = await rows(
            database,
            f"SELECT sequence FROM log_entry WHERE merchant = '{merchant}' ORDER BY position",
        )
        assert sequences == [(i,) for i in range(1, count + 1)]
    assert await rows(database, "SELECT count(*) FROM log_entry WHERE sequence IS NULL") == [(302,)]
    assert await rows(database, "SELECT id FROM event_queue") == []


async def test_every_checkpoint_signs_the_root_over_the_stored_leaves(
    database: Database, leader: Leader, key: LogKey
) -> None:
    one = sequencer.Sequencer(database, leader, key)
    for count in (1, 254, 1, 1, 600, 5):
        await append(database, count)
        await one.step()
    leaves = await rows(
        database,
        "SELECT leaf, leaf_hash FROM log_entry JOIN event ON event.id = event_id ORDER BY position",
    )
    hashes = [leaf_hash(bytes(leaf)) for leaf, _ in leaves]  # type: ignore[call-overload]  # they are bytea
    assert hashes == [stored for _, stored in leaves]
    notes = await rows(database, "SELECT size, root, note FROM checkpoint ORDER BY size")
    assert [size for size, _, _ in notes] == [0, 1, 255, 256, 257, 857, 862]
    for size, root, note in notes:
        found = open_checkpoint(str(note).encode(), key.signer(1).verifier)
        assert (found.size, found.root) == (size, root)
        assert root == root_of(hashes[: found.size])
    assert await rows(database, "SELECT level, index FROM log_node ORDER BY 1, 2") == [
        (1, 0),
        (1, 1),
        (1, 2),
    ]


async def test_events_keep_the_order_in_which_they_were_appended(
    database: Database, leader: Leader, key: LogKey
) -> None:
    ids = await append(database, 50)
    await sequencer.Sequencer(database, leader, key).step()
    found = await rows(database, "SELECT event_id FROM log_entry ORDER BY position")
    assert found == [(id_,) for id_ in ids]


async def test_what_was_not_committed_is_forgotten(
    database: Database, leader: Leader, key: LogKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sequencer.Sequencer(database, leader, key)
    await append(database, 3)
    await one.step()

    def fails(name: str) -> None:
        raise RuntimeError(name)

    await append(database, 2)
    monkeypatch.setattr(failpoints, "passed", fails)
    with pytest.raises(RuntimeError):
        await one.step()
    monkeypatch.undo()
    await append(database, 1)
    assert await one.step() == 3
    await _signed_roots_are_right(database, key)


async def test_what_another_one_placed_meanwhile_is_read(
    database: Database, leader: Leader, key: LogKey
) -> None:
    one, other = (sequencer.Sequencer(database, leader, key) for _ in range(2))
    for turn in (one, other, one, one, other):
        await append(database, 2)
        await turn.step()
    await _signed_roots_are_right(database, key)


async def _signed_roots_are_right(database: Database, key: LogKey) -> None:
    stored = await rows(database, "SELECT leaf_hash FROM log_entry ORDER BY position")
    hashes = [bytes(hash_) for (hash_,) in stored]  # type: ignore[call-overload]  # they are bytea
    notes = await rows(database, "SELECT note FROM checkpoint ORDER BY size")
    for (note,) in notes:
        found = open_checkpoint(str(note).encode(), key.signer(1).verifier)
        assert found.root == root_of(hashes[: found.size])


async def test_the_next_leader_goes_on_where_the_first_one_stopped(
    database: Database, db_url: str, leader: Leader, key: LogKey
) -> None:
    await append(database, 5)
    await sequencer.Sequencer(database, leader, key).step()
    await leader.release()
    other = Database(db_url)
    try:
        second = Leader(other, sequencer.LEADER, "second")
        assert await second.acquire()
        await append(database, 2)
        assert await sequencer.Sequencer(other, second, key).step() == 2
        await second.release()
    finally:
        await other.dispose()
    assert await rows(database, "SELECT max(position) FROM log_entry") == [(6,)]


async def test_only_one_of_two_workers_sequences_and_each_checkpoint_is_announced(
    database: Database, db_url: str, leader: Leader, key: LogKey
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(db_url)
    await listener.add_listener(sequencer.CHANNEL, lambda *call: heard.put_nowait(call[3]))
    try:
        second = Leader(database, sequencer.LEADER, "second")
        await append(database, 3)
        assert await sequencer.Sequencer(database, second, key).turn() == 0
        assert await sequencer.Sequencer(database, leader, key).turn() == 3
        assert await sequencer.Sequencer(database, leader, key).turn() == 0
        assert [await asyncio.wait_for(heard.get(), 10) for _ in range(2)] == ["0", "3"]
    finally:
        await listener.close()


async def test_the_first_turn_opens_the_log_before_there_is_an_event(
    database: Database, key: LogKey
) -> None:
    leader = Leader(database, sequencer.LEADER, "first")
    assert await sequencer.Sequencer(database, leader, key).turn() == 0
    assert await rows(database, "SELECT size FROM checkpoint") == [(0,)]
    await leader.release()


async def test_the_queue_is_named_as_busy_until_it_is_empty(
    database: Database, leader: Leader, key: LogKey
) -> None:
    await append(database, 2)
    async with database.transaction() as db:
        assert await service.busy(db) == ["2 events wait for their position"]
    await sequencer.Sequencer(database, leader, key).step()
    async with database.transaction() as db:
        assert await service.busy(db) == []
