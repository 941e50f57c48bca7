"""Random histories with everything at once: writers, rivals for the lead, and a reader."""

import asyncio
import random
from contextlib import suppress

import pytest

from sandbox.core.db import Database, Leader, LostLead
from sandbox.eventlog import sequencer, service
from sandbox.eventlog.checks import i8_log
from sandbox.eventlog.cursor import Cursor
from sandbox.eventlog.keys import LogKey
from tests.eventlog.facts import append

MERCHANTS = ("mch_1", "mch_2", "mch_3", None)


async def write(database: Database, rng: random.Random, steps: int) -> list[tuple[str, str | None]]:
    written: list[tuple[str, str | None]] = []
    for _ in range(steps):
        merchant = rng.choice(MERCHANTS)
        ids = await append(database, rng.randint(1, 12), merchant)
        written += [(id_, merchant) for id_ in ids]
        await asyncio.sleep(rng.random() / 100)
    return written


async def lead(
    database: Database, name: str, key: LogKey, rng: random.Random, stop: asyncio.Event
) -> None:
    leader = Leader(database, sequencer.LEADER, name)
    while not stop.is_set():
        with suppress(LostLead):
            await sequencer.Sequencer(database, leader, key).turn()
        if rng.random() < 0.2:
            await leader.release()
        await asyncio.sleep(rng.random() / 50)
    await leader.release()


async def follow(
    database: Database, viewer: str | None, seen: list[str], stop: asyncio.Event
) -> None:
    """Read as a stream does, and once more after the end."""
    at = Cursor(1, -1 if viewer is None else 0)
    last = False
    while True:
        async with database.transaction() as db:
            rows = await service.after(db, 1, at.number, 7, viewer)
        for row in rows:
            number = row.position if viewer is None else row.sequence
            assert number == at.number + 1, "a gap or a repeat"
            at = Cursor(1, number)
            seen.append(row.id)
        if rows:
            continue
        if last:
            return
        last = stop.is_set()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_doubled_or_reordered_for_any_reader(
    database: Database, key: LogKey, seed: int
) -> None:
    rng = random.Random(seed)
    written_all, stop = asyncio.Event(), asyncio.Event()
    leaders = [
        asyncio.create_task(lead(database, name, key, random.Random(f"{seed}{name}"), stop))
        for name in ("a", "b")
    ]
    seen: dict[str | None, list[str]] = {None: [], "mch_1": []}
    readers = [
        asyncio.create_task(follow(database, viewer, ids, written_all))
        for viewer, ids in seen.items()
    ]
    histories = await asyncio.gather(
        *(write(database, random.Random(rng.random()), 25) for _ in range(4))
    )
    async with asyncio.timeout(60):
        while True:
            async with database.transaction() as db:
                if not await service.busy(db):
                    break
            await asyncio.sleep(0.01)
        written_all.set()
        await asyncio.gather(*readers)
        stop.set()
        await asyncio.gather(*leaders)

    everything = {id_: merchant for history in histories for id_, merchant in history}
    assert sorted(seen[None]) == sorted(everything)
    assert seen["mch_1"] == [id_ for id_ in seen[None] if everything[id_] == "mch_1"]
    place = {id_: position for position, id_ in enumerate(seen[None])}
    for history in histories:
        places = [place[id_] for id_, _ in history]
        assert places == sorted(places), "one writer's order was changed"
    async with database.transaction() as db:
        checks = await i8_log(db, key.vkey(1))
    assert [check for check in checks if not check.ok] == []
