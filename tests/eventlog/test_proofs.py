import pytest
from sqlalchemy import text

from sandbox.core.db import Database, Leader
from sandbox.core.errors import NotFound
from sandbox.eventlog import proofs, sequencer
from sandbox.eventlog.checkpoint import open_checkpoint
from sandbox.eventlog.errors import NotSequenced
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from tests.eventlog.facts import append


async def test_an_event_that_is_unknown_or_anothers_has_no_proof(
    database: Database, leader: Leader, key: LogKey
) -> None:
    [mine] = await append(database, 1, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    async with database.transaction() as db:
        for event_id, viewer in (("evt_none", None), (mine, "mch_2")):
            with pytest.raises(NotFound):
                await proofs.inclusion(db, event_id, viewer)


async def test_an_event_without_a_position_says_so(database: Database) -> None:
    [waiting] = await append(database, 1)
    async with database.transaction() as db:
        with pytest.raises(NotSequenced):
            await proofs.inclusion(db, waiting, None)


async def test_every_kind_of_place_in_the_log_is_proved_to_a_holder_of_the_key(
    database: Database, leader: Leader, key: LogKey
) -> None:
    ids = []
    for count in (256, 300, 1, 211):
        ids += await append(database, count)
        await sequencer.Sequencer(database, leader, key).step()
    async with database.transaction() as db:
        for position in (0, 1, 255, 256, 511, 512, 600, 767):
            found = await proofs.inclusion(db, ids[position], "mch_1")
            checkpoint = open_checkpoint(found.checkpoint.encode(), key.signer(1).verifier)
            assert (found.position, checkpoint.size) == (position, 768)
            assert verify_inclusion(
                leaf_hash(found.leaf), position, checkpoint.size, found.proof, checkpoint.root
            )


async def test_every_two_published_sizes_are_proved_consistent(
    database: Database, leader: Leader, key: LogKey
) -> None:
    for count in (1, 255, 3, 300, 209):
        await append(database, count)
        await sequencer.Sequencer(database, leader, key).step()
    async with database.transaction() as db:
        rows = (await db.execute(text("SELECT size, root FROM checkpoint ORDER BY size"))).all()
        assert [row.size for row in rows] == [0, 1, 256, 259, 559, 768]
        for old in rows:
            for new in rows:
                if old.size <= new.size:
                    proof = await proofs.consistency(db, 1, old.size, new.size)
                    assert verify_consistency(old.size, new.size, proof, old.root, new.root)
