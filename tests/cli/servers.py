"""Two real HTTP servers at the ports of the CLI: a sandbox that misbehaves as the real one never
does on purpose, and a developer's webhook handler.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sandbox.devnets import datadir

JsonObject = dict[str, Any]
KEY = "sk_sbx_test_merchant"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: Any

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no fault of the server's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], owner: Any, port: int = 0) -> Iterator[Server]:
    with Server(("127.0.0.1", port), handler) as server:
        server.owner = owner
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, kind: str = "application/json", **more: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **more}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def event(sequence: int, epoch: int = 1, type_: str = "payment.captured") -> JsonObject:
    id_ = f"evt_{epoch}{sequence:025}"
    return {
        "object": "event",
        "id": id_,
        "type": type_,
        "created": f"2026-11-20T10:15:{sequence % 60:02}Z",
        "epoch": epoch,
        "position": None,
        "sequence": sequence,
        "api_version": "2026-11-20",
        "data": {"object": "payment", "id": f"pay_{sequence:026}", "note": "шай"},
    }


@dataclass
class FakeSandbox:
    """Scripted: what the log holds, what the stream leaves out, and what the list leaves out."""

    epoch: int = 1
    log: list[JsonObject] = field(default_factory=list)
    not_streamed: set[int] = field(default_factory=set)
    not_listed: set[int] = field(default_factory=set)
    resent: list[JsonObject] = field(default_factory=list)
    asked: list[tuple[str, JsonObject]] = field(default_factory=list)
    requests: list[JsonObject] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    breaks: int = 0
    polled: bool = False
    html: bool = False

    def happen(self, *events: JsonObject) -> None:
        with self.changed:
            self.log += events
            self.changed.notify_all()

    def restore(self, epoch: int) -> None:
        with self.changed:
            self.epoch, self.log = epoch, []
            self.changed.notify_all()

    def resend(self, *events: JsonObject) -> None:
        with self.changed:
            self.resent += events
            self.changed.notify_all()

    def cut(self) -> None:
        """Break every stream off."""
        with self.changed:
            self.breaks += 1
            self.changed.notify_all()


class SandboxHandler(Quiet):
    # A connection that is kept would outlive the server.
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        fake: FakeSandbox = self.server.owner
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self._problem(401, "unauthenticated", "who are you?")
        elif fake.html:
            self.answer(200, b"<html>", "text/html")
        elif parts.path == "/v1/events/stream":
            self._stream(fake, query)
        elif parts.path == "/v1/events":
            self._list(fake, query)
        elif parts.path.startswith("/v1/events/"):
            found = [one for one in fake.log if one["id"] == parts.path.rpartition("/")[2]]
            if found:
                self._json(200, found[0])
            else:
                self._problem(404, "not_found", "no event of this id")
        elif parts.path == "/v1/request_logs":
            self._requests(fake, query)
        elif parts.path.startswith("/v1/request_logs/"):
            id_ = parts.path.rpartition("/")[2]
            self._json(200, next(one for one in fake.requests if one["id"] == id_))
        else:
            self._problem(404, "not_found", "no such route")

    def do_POST(self) -> None:
        fake: FakeSandbox = self.server.owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fake.asked.append((self.path, body))
        fake.resend(*(one for one in fake.log if one["id"] in body.get("events", ())))
        answer = {"object": "event_resend", "id": "rs_1", "events": 2, "deliveries": 0}
        self._json(201, answer)

    def _list(self, fake: FakeSandbox, query: dict[str, str]) -> None:
        after = int(query.get("after", "0").rpartition(":")[2])
        limit = int(query["limit"])
        found = [
            one
            for one in fake.log
            if one["sequence"] > after and one["sequence"] not in fake.not_listed
        ]
        if "before" in query:
            found = found[-limit:]
        listed = {"object": "list", "data": found[:limit], "has_more": len(found) > limit}
        self._json(200, listed)

    def _requests(self, fake: FakeSandbox, query: dict[str, str]) -> None:
        """Newest first, as CONTRACT 8 has it."""
        found = [one for one in fake.requests if one["method"] == query.get("method", "GET")]
        found = [one for one in found if one["path"].startswith(query.get("path", ""))]
        if "ending_before" in query:
            fake.polled = True
            found = [one for one in found if one["id"] > query["ending_before"]]
            found = found[: int(query["limit"])]
        self._json(200, {"object": "list", "data": found[-int(query["limit"]) :][::-1]})

    def _stream(self, fake: FakeSandbox, query: dict[str, str]) -> None:
        cursor = self.headers.get("Last-Event-ID") or query.get("after", "")
        fake.cursors.append(cursor)
        at_epoch, resent, breaks = fake.epoch, len(fake.resent), fake.breaks
        epoch, _, number = cursor.rpartition(":")
        at = int(number) if epoch == str(fake.epoch) else 0
        if cursor == "latest":
            at = max((one["sequence"] for one in fake.log), default=0)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self._say(f"retry: 1000\nid: {at_epoch}:{at}\n\n")
        while True:
            with fake.changed:
                fresh = [one for one in fake.log if one["sequence"] > at]
                again = fake.resent[resent:]
                if fake.breaks != breaks:
                    break
                if not fresh and not again and fake.epoch == at_epoch:
                    fake.changed.wait(5)
                    continue
            if fake.epoch != at_epoch:
                at, at_epoch = 0, fake.epoch
                self._say(f"id: {at_epoch}:0\n\n")
                continue
            for one in fresh:
                at = one["sequence"]
                if at not in fake.not_streamed:
                    self._say(f"id: {one['epoch']}:{at}\ndata: {json.dumps(one)}\n\n")
            for one in again:
                resent += 1
                self._say(f"event: resend\ndata: {json.dumps(one)}\n\n")
        self.close_connection = True

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def _json(self, status: int, body: JsonObject) -> None:
        self.answer(status, json.dumps(body).encode())

    def _problem(self, status: int, code: str, detail: str) -> None:
        self._json(status, {"status": status, "code": code, "detail": detail})


@contextmanager
def fake_sandbox(data_dir: Path, port: int = 0) -> Iterator[FakeSandbox]:
    """It runs on `data_dir` as far as the CLI can see: this process holds it."""
    fake = FakeSandbox()
    datadir.open_data_dir(data_dir)
    with served(SandboxHandler, fake, port) as server, datadir.held(data_dir):
        ends = {"api": server.url, "solana_rpc": server.url, "evm_rpc": server.url}
        datadir.write_endpoints(data_dir, {**ends, "keys": {"merchant": KEY, "operator": KEY}})
        yield fake
        fake.cut()
        datadir.remove_endpoints(data_dir)


@dataclass(frozen=True)
class Delivery:
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> JsonObject:
        found: JsonObject = json.loads(self.body)
        return found


@dataclass
class Hooks:
    """A developer's handler. `answers` are (status, headers) for the next requests, then 204."""

    got: list[Delivery] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def wait(self, fits: Callable[["Hooks"], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: fits(self), 60), [d.event["id"] for d in self.got]

    @property
    def sequences(self) -> list[int]:
        return [one.event["sequence"] for one in self.got]


class HooksHandler(Quiet):
    def do_POST(self) -> None:
        hooks: Hooks = self.server.owner
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with hooks.changed:
            status, more = hooks.answers.pop(0) if hooks.answers else (204, {})
            hooks.got.append(Delivery(headers, body))
            hooks.changed.notify_all()
        self.answer(status, b"" if status == 204 else b"no, not now", "text/plain", **more)


@contextmanager
def webhook_handler(port: int = 0) -> Iterator[Hooks]:
    hooks = Hooks()
    with served(HooksHandler, hooks, port) as server:
        hooks.url = f"{server.url}/hooks"
        yield hooks
