"""`sandbox open`: the addresses that a person looks at."""

import json
import webbrowser
from contextlib import closing
from pathlib import Path

from sandbox.cli import show
from sandbox.cli.completion import PAGES
from sandbox.cli.endpoints import Running
from sandbox.core.errors import SandboxError


class NothingOpen(SandboxError):
    """There is no payment page to show."""

    code = "nothing_open"

    def __init__(self) -> None:
        super().__init__(
            "no session is open: create one with POST /v1/checkout/sessions, or name one, cs_…"
        )


def list_(data_dir: Path, as_json: bool) -> int:
    """Every page with its address; the one of a session only when one is open."""
    with closing(Running.of(data_dir)) as running:
        found: dict[str, str | None] = {
            name: _url(running, name) for name in PAGES if name != "checkout"
        }
        found["checkout"] = _newest_open(running)
    if as_json:
        print(json.dumps({"pages": {name: found[name] for name in PAGES}}), flush=True)
        return 0
    for name, what in PAGES.items():
        url = found[name] or "no session is open"
        show.out.print(f"  [bold]{name:<10}[/] {url}  [dim]{what}[/]")
    return 0


def open_(data_dir: Path, page: str, browser: bool, as_json: bool) -> int:
    """Print the address, and open it where there is a browser."""
    with closing(Running.of(data_dir)) as running:
        url = _url(running, page)
    opened = browser and webbrowser.open(url)
    if as_json:
        print(json.dumps({"page": page, "url": url, "opened": opened}), flush=True)
        return 0
    print(url, flush=True)
    if browser and not opened:
        show.err.print("no browser could be started here: open the address yourself")
    return 0


def _url(running: Running, page: str) -> str:
    """Raises `NothingOpen`, and `ApiError` for a session that is not there."""
    ends = running.endpoints
    if page == "checkout":
        if (newest := _newest_open(running)) is None:
            raise NothingOpen
        return newest
    if page.startswith("cs_"):
        return str(running.get(f"/v1/checkout/sessions/{page}")["url"])
    return str(
        {
            "docs": ends["api"] + "/docs",
            "openapi": ends["api"] + "/openapi.json",
            "ready": ends["api"] + "/readyz",
            "log": ends["api"] + "/log/checkpoint",
            "solana": ends["solana_rpc"],
            "evm": ends["evm_rpc"],
        }[page]
    )


def _newest_open(running: Running) -> str | None:
    sessions = running.get("/v1/checkout/sessions", limit=100)["data"]
    return next((one["url"] for one in sessions if one["status"] == "open"), None)
