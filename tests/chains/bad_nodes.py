"""A node that is not one: answers every request with the same bytes, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

Serve = Callable[[bytes | None], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A server that answers every request with the same bytes, or with nothing at all."""
    servers: list[asyncio.Server] = []
    waiting: list[asyncio.Event] = []

    async def start(answer: bytes | None) -> str:
        handled = asyncio.Event()
        waiting.append(handled)

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if answer is not None:
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()  # until the client gives up
            writer.close()
            handled.set()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start
    async with asyncio.timeout(5):
        for handled in waiting:
            await handled.wait()
    for server in servers:
        server.close()
        await server.wait_closed()


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: "
    return head + str(len(body)).encode() + b"\r\n\r\n" + body
