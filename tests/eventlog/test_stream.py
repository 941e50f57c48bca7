import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest

from sandbox.core.db import Database, Leader
from sandbox.eventlog import feed, sequencer
from sandbox.eventlog.keys import LogKey
from tests.eventlog.facts import append
from tests.eventlog.serving import ROLES, Serving, bearer, create_app


@pytest.fixture
async def served(db_url: str) -> AsyncIterator[Serving]:
    async with Serving(create_app(db_url, signals=False)) as served:
        yield served


class Stream:
    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.comments = 0

    async def next(self) -> tuple[str, dict[str, Any]]:
        id_ = ""
        async with asyncio.timeout(15):
            async for line in self._lines:
                if line.startswith("id: "):
                    id_ = line[4:]
                elif line.startswith("data: "):
                    return id_, json.loads(line[6:])
                elif line.startswith(":"):
                    self.comments += 1
        raise EOFError

    async def take(self, count: int) -> list[str]:
        return [(await self.next())[0] for _ in range(count)]


@asynccontextmanager
async def streaming(
    served: Serving, who: str, after: str | None = None, last: str | None = None, **params: str
) -> AsyncIterator[Stream]:
    headers = bearer(who) | ({"Last-Event-ID": last} if last else {})
    if after:
        params["after"] = after
    async with (
        httpx2.AsyncClient(base_url=served.url, trust_env=False, timeout=30) as client,
        client.stream("GET", "/v1/events/stream", headers=headers, params=params) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer.aiter_lines())


async def test_a_stream_without_a_key_or_for_another_role_is_refused(served: Serving) -> None:
    async with httpx2.AsyncClient(base_url=served.url, trust_env=False) as client:
        assert (await client.get("/v1/events/stream")).status_code == 401
        refused = await client.get("/v1/events/stream", headers=bearer("issuer"))
        assert refused.status_code == 403
        bad = await client.get("/v1/events/stream?after=x", headers=bearer("m1"))
        assert bad.json()["code"] == "bad_cursor"


