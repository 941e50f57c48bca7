from collections.abc import AsyncIterator

import asyncpg
import pytest

from sandbox.core.checks import Check
from sandbox.core.db import Database, Leader
from sandbox.eventlog import sequencer
from sandbox.eventlog.checks import i8_log
from sandbox.eventlog.keys import LogKey
from tests.eventlog import golden
from tests.eventlog.facts import append, restore


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def log(database: Database, leader: Leader, key: LogKey) -> Database:
    for count, merchant in ((200, "mch_1"), (100, None), (5, "mch_2")):
        await append(database, count, merchant)
        await sequencer.Sequencer(database, leader, key).step()
    await append(database, 3)
    return database


async def checked(database: Database, vkey: str) -> list[Check]:
    async with database.transaction() as db:
        return await i8_log(db, vkey)


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        (
            "UPDATE event SET leaf = set_byte(leaf, 9, get_byte(leaf, 9) # 1)"
            " WHERE id = (SELECT event_id FROM log_entry WHERE position = 77)",
            "log_entry 1 77 (event evt_",
        ),
        (
            "WITH changed AS (UPDATE event SET leaf = convert_to(replace(convert_from(leaf,"
            " 'UTF8'), '\"77\"', '\"78\"'), 'UTF8')"
            " WHERE id = (SELECT event_id FROM log_entry WHERE position = 77) RETURNING leaf)"
            " UPDATE log_entry SET leaf_hash = (SELECT sha256('\\x00'::bytea || leaf) FROM changed)"
            " WHERE position = 77",
            "the first 200 entries do not give the root that was signed",
        ),
        ("DELETE FROM log_entry WHERE position = 150", "log_entry 1 150: position 150 is missing"),
        ("DELETE FROM log_entry WHERE position >= 300", "log_entry 1 300: position 300 is missing"),
        (
            "DELETE FROM event WHERE id = (SELECT event_id FROM log_entry WHERE position = 3)",
            "log_entry 1 3 (event evt_",
        ),
        (
            "UPDATE event SET created = created + interval '1 second'"
            " WHERE id = (SELECT event_id FROM log_entry WHERE position = 4)",
            "log_entry 1 4 (event evt_",
        ),
        (
            'UPDATE event SET private = \'{"description": "other"}\''
            " WHERE id = (SELECT event_id FROM log_entry WHERE position = 4)",
            ": the private fields are not those committed to",
        ),
        ("UPDATE log_entry SET sequence = 999 WHERE position = 9", "sequence of mch_1 has a gap"),
        (
            "UPDATE log_node SET hash = sha256('x')",
            "log_node 1 1 0: its hash is not that of its tile",
        ),
        (
            "UPDATE checkpoint SET root = sha256('x') WHERE size = 200",
            "checkpoint 1 200: its note says something else",
        ),
        (
            "UPDATE checkpoint SET note = replace(note, E'\\n200\\n', E'\\n201\\n')"
            " WHERE size = 200",
            "checkpoint 1 200: the signature",
        ),
        (
            "DELETE FROM checkpoint WHERE size = 305",
            "checkpoint 1 300: 5 entries stand behind the newest",
        ),
        ("DELETE FROM checkpoint", "no checkpoint"),
        ("DELETE FROM event_queue", ": neither in the log nor in its queue"),
        ("DELETE FROM log_epoch", "no log of this origin"),
    ],
)
async def test_tampering_by_the_owner_of_the_tables_is_found(
    log: Database, owner: asyncpg.Connection, key: LogKey, tampering: str, finding: str
) -> None:
    status = await owner.execute(tampering)
    assert not status.endswith(" 0")
    checks = await checked(log, key.vkey(1))
    bad = [check for check in checks if not check.ok]
    assert finding in "; ".join(check.detail for check in bad)


async def test_a_log_signed_by_another_key_is_found(log: Database) -> None:
    checks = await checked(log, golden.signer("log.example/e1").verifier.vkey)
    assert not checks[0].ok
    assert "signature" in checks[0].detail


async def test_a_whole_log_is_green_with_equal_figures(log: Database, key: LogKey) -> None:
    tree, lost = await checked(log, key.vkey(1))
    assert tree.ok
    assert tree.left == tree.right
    assert str(tree.left).startswith("305:")
    assert tree.detail == "epoch 1: 305 events under 4 signed checkpoints"
    assert (lost.ok, lost.left, lost.right) == (True, 0, 0)


async def test_every_epoch_of_a_restored_world_is_green_and_goes_on_from_the_one_before(
    log: Database, owner: asyncpg.Connection, leader: Leader, key: LogKey
) -> None:
    await sequencer.Sequencer(log, leader, key).step()
    for epoch in (2, 7):
        await restore(log, owner, epoch)
        await append(log, 3)
        await sequencer.Sequencer(log, leader, key).step()
    checks = await checked(log, key.vkey(1))
    assert [check.detail for check in checks if not check.ok] == []
    assert [str(check.left).split(":")[0] for check in checks[:-1]] == ["308", "4", "4"]
    # A former epoch that grew by an entry which this world does not go on from.
    await owner.execute("UPDATE clock SET epoch = 2")
    await append(log, 1)
    await sequencer.Sequencer(log, leader, key).step()
    await owner.execute("UPDATE clock SET epoch = 7")
    [bad] = [check for check in await checked(log, key.vkey(1)) if not check.ok]
    assert "log_entry 7 0: goes on from log.example/e2 4:" in bad.detail
    assert "here is log.example/e2 5:" in bad.detail


async def test_an_epoch_that_hides_where_it_comes_from_is_found(
    log: Database, owner: asyncpg.Connection, leader: Leader, key: LogKey
) -> None:
    await sequencer.Sequencer(log, leader, key).step()
    await owner.execute("UPDATE clock SET epoch = 2")
    await append(log, 1)
    await sequencer.Sequencer(log, leader, key).step()
    [bad] = [check for check in await checked(log, key.vkey(1)) if not check.ok]
    assert "log_entry 2 0: epoch 2 begins with payment.final" in bad.detail
