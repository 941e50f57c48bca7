"""The HTTP client of webhooks against receivers that misbehave, and what it keeps open."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from sandbox.webhooks import egress, sending, wire
from sandbox.webhooks.sending import Attempt

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthanks"


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    writers: list[asyncio.StreamWriter] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def always(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            writer.write(answer)
            await writer.drain()

    return serve


async def post(client: wire.Client, url: str) -> Attempt:
    return await sending.post(client, url, {"webhook-id": "e1_1"}, b"{}", allow_loopback=True)


@pytest.fixture
async def client() -> AsyncIterator[wire.Client]:
    client = sending.client(allow_loopback=True)
    yield client
    client.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"220 mail.example ESMTP\r\n", "BadAnswer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, "BadAnswer: the answer's head is longer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "BadAnswer"),
        (b"HTTP/1.1 99999 ?\r\n\r\n", "BadAnswer"),
    ],
)
async def test_what_is_no_answer_is_a_failure_with_its_reason(
    client: wire.Client, answer: bytes, error: str
) -> None:
    async with listening(always(answer)) as url:
        found = await post(client, url)
    assert found.status is None
    assert found.error is not None
    assert found.error.startswith(error)


async def test_a_receiver_that_closes_without_a_word_is_a_failure(client: wire.Client) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)

    async with listening(serve) as url:
        found = await post(client, url)
    assert (found.status, found.delivered) == (None, False)
    assert found.error is not None
    assert found.error.startswith("ConnectionLost")


@pytest.mark.parametrize(
    ("answer", "head"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "thanks"),
        (b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n" + OK, "thanks"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
    ],
)
async def test_an_answer_is_read_in_every_form_it_may_have(
    client: wire.Client, answer: bytes, head: str
) -> None:
    async with listening(always(answer)) as url:
        for _ in range(3):
            found = await post(client, url)
            assert found.delivered
            assert (found.head, found.retry_after_s) == (head, 0)


async def test_a_body_without_a_length_ends_with_its_connection(client: wire.Client) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nold style")

    async with listening(serve) as url:
        found = await post(client, url)
    assert (found.status, found.head) == (200, "old style")


async def test_an_answer_that_streams_for_ever_is_cut_and_its_connection_not_used_again(
    client: wire.Client,
) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1_024 + b"\r\n")
            await writer.drain()

    async with listening(serve) as url:
        for number in (1, 2):
            found = await post(client, url)
            assert found.delivered
            assert found.head == "x" * sending.HEAD_CHARACTERS
            assert connections == number


async def test_a_connection_is_kept_and_one_that_was_closed_meanwhile_is_made_anew(
    client: wire.Client,
) -> None:
    connections = 0
    closing = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(3):
            await request(reader)
            writer.write(OK)
            await writer.drain()
        await closing.wait()

    async with listening(serve) as url:
        for _ in range(3):
            assert (await post(client, url)).delivered
        assert connections == 1
        closing.set()
        assert (await post(client, url)).delivered
        assert connections == 2


async def test_a_connection_whose_receiver_said_so_is_not_kept(client: wire.Client) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request(reader)
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await reader.read()

    async with listening(serve) as url:
        for number in (1, 2):
            assert (await post(client, url)).delivered
            assert connections == number


async def test_what_a_receiver_says_unasked_is_no_answer_to_the_next_request(
    client: wire.Client,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with listening(serve) as url:
        assert (await post(client, url)).status == 200
        await asyncio.sleep(0.15)
        assert (await post(client, url)).status == 200


async def test_a_second_answer_in_one_piece_with_the_first_changes_nothing(
    client: wire.Client,
) -> None:
    connections = 0
    second = b"HTTP/1.1 410 Gone\r\nRetry-After: 9\r\nContent-Length: 4\r\n\r\nmore"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await always(OK + second)(reader, writer)

    async with listening(serve) as url:
        for number in (1, 2):
            found = await post(client, url)
            assert (found.status, found.head, found.retry_after_s) == (200, "thanks", 0)
            assert connections == number, "and its connection is not used again"


async def test_a_name_that_changes_its_address_is_connected_to_only_after_a_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    answers = [["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1", "169.254.169.254"]]

    async def lookup(host: str, port: int, **options: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in answers[len(asked) - 1]]

    connected: list[str] = []
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def noted(factory: Any, host: str, *arguments: Any, **options: Any) -> Any:
        connected.append(host)
        return await connect(factory, host, *arguments, **options)

    monkeypatch.setattr(loop, "getaddrinfo", lookup)
    monkeypatch.setattr(loop, "create_connection", noted)
    client = sending.client(allow_loopback=True)
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request(reader)
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    async with listening(serve) as url:
        named = url.replace("127.0.0.1", "shop.example")
        assert (await post(client, named)).delivered
        for _ in range(2):
            found = await post(client, named)
            assert found.error is not None
            assert "is not a public address" in found.error
    # Each attempt asked once, and went to the very address that was checked.
    assert asked == ["shop.example"] * 3
    assert (connections, connected) == (1, ["127.0.0.1"])
    client.close()


async def test_two_names_at_one_address_share_no_connection() -> None:
    async def resolve(destination: egress.Destination) -> egress.IpAddress:
        return ipaddress.ip_address("127.0.0.1")

    hosts: list[tuple[int, bytes]] = []
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = connections
        while True:
            asked = await request(reader)
            hosts.append((number, asked.split(b"Host: ")[1].split(b":")[0]))
            writer.write(OK)

    client = wire.Client(resolve)
    async with listening(serve) as url:
        for name in ("one.example", "two.example", "one.example"):
            assert (await post(client, url.replace("127.0.0.1", name))).delivered
        client.close()
    assert hosts == [(1, b"one.example"), (2, b"two.example"), (1, b"one.example")]


def test_it_runs_on_the_loop_of_the_worker() -> None:
    async def twice() -> list[int | None]:
        client = sending.client(allow_loopback=True)
        async with listening(always(OK)) as url:
            found = [(await post(client, url)).status for _ in range(2)]
            client.close()
        return found

    assert uvloop.run(twice()) == [200, 200]
