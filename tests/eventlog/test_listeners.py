"""Listeners that come and go at any moment, and what is sent to them again."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from sandbox.core import clock
from sandbox.core.db import Database, Leader
from sandbox.core.ids import new_id
from sandbox.eventlog import resends, sequencer, tail
from sandbox.eventlog.keys import LogKey
from tests.eventlog.facts import append
from tests.eventlog.serving import Serving, create_app
from tests.eventlog.test_stream import streaming


@pytest.fixture
async def served(db_url: str) -> AsyncIterator[Serving]:
    async with Serving(create_app(db_url, signals=False)) as served:
        yield served


async def again(database: Database, events: list[str], endpoint: str | None = None) -> None:
    async with database.transaction() as db:
        now = await clock.now(db)
        asked = resends.Resend(new_id("rs", now), "mch_1", endpoint, events, 0, now)
        await resends.record(db, asked)


async def frames(served: Serving, who: str, after: str, **params: str) -> "Frames":
    return Frames(served, who, {"after": after, **params})


class Frames:
    """The events of a stream with their names and ids."""

    def __init__(self, served: Serving, who: str, params: dict[str, str]) -> None:
        self._stream = streaming(served, who, **params)

    async def __aenter__(self) -> "Frames":
        self._lines = (await self._stream.__aenter__())._lines
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stream.__aexit__(None, None, None)

    async def next(self) -> tuple[str, str]:
        name, id_ = "message", ""
        async with asyncio.timeout(15):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("id: "):
                    id_ = line[4:]
                elif line.startswith("data: "):
                    return name, id_
                elif not line:
                    name, id_ = "message", ""  # what had no data was no event
        raise EOFError


@pytest.mark.parametrize("seed", range(2))
async def test_whoever_leaves_at_any_moment_gets_every_event_once_and_in_order(
    served: Serving,
    database: Database,
    leader: Leader,
    key: LogKey,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    # So little is kept that who is away for long has to read the log itself.
    monkeypatch.setattr(tail, "MOST_EVENTS", 20)
    rng = random.Random(seed)
    wanted = 300
    writing = True

    async def write() -> None:
        nonlocal writing
        left = wanted
        while left:
            count = min(left, rng.randint(1, 25))
            left -= count
            await append(database, count, "mch_1")
            await append(database, rng.randint(0, 3), "mch_2")
            await sequencer.Sequencer(database, leader, key).step()
            await asyncio.sleep(rng.random() * 0.03)
        writing = False

    async def listen(who: str) -> list[str]:
        own = random.Random(f"{seed}-{who}")
        got: list[str] = []
        async with asyncio.timeout(60):
            while len(got) < wanted:
                async with streaming(served, "m1", last=got[-1] if got else None) as stream:
                    for _ in range(own.randint(0, 40)):
                        if len(got) == wanted:
                            break
                        got.append((await stream.next())[0])
                await asyncio.sleep(own.random() * 0.05)
        return got

    _, *heard = await asyncio.gather(write(), *(listen(f"listener {n}") for n in range(4)))
    for got in heard:
        assert got == [f"1:{number}" for number in range(1, wanted + 1)]


async def test_what_is_sent_again_comes_without_an_id_to_its_owner_only(
    served: Serving, database: Database, leader: Leader, key: LogKey
) -> None:
    events = await append(database, 3, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    async with (
        await frames(served, "m1", "latest") as mine,
        await frames(served, "m1", "latest", type="refund.*") as others,
        await frames(served, "m2", "latest") as strangers,
    ):
        await again(database, events[:1], endpoint="we_1")
        await again(database, events[1:])
        assert [await mine.next() for _ in range(2)] == [("resend", "")] * 2
        await append(database, 1, "mch_1")
        await append(database, 1, "mch_1", "refund.completed")
        await append(database, 1, "mch_2")
        await sequencer.Sequencer(database, leader, key).step()
        assert await mine.next() == ("message", "1:4")
        assert await others.next() == ("message", "1:5")
        assert await strangers.next() == ("message", "1:1")


async def test_streams_of_one_merchant_share_one_reading_of_the_log(
    served: Serving,
    database: Database,
    leader: Leader,
    key: LogKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await append(database, 1, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    streams = [await frames(served, "m1", "latest") for _ in range(20)]
    for stream in streams:
        await stream.__aenter__()
    # Each has caught up with what is kept when it has heard one event.
    await append(database, 1, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    for stream in streams:
        assert await stream.next() == ("message", "1:2")
    reads = 0
    read = tail.Tail.read

    async def counted(self: tail.Tail, db: Any) -> int:
        nonlocal reads
        reads += 1
        return await read(self, db)

    def forbidden(self: object) -> None:
        raise AssertionError("a stream read the log for itself")

    monkeypatch.setattr(tail.Tail, "read", counted)
    monkeypatch.setattr("sandbox.eventlog.feed.EventStream._read", forbidden)
    await append(database, 5, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    for stream in streams:
        assert [await stream.next() for _ in range(5)] == [
            ("message", f"1:{number}") for number in range(3, 8)
        ]
    assert 1 <= reads < 20
    for stream in streams:
        await stream.__aexit__()


async def test_a_restored_world_is_streamed_from_its_new_beginning(
    served: Serving, database: Database, owner_url: str, leader: Leader, key: LogKey
) -> None:
    await append(database, 3, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    async with streaming(served, "m1", after="0") as stream:
        assert await stream.take(3) == ["1:1", "1:2", "1:3"]
        async with database.transaction() as db:
            await db.execute(text("UPDATE clock SET epoch = 2"))
        await append(database, 2, "mch_1")
        await sequencer.Sequencer(database, leader, key).step()
        assert await stream.take(2) == ["2:1", "2:2"]
