"""What tests do with worlds, and what must hold of each."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx2

from merchants.client import MerchantClient
from sandbox.cli.endpoints import JsonObject, Running
from sandbox.devnets import datadir

SNAPSHOTS = "/v1/sandbox/snapshots"


def save(sandbox: Running, name: str) -> JsonObject:
    found: JsonObject = sandbox.post(SNAPSHOTS, {"name": name})
    return found


def restore(sandbox: Running, name: str) -> JsonObject:
    found: JsonObject = sandbox.post(f"{SNAPSHOTS}/{name}/restore", {})
    return found


def names(sandbox: Running) -> list[str]:
    return [one["name"] for one in sandbox.get(SNAPSHOTS)["data"]]


def red(sandbox: Running) -> list[JsonObject]:
    """The invariants that do not hold."""
    return [check for check in sandbox.get("/v1/sandbox/audit")["checks"] if not check["ok"]]


def told(sandbox: Running, role: Any = "regulator") -> list[JsonObject]:
    """Every event of the epoch that lives, oldest first."""
    events: list[JsonObject] = []
    number = "position" if role == "regulator" else "sequence"
    while True:
        after = {"after": events[-1][number]} if events else {}
        page = sandbox.get("/v1/events", role, limit=100, **after)
        events += page["data"]
        if not page["has_more"]:
            return events


def sessions(shop: MerchantClient) -> dict[str, JsonObject]:
    page = shop.get("/v1/checkout/sessions", limit=100)
    assert not page["has_more"]
    return {one["id"]: one for one in page["data"]}


def vkey_now(data_dir: Path) -> str:
    """The log's key as endpoints.json has it now."""
    found = datadir.read_endpoints(data_dir)
    assert found is not None
    return str(found["log_vkey"])


def raw(sandbox: Running, method: str, path: str, **options: Any) -> httpx2.Response:
    """A request as it is answered, refusals too."""
    headers = {"Authorization": f"Bearer {sandbox.key('operator')}", **options.pop("headers", {})}
    with httpx2.Client(base_url=sandbox.endpoints["api"], timeout=60) as client:
        return client.request(method, path, headers=headers, **options)


class Hooks:
    """A merchant's receiver that keeps the bodies it got."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.status = 200
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hooks.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(hooks.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
