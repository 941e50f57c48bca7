"""The receiver of a measurement, in a process of its own: answers 204 at once, notes who came when.

`python -m sandbox.cli.benches.receiver` prints its port. GET /heard answers {object id: monotonic
seconds of its first webhook}, GET /heard/<id> that of one or null, GET /count how many came and
when the last did. POST /hang/… is read and never answered.
"""

import asyncio
import time
from typing import Any

import httptools
import orjson
import uvloop

_DONE = b"HTTP/1.1 204 No Content\r\n\r\n"


class _Heard:
    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self.count, self.last = 0, 0.0

    def note(self, body: bytes) -> None:
        self.last = time.monotonic()
        self.count += 1
        self.first.setdefault(orjson.loads(body)["data"].get("id", ""), self.last)


class _Connection(asyncio.Protocol):
    def __init__(self, heard: _Heard) -> None:
        self._heard = heard
        self._parser = httptools.HttpRequestParser(self)
        self._path, self._body = b"", bytearray()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        path, body = self._path, bytes(self._body)
        self._path = b""
        self._body.clear()
        if self._parser.get_method() == b"GET":
            self._transport.write(self._told(path))
        elif not path.startswith(b"/hang"):
            self._heard.note(body)
            self._transport.write(_DONE)

    def _told(self, path: bytes) -> bytes:
        heard = self._heard
        told: Any = heard.first
        if path.startswith(b"/heard/"):
            told = heard.first.get(path.removeprefix(b"/heard/").decode())
        elif path.startswith(b"/count"):
            told = {"count": heard.count, "last": heard.last}
        data = orjson.dumps(told)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


async def _serve() -> None:
    heard = _Heard()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(heard), "127.0.0.1", 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
