"""The door that a recorded program speaks to: an HTTP proxy in front of one sandbox."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

from sandbox.cassette.recorder import HOP_BY_HOP, STREAM, Recorder
from sandbox.cassette.world import World, WorldSilent

ACTS: Final = "/_recording/acts"
"""Where the command line says what it did past the API: `{"act": …}`."""
_MAX_BODY: Final = 8 << 20


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Programs that open many connections at once are no reason to refuse some.
    request_queue_size = 128

    def __init__(self, world: World) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.recorder = Recorder(world, [self.url])


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """What was asked is on the recording."""

    def do(self) -> None:
        """Any method."""
        size = self.headers.get("content-length", "0")
        if not size.isdigit() or int(size) > _MAX_BODY or "transfer-encoding" in self.headers:
            self.close_connection = True
            is_told = "transfer-encoding" not in self.headers
            status, code = (413, "body_too_long") if is_told else (411, "length_required")
            self._plain(status, {"code": code})
            return
        body = self.rfile.read(int(size))
        if self.path == ACTS:
            self._act(body)
            return
        recorder = self.server.recorder
        try:
            answer, line = recorder.send(self.command, self.path, dict(self.headers), body)
        except WorldSilent as silent:
            self._plain(502, {"code": silent.code, "detail": silent.detail})
            return
        is_stream = answer.headers.get("content-type", "").startswith(STREAM)
        if is_stream:
            recorder.answered(line, None)
            self._head(answer.status_code, answer.headers, None)
            try:
                for chunk in answer.iter_bytes():
                    self.wfile.write(chunk)
                    self.wfile.flush()
            except OSError:
                pass  # the program has heard enough
            finally:
                answer.close()
                self.close_connection = True
            return
        content = answer.read()
        recorder.answered(line, content)
        self._head(answer.status_code, answer.headers, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = do_OPTIONS = do

    def _act(self, body: bytes) -> None:
        said = json.loads(body)
        self.server.recorder.act(**{"name": said.pop("act"), **said})
        self._plain(200, {})

    def _head(self, status: int, headers: "object", length: int | None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():  # type: ignore[attr-defined]  # of either library
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _plain(self, status: int, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self._head(status, {"Content-Type": "application/json"}, len(content))
        self.wfile.write(content)


@contextmanager
def recording(world: World) -> Iterator[tuple[str, Recorder]]:
    """The address to speak to, and what was said there so far."""
    server = _Server(world)
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield server.url, server.recorder
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
