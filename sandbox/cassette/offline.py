"""Recorded answers served without a sandbox: a client's tests run where nothing else does."""

import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from sandbox.cassette import tape
from sandbox.cassette.tape import Cassette, JsonObject
from sandbox.cassette.world import API
from sandbox.core.canonical import canonical, sha256_hex

NOT_RECORDED: Final = 501
_MAX_BODY: Final = 8 << 20


def fingerprint(method: str, path: str, content: JsonObject | None) -> str:
    """What a request is found by: method, path with query, and body, whoever sends it."""
    return sha256_hex(canonical([method, path, content]))


class Answers:
    """The answers of a recording, each request's in their order; the last one stays."""

    def __init__(self, cassette: Cassette) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, list[JsonObject]] = defaultdict(list)
        for step in cassette.steps:
            if step["kind"] == tape.EXCHANGE and step.get("status") is not None:
                at = fingerprint(step["method"], step["path"], step["request"])
                self._left[at].append(step)

    def next(self, method: str, path: str, content: JsonObject | None) -> JsonObject | None:
        """The line that answers this request; None when it was never asked."""
        with self._lock:
            found = self._left.get(fingerprint(method, path, content))
            if not found:
                return None
            return found.pop(0) if len(found) > 1 else found[0]


class Server(ThreadingHTTPServer):
    """Serves `answers` on a port of loopback; 0: any free one."""

    daemon_threads = True

    def __init__(self, cassette: Cassette, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answers = Answers(cassette)
        self.missed: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """What was asked in vain is told at the end."""

    def do(self) -> None:
        """Any method."""
        size = self.headers.get("content-length", "0")
        if not size.isdigit() or int(size) > _MAX_BODY:
            self.close_connection = True
            return self._answer(413, {"code": "body_too_long", "status": 413}, {})
        content = self._content(self.rfile.read(int(size)))
        step = self.server.answers.next(self.command, self.path, content)
        if step is None:
            self.server.missed.append(f"{self.command} {self.path}")
            return self._answer(NOT_RECORDED, self._problem(), {})
        answer = step["answer"] or {}
        told = answer.get("json", answer.get("text", ""))
        return self._answer(step["status"], told, step.get("answer_headers", {}))

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = do_OPTIONS = do

    def _content(self, body: bytes) -> JsonObject | None:
        if not body:
            return None
        text = body.decode("utf-8", "replace").replace(self.server.url, API)
        try:
            found = json.loads(text)
            canonical(found)
        except ValueError:
            return {"text": text}
        return {"json": found}

    def _problem(self) -> JsonObject:
        return {
            "type": "urn:kzte-sandbox:problem:not_recorded",
            "title": "Not Implemented",
            "status": NOT_RECORDED,
            "code": "not_recorded",
            "detail": f"the recording has no {self.command} {self.path} with this body",
        }

    def _answer(self, status: int, told: Any, headers: JsonObject) -> None:
        text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
        content = text.replace(API, self.server.url).encode()
        self.send_response_only(status)
        kind = "problem+json" if status >= 400 else "json"
        mime = "text/plain" if isinstance(told, str) else f"application/{kind}"
        for name, value in {**headers, "Content-Type": mime}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
