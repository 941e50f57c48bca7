"""A merchant's receiver on a real socket, which answers as a test tells it to."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Answer = Callable[["Received"], Awaitable[bytes]]


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: str = "", *headers: str) -> Answer:
    async def give(request: Received) -> bytes:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", body]
        return "\r\n".join(lines).encode()

    return give


async def silence(request: Received) -> bytes:
    await asyncio.sleep(60)
    return b""


@dataclass
class Receiver:
    answer: Answer = field(default_factory=lambda: answer(200, "thanks"))
    received: list[Received] = field(default_factory=list)
    url: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.received]

    async def __aenter__(self) -> "Receiver":
        self._open: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        port = self._server.sockets[0].getsockname()[1]
        scheme = "https" if self.tls else "http"
        self.url = f"{scheme}://127.0.0.1:{port}/hooks?shop=1"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:-2])
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Received(head[0].split(" ")[1], headers, body)
            self.received.append(request)
            writer.write(await self.answer(request))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()
