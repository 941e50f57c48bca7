"""The client of the measurements: whole answers, in whatever pieces they come."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sandbox.cli.benches import rpc as bench_rpc

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[str]:
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def answering(status: str, body: bytes, piece: int) -> Peer:
    """Each request, of whatever length, is answered in pieces of so many bytes."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
                json.loads(await reader.readexactly(length))
                answer = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
                for at in range(0, len(answer), piece):
                    writer.write(answer[at : at + piece])
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            writer.close()

    return peer


@pytest.mark.parametrize("piece", [1, 7, 10_000])
async def test_every_request_gets_its_own_whole_answer(piece: int) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"value": [1, "два"]}}).encode()
    async with listening(answering("200 OK", body, piece)) as url:
        assert await bench_rpc.ask(url, "getAnything", 5) == {"value": [1, "два"]}
        took = await bench_rpc.pour(
            url, 3, [bench_rpc.call(url, "getAnything", n) for n in range(20)]
        )
        assert len(took) == 20


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b'{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"no"}}'),
        ("503 Service Unavailable", b"restoring"),
    ],
)
async def test_a_refusal_ends_the_measurement(status: str, body: bytes) -> None:
    async with listening(answering(status, body, 100)) as url:
        with pytest.raises(bench_rpc.AnswerRefused):
            await bench_rpc.pour(url, 2, [bench_rpc.call(url, "sendTransaction", "x")] * 4)


async def test_a_server_that_hangs_up_ends_the_measurement() -> None:
    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with listening(hangs_up) as url:
        with pytest.raises(ConnectionError):
            await bench_rpc.ask(url, "getHealth")