async def test_more_streams_than_a_process_holds_are_refused(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_STREAMS", 1)
    async with streaming(served, "m1"), httpx2.AsyncClient(trust_env=False) as client:
        url = f"{served.url}/v1/events/stream"
        refused = await client.get(url, headers=bearer("m1"))
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")


async def test_a_stream_tells_nothing_more_to_a_key_that_was_revoked(
    served: Serving,
    database: Database,
    leader: Leader,
    key: LogKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "KEY_S", 0.0)
    await append(database, 1, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    async with streaming(served, "m1") as stream:
        assert await stream.take(1) == ["1:1"]
        monkeypatch.delitem(ROLES, "m1")
        await append(database, 1, "mch_1")
        await sequencer.Sequencer(database, leader, key).step()
        with pytest.raises(EOFError):
            await stream.next()


async def test_a_stream_shows_what_was_and_what_comes_without_gap_or_repeat(
    served: Serving, database: Database, leader: Leader, key: LogKey
) -> None:
    await append(database, 150, "mch_1")
    await append(database, 3, "mch_2")
    await sequencer.Sequencer(database, leader, key).step()
    async with streaming(served, "m1") as mine, streaming(served, "regulator") as all_:
        assert await mine.take(150) == [f"1:{i}" for i in range(1, 151)]
        assert await all_.take(153) == [f"1:{i}" for i in range(153)]
        for _ in range(3):
            await append(database, 2, "mch_1")
            await sequencer.Sequencer(database, leader, key).step()
        assert await mine.take(6) == [f"1:{i}" for i in range(151, 157)]
        assert await all_.take(6) == [f"1:{i}" for i in range(153, 159)]


@pytest.mark.parametrize(
    ("after", "stands"), [(None, "1:0"), ("1:2", "1:2"), ("latest", "1:3"), ("9:7", "1:0")]
)
async def test_a_stream_says_where_it_stands_before_any_event_comes(
    served: Serving,
    database: Database,
    leader: Leader,
    key: LogKey,
    after: str | None,
    stands: str,
) -> None:
    await append(database, 3, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    async with streaming(served, "m1", after=after) as stream, asyncio.timeout(15):
        assert [await anext(stream._lines) for _ in range(3)] == [
            "retry: 1000",
            f"id: {stands}",
            "",
        ]


async def test_a_stream_says_that_a_world_was_restored_before_anything_happens_in_it(
    served: Serving, database: Database, owner_url: str, leader: Leader, key: LogKey
) -> None:
    await append(database, 3, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    async with streaming(served, "m1", after="1:3") as stream, asyncio.timeout(15):
        said = [await anext(stream._lines) for _ in range(3)]
        owner = await asyncpg.connect(owner_url)
        await owner.execute("UPDATE clock SET epoch = 2")
        await owner.close()
        said += [await anext(stream._lines) for _ in range(2)]
    assert [line for line in said if line.startswith("id")] == ["id: 1:3", "id: 2:0"]


async def test_a_reader_that_comes_back_gets_exactly_what_it_missed(
    served: Serving, database: Database, leader: Leader, key: LogKey
) -> None:
    await append(database, 5, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    async with streaming(served, "m1") as stream:
        last = (await stream.take(3))[-1]
    await append(database, 2, "mch_1")
    await sequencer.Sequencer(database, leader, key).step()
    async with streaming(served, "m1", last=last) as stream:
        assert await stream.take(4) == ["1:4", "1:5", "1:6", "1:7"]
    async with streaming(served, "m1", after="6", last="1:2") as stream:
        assert await stream.take(1) == ["1:3"]
    async with streaming(served, "regulator", after="1:5") as stream:
        assert await stream.take(1) == ["1:6"]
    async with streaming(served, "m1", type="payment.captured", after="latest") as stream:
        await append(database, 1, "mch_1")
        await append(database, 1, "mch_1", "payment.captured")
        await sequencer.Sequencer(database, leader, key).step()
        id_, event = await stream.next()
        assert (id_, event["type"]) == ("1:9", "payment.captured")
        assert event["data"]["description"] == "note 0"


async def test_a_new_event_arrives_by_the_notification_and_not_by_the_poll(
    served: Serving,
    database: Database,
    leader: Leader,
    key: LogKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "POLL_S", 60.0)
    await sequencer.Sequencer(database, leader, key).step()
    async with streaming(served, "m1") as stream:
        await append(database, 1, "mch_1")
        await sequencer.Sequencer(database, leader, key).step()
        assert (await stream.next())[0] == "1:1"


async def test_a_stream_goes_on_by_polling_after_its_listening_connection_was_cut(
    served: Serving, database: Database, owner_url: str, leader: Leader, key: LogKey
) -> None:
    async with streaming(served, "m1") as stream:
        owner = await asyncpg.connect(owner_url)
        cut = 0
        for _ in range(100):
            cut = await owner.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
            if cut:
                break
            await asyncio.sleep(0.05)
        await owner.close()
        assert cut == 1
        await append(database, 1, "mch_1")
        await sequencer.Sequencer(database, leader, key).step()
        assert (await stream.next())[0] == "1:1"


async def test_a_quiet_stream_shows_that_it_is_alive(
    served: Serving,
    database: Database,
    leader: Leader,
    key: LogKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "POLL_S", 0.05)
    monkeypatch.setattr(feed, "HEARTBEAT_S", 0.1)
    async with streaming(served, "m1") as stream:
        await asyncio.sleep(0.5)
        await append(database, 1, "mch_1")
        await sequencer.Sequencer(database, leader, key).step()
        await stream.next()
        assert stream.comments >= 2


async def test_a_client_that_takes_nothing_is_cut_off(
    served: Serving,
    database: Database,
    leader: Leader,
    key: LogKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "SLOW_S", 0.3)
    for _ in range(8):
        await append(database, 2000, "mch_1")
    while await sequencer.Sequencer(database, leader, key).step():
        pass
    host, port = served.url.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    lines = [
        "GET /v1/events/stream HTTP/1.1",
        "Host: x",
        f"Authorization: {bearer('m1')['Authorization']}",
    ]
    client.sendall("\r\n".join([*lines, "", ""]).encode())
    events = served.app.state.feed
    seen = 0
    for _ in range(200):
        await asyncio.sleep(0.05)
        seen = max(seen, events.streams)
        if seen and not events.streams:
            break
    assert (seen, events.streams) == (1, 0)
    client.close()


async def test_a_client_that_leaves_frees_its_stream(served: Serving) -> None:
    events = served.app.state.feed
    async with streaming(served, "m1"):
        assert events.streams == 1
    for _ in range(100):
        if not events.streams:
            break
        await asyncio.sleep(0.05)
    assert events.streams == 0


async def test_open_streams_end_cleanly_when_the_server_is_told_to_stop(db_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.eventlog.serving", db_url, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        port = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        url = f"http://127.0.0.1:{port}/v1/events/stream"
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=30) as client,
            client.stream("GET", url, headers=bearer("m1")) as answer,
        ):
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("retry: ")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                # Read to its proper end: a cut connection would raise.
                async for _ in lines:
                    pass
        await asyncio.wait_for(process.wait(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == -signal.SIGTERM
