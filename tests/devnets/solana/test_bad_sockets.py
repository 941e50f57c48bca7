"""Clients that stall, flood or vanish: each is ended with a reason where it can hear one, the
others notice nothing, and the chain is where it was.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from sandbox.core.doors import Doors
from sandbox.devnets import serving
from sandbox.devnets.doors import listen
from sandbox.devnets.patience import Patience, PatientHttp, PatientWebSocket
from sandbox.devnets.solana import process
from sandbox.devnets.transport import Transport
from tests.devnets.solana.fuzz import Fuzzer, sow
from tests.devnets.solana.inside import InsideChain
from tests.devnets.solana.test_fuzz import codes_of, state_of
from tests.devnets.solana.test_subscriptions import read_to_the_end

HEALTH = b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}'
SLOTS = '{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}'
HASTE = Patience(request_s=0.2, stalled_s=0.2, farewell_s=0.2, connections=20)


class HastyHttp(PatientHttp):
    patience = HASTE


class HastyWebSocket(PatientWebSocket):
    patience = HASTE


class Served(InsideChain):
    """A chain behind a real listener, in this process, that loses patience quickly."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        app = Transport(self.front, Doors())
        self.server = serving.web(app, HastyHttp, HastyWebSocket, ping_s=0.3)
        self.listening = listen("127.0.0.1", 0)
        self.port = self.listening.getsockname()[1]
        self.task = asyncio.create_task(self.server.serve(sockets=[self.listening]))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def ask(self, body: bytes = HEALTH) -> Any:
        async with httpx2.AsyncClient(timeout=10) as http:
            return (await http.post(self.url, content=body)).json()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.server.should_exit = True
        await self.task
        await super().close()


@pytest.fixture
async def chain(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    await made.until(lambda: made.server.started)
    yield made
    assert (await made.ask())["result"] == "ok"
    await made.close()
    assert capfd.readouterr() == ("", "")


async def open_socket(chain: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", chain.port)


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.read(-1)


def head(length: int | str, *more: str) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    "said",
    [b"", b"P", head(10)[:-2], head(10), head(10) + b"{"],
    ids=["nothing", "one letter", "half its headers", "no body", "half its body"],
)
async def test_a_request_that_does_not_come_is_not_awaited_for_ever(
    chain: Served, said: bytes
) -> None:
    reader, writer = await open_socket(chain)
    writer.write(said)
    assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await chain.until(lambda: chain.connections == 0)


async def test_a_second_request_is_awaited_no_longer(chain: Served) -> None:
    reader, writer = await open_socket(chain)
    writer.write(head(len(HEALTH)) + HEALTH + head(10))
    answers = await read_all(reader)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b'"result":"ok"' in answers
    assert b"HTTP/1.1 408 " in answers
    writer.close()


async def test_a_kept_connection_may_rest_between_requests(chain: Served) -> None:
    reader, writer = await open_socket(chain)
    for _ in range(3):
        writer.write(head(len(HEALTH)) + HEALTH)
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b'"result":"ok"}')).startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(2 * HASTE.request_s)
    writer.close()


async def test_a_body_over_the_limit_is_told_so(chain: Served) -> None:
    async with httpx2.AsyncClient(timeout=10) as http:
        response = await http.post(chain.url, content=b" " * (5 * 1024 * 1024))
        assert (response.status_code, response.text) == (413, "Request too large\n")
        response = await http.post(chain.url, content=HEALTH + b" " * (4 * 1024 * 1024 - 100))
        assert response.json()["result"] == "ok"


async def test_an_enormous_body_is_refused_before_it_is_sent(chain: Served) -> None:
    reader, writer = await open_socket(chain)
    writer.write(head(10**12))
    assert (await read_all(reader)).startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_a_body_without_end_is_cut_off(chain: Served) -> None:
    reader, writer = await open_socket(chain)
    writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    sent = 0
    with suppress(ConnectionError):
        while not reader.at_eof():
            writer.write(chunk)
            await writer.drain()
            sent += 1
            assert sent < 100, "one megabyte after the other is taken"
    writer.close()
    await chain.until(lambda: chain.connections == 0)


async def test_a_client_that_does_not_read_its_answer_is_cut_off(chain: Served) -> None:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    slow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", chain.port))
    one = b'{"jsonrpc":"2.0","id":1,"method":"getLeaderSchedule"}'
    batch = b"[" + b",".join([one] * 1_000) + b"]"  # five megabytes of answers
    await asyncio.get_running_loop().sock_sendall(slow, head(len(batch)) + batch)
    await chain.until(lambda: chain.connections == 1)
    assert (await chain.ask())["result"] == "ok"
    await chain.until(lambda: chain.connections == 0)
    slow.close()


