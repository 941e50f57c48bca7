"""Webhooks as a test sees them: received here, verified, in order of arrival."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, Final

from standardwebhooks.webhooks import WebhookVerificationError

from merchants.client import JsonObject, verify_webhook
from merchants.pytest_sandbox.errors import NotSeen

_MAX_BODY: Final = 1024 * 1024
# The plugin's own doing: every endpoint is told of a restore.
_RESTORED: Final = "world.restored"

Shop = Callable[[Mapping[str, str], bytes], int | None]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that the sandbox made, and what it was answered."""

    id: str
    event: JsonObject
    headers: Mapping[str, str]
    body: bytes
    answered: int


class Webhooks:
    """`received` has each event once; `deliveries` has every request, repeats too."""

    def __init__(self) -> None:
        self._server = _Server(self)
        self._news = Condition()
        self._thread = Thread(target=self._server.serve_forever, name="webhooks", daemon=True)
        self._thread.start()
        self._epoch = 0
        self._shop: Shop | None = None
        self._planned: list[int] = []
        self._deliveries: list[Delivery] = []
        self._refused: list[str] = []
        self.secret = ""

    @property
    def url(self) -> str:
        """Where the sandbox delivers."""
        return f"http://127.0.0.1:{self._server.server_port}/hooks"

    @property
    def deliveries(self) -> list[Delivery]:
        """Every request of this world."""
        with self._news:
            return list(self._deliveries)

    @property
    def received(self) -> list[JsonObject]:
        """Events, each once, in order of arrival."""
        return list({each.id: each.event for each in self.deliveries}.values())

    @property
    def refused(self) -> list[str]:
        """Why requests were refused: their signature was wrong."""
        with self._news:
            return list(self._refused)

    def deliver_to(self, shop: Shop | None) -> None:
        """Hand every request of this test on to `shop(headers, raw body)`; it gives the status to
        answer with, None for 204. What it raises is answered with 500.
        """
        self._shop = shop

    def answer(self, *statuses: int) -> None:
        """Answer the next requests with these, whatever the shop says."""
        with self._news:
            self._planned += statuses

    def wait(self, type_: str, *, seconds: float = 15, **fields: Any) -> JsonObject:
        """The first event of this type whose `data` has these fields. Raises NotSeen."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for each in self._deliveries:
                    data = each.event["data"]
                    if each.event["type"] == type_ and fields.items() <= data.items():
                        return each.event
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise NotSeen(self._said(type_, seconds, fields))

    def _said(self, type_: str, seconds: float, fields: Mapping[str, Any]) -> str:
        came = [
            f"{each.event['type']} {each.event['data'].get('id', '')}".rstrip()
            for each in self._deliveries
        ]
        lines = "".join(f"\n  {line}" for line in [*came, *self._refused]) or " nothing"
        wanted = "".join(f" {name}={value!r}" for name, value in fields.items())
        return f"no webhook {type_}{wanted} within {seconds:.0f} s; received:{lines}"

    def begin(self, epoch: int) -> None:
        """Another world, or another test in the same one."""
        with self._news:
            self._epoch, self._shop = epoch, None
            self._planned.clear()
            self._deliveries.clear()
            self._refused.clear()

    def close(self) -> None:
        """Receive nothing more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """A request that came in; gives the status to answer with."""
        try:
            event = verify_webhook(self.secret, headers, body)
        except WebhookVerificationError as error:
            with self._news:
                self._refused.append(f"refused: {error}")
                self._news.notify_all()
            return 400
        with self._news:
            if event["epoch"] != self._epoch or event["type"] == _RESTORED:
                return 204
            planned, shop = self._planned.pop(0) if self._planned else None, self._shop
        status = planned
        if status is None:
            try:
                status = (shop(headers, body) if shop is not None else None) or 204
            except Exception as error:  # the code under test: its failure is an answer
                status, why = 500, f"the shop raised {error!r} at {event['type']}"
                with self._news:
                    self._refused.append(why)
        with self._news:
            if event["epoch"] == self._epoch:
                name = headers["webhook-id"]
                self._deliveries.append(Delivery(name, event, dict(headers), body, status))
                self._news.notify_all()
        return status


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, webhooks: Webhooks) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.webhooks = webhooks


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(min(length, _MAX_BODY))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self.server.webhooks.take(headers, body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Requests are seen in `deliveries`."""
