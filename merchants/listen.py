"""A webhook receiver to develop with: registers itself, checks signatures, prints what comes.

API=http://127.0.0.1:8000 KEY=sk_sbx_… python -m merchants.listen
"""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import FrameType

from standardwebhooks.webhooks import WebhookVerificationError

from merchants.client import MerchantClient, verify_webhook

MAX_BODY = 256 * 1024


class Receiver(ThreadingHTTPServer):
    """Answers 204 to an event whose signature is right and 400 to everything else."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.secret = ""
        self.seen: set[str] = set()

    @property
    def url(self) -> str:
        """Where the sandbox shall deliver."""
        return f"http://127.0.0.1:{self.server_port}/hooks"


class Handler(BaseHTTPRequestHandler):
    """One delivery."""

    server: Receiver

    def do_POST(self) -> None:
        """Check the signature over the raw bytes, answer at once, then look at the event."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(min(length, MAX_BODY))
        try:
            event = verify_webhook(self.server.secret, dict(self.headers.items()), body)
        except WebhookVerificationError as error:
            self._answer(400)
            _print(f"refused: {error}")
            return
        self._answer(204)
        delivery = self.headers["webhook-id"]
        if delivery not in self.server.seen:  # at least once means that repeats come
            self.server.seen.add(delivery)
            _print(f"{event['type']} {event['data'].get('id', '')}")

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Only events are worth a line."""


def main() -> int:
    """Listen until Ctrl-C or a termination signal; the endpoint is deleted at the end."""
    try:
        api, key = os.environ["API"], os.environ["KEY"]
    except KeyError as missing:
        print(f'{missing} is not set: eval "$(sandbox env)"', file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    with Receiver() as receiver, MerchantClient(api, key) as shop:
        endpoint = shop.post("/v1/webhook_endpoints", {"url": receiver.url})
        receiver.secret = endpoint["secret"]
        thread = Thread(target=receiver.serve_forever, daemon=True)
        thread.start()
        _print(f"listening at {receiver.url}")
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass
        finally:
            receiver.shutdown()
            shop.delete(f"/v1/webhook_endpoints/{endpoint['id']}")
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
