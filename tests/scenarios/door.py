"""The way of a sandbox to its node: a TCP door that may be shut, or lead to another node."""

import asyncio
from urllib.parse import urlsplit


class Door:
    """Passes bytes both ways. `open` makes one; `shut` ends it."""

    def __init__(self, rpc_url: str) -> None:
        self.leads_to = rpc_url
        self._server: asyncio.Server | None = None
        self._port = 0
        self._passing: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, rpc_url: str) -> "Door":
        door = cls(rpc_url)
        await door.reopen()
        return door

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def reopen(self, rpc_url: str | None = None) -> None:
        """Let callers in again, to another node if one is named."""
        await self.shut()
        self.leads_to = rpc_url or self.leads_to
        self._server = await asyncio.start_server(self._enter, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse callers, and drop those who are inside."""
        if self._server is not None:
            self._server.close()
            for task in self._passing:
                task.cancel()
            await asyncio.gather(*self._passing, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        to = urlsplit(self.leads_to)
        ways: list[asyncio.Task[None]] = []
        try:
            inside, outside = await asyncio.open_connection(to.hostname, to.port)
            try:
                ways = [
                    asyncio.create_task(_pass(reader, outside)),
                    asyncio.create_task(_pass(inside, writer)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                outside.close()
        except asyncio.CancelledError:
            pass  # shut; the server's own callback would log it
        finally:
            writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._passing.discard(task)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while sent := await reader.read(65_536):
            writer.write(sent)
            await writer.drain()
    except ConnectionError:
        return