async def test_a_subscriber_that_never_reads_is_dropped_and_others_are_not(chain: Served) -> None:
    async with (
        connect(chain.socket_url, max_queue=1, compression=None) as deaf,
        connect(chain.socket_url, compression=None) as other,
    ):
        for _ in range(2_000):
            await deaf.send(SLOTS)
        await other.send(SLOTS)
        await other.recv()
        deaf.transport.pause_reading()
        for slot in range(100):
            await chain.advance(1)
            async with asyncio.timeout(10):
                told = json.loads(await other.recv())
            assert told["params"]["result"]["slot"] == slot + 2
        # All it had subscribed to is forgotten, then its connection is.
        await chain.until(lambda: len(chain.hub._subscriptions) == 1)
        await chain.until(lambda: chain.connections == 1)
        deaf.transport.resume_reading()
        with pytest.raises(ConnectionClosedError):
            await read_to_the_end(deaf)


async def test_a_peer_that_answers_no_ping_is_let_go(chain: Served) -> None:
    reader, writer = await open_socket(chain)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    writer.write(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answers = await read_all(reader)
    assert answers.startswith(b"HTTP/1.1 101 ")
    assert answers.endswith(b"keepalive ping timeout")
    writer.close()
    await chain.until(lambda: chain.connections == 0)


async def test_a_websocket_may_be_silent_as_long_as_it_answers_pings(chain: Served) -> None:
    async with connect(chain.socket_url) as ws:
        await asyncio.sleep(4 * HASTE.request_s)
        await ws.send(HEALTH.decode())
        assert json.loads(await ws.recv())["result"] == "ok"


@pytest.mark.parametrize(
    ("frame", "code"),
    [("x" * (1024 * 1024 + 1), 1009), ([b"\xff\xfe"], 1007)],
    ids=["too large", "not UTF-8"],
)
async def test_a_frame_that_cannot_be_read_ends_its_connection(
    chain: Served, frame: Any, code: int
) -> None:
    async with connect(chain.socket_url) as ws:
        if isinstance(frame, list):
            await ws.send(frame, text=True)
        else:
            await ws.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


async def test_one_connection_too_many_is_refused_and_a_free_place_is_given(
    chain: Served,
) -> None:
    kept = [await connect(chain.socket_url) for _ in range(HASTE.connections)]
    reader, writer = await open_socket(chain)
    writer.write(head(len(HEALTH)) + HEALTH)
    refused = await read_all(reader)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert refused.endswith(b"Too many connections\n")
    writer.close()
    await kept.pop().close()
    await chain.until(lambda: chain.connections < HASTE.connections)
    assert (await chain.ask())["result"] == "ok"
    for ws in kept:
        await ws.close()


async def test_a_batch_of_ten_thousand_is_refused_whole(chain: Served) -> None:
    before = state_of(chain)
    key = "11111111111111111111111111111111"
    one = f'{{"jsonrpc":"2.0","id":1,"method":"requestAirdrop","params":["{key}",1]}}'.encode()
    body = b"[" + b",".join([one] * 10_000) + b"]"
    refusal = {"code": -32600, "message": "Batch too large; max 1000"}
    assert await chain.ask(body) == {"jsonrpc": "2.0", "id": None, "error": refusal}
    async with connect(chain.socket_url) as ws:
        await ws.send(body)
        assert json.loads(await ws.recv())["error"] == refusal
    assert state_of(chain) == before


async def test_broken_requests_over_http_and_websocket(chain: Served) -> None:
    fuzzer = Fuzzer(await sow(chain, subscriptions=False), 5)
    async with httpx2.AsyncClient(timeout=10) as http, connect(chain.socket_url) as ws:
        for _ in range(400):
            body, before = fuzzer.body(), state_of(chain)
            response = await http.post(chain.url, content=body)
            assert response.status_code == 200
            codes = codes_of(body, response.content)
            if codes and all(codes):
                assert state_of(chain) == before
                # What is refused as an answer to HTTP is refused in a frame too.
                await ws.send(body)
                async with asyncio.timeout(10):
                    framed = await ws.recv()
                assert codes_of(body, framed.encode() if isinstance(framed, str) else framed)


async def test_a_process_out_of_files_refuses_connections_and_lives_on(tmp_path: Path) -> None:
    """150 open files are 50 connections and 100 that the chain keeps for itself."""
    limited = ["sh", "-c", 'ulimit -n 150 && exec "$@"', "sh"]
    running = await process.start([*limited, *process.command(tmp_path / "chain", slot_ms=20)])
    port = int(running.rpc.rsplit(":", 1)[1])
    try:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(120)]
        refusals = [reader for reader, _ in opened[50:]]
        for reader in refusals:
            assert (await read_all(reader)).endswith(b"Too many connections\n")
        # The fifty are served: any of them may ask.
        reader, writer = opened[7]
        writer.write(head(len(HEALTH)) + HEALTH)
        async with asyncio.timeout(10):
            await reader.readuntil(b'"result":"ok"}')
        for _, writer in opened:
            writer.close()
        async with httpx2.AsyncClient(timeout=10) as http:
            slots = {"jsonrpc": "2.0", "id": 1, "method": "getSlot"}
            seen = set[int]()
            async with asyncio.timeout(20):
                while len(seen) < 2:  # it makes slots, and answers
                    response = await http.post(running.rpc, json=slots)
                    if response.status_code == 503:  # it has not heard yet that they closed
                        continue
                    seen.add(response.json()["result"])
        assert await running.stop() == 0
    finally:
        await running.kill()
