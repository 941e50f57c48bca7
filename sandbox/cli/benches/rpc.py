"""A JSON-RPC client that costs a measurement little: keep-alive connections, bytes made before."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast
from urllib.parse import urlsplit

_LENGTH = b"content-length: "


class AnswerRefused(Exception):
    """The server answered with an error where the measurement needs a result."""


def post(url: str, body: Any) -> bytes:
    """The bytes of an HTTP request that asks `body`."""
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def call(url: str, method: str, *params: Any) -> bytes:
    return post(url, one(method, *params))


def one(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self) -> None:
        self._got = bytearray()
        self._whole = 0
        self._waiting: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport
        self._lost = asyncio.Event()

    @classmethod
    async def to(cls, url: str) -> "Connection":
        at = urlsplit(url)
        assert at.hostname is not None
        assert at.port is not None
        _, made = await asyncio.get_running_loop().create_connection(cls, at.hostname, at.port)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def connection_lost(self, error: Exception | None) -> None:
        self._lost.set()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._whole:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            at = self._got.index(_LENGTH) + len(_LENGTH)
            self._whole = end + 4 + int(self._got[at : self._got.index(b"\r", at)])
        if len(self._got) < self._whole:
            return
        answer = bytes(self._got)
        self._got.clear()
        self._whole = 0
        assert self._waiting is not None
        self._waiting.set_result(answer)

    async def ask(self, request: bytes) -> bytes:
        """The whole answer, head and all. Raises AnswerRefused, ConnectionError."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._waiting
        if b'"error":' in answer or not answer.startswith(b"HTTP/1.1 200"):
            raise AnswerRefused(answer[:500].decode(errors="replace"))
        return answer

    async def result(self, request: bytes) -> Any:
        """The `result` of a single call."""
        return json.loads((await self.ask(request)).split(b"\r\n\r\n", 1)[1])["result"]

    async def close(self) -> None:
        self._transport.close()
        await self._lost.wait()


async def pour(url: str, connections: int, requests: Iterable[bytes]) -> list[float]:
    """So many keep-alive connections, each with the next request when it has its answer.

    Gives the seconds of each, unordered.
    """
    left, took = iter(requests), list[float]()
    opened = [await Connection.to(url) for _ in range(connections)]
    try:
        await asyncio.gather(*(_drain(connection, left, took) for connection in opened))
    finally:
        for connection in opened:
            await connection.close()
    return took


async def ask(url: str, method: str, *params: Any) -> Any:
    """The result of one call, on a connection of its own."""
    connection = await Connection.to(url)
    try:
        return await connection.result(call(url, method, *params))
    finally:
        await connection.close()


async def _drain(connection: Connection, left: Iterator[bytes], took: list[float]) -> None:
    for request in left:
        began = time.perf_counter()
        await connection.ask(request)
        took.append(time.perf_counter() - began)
