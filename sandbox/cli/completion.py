"""What the shell offers behind TAB: ids, names and types of the sandbox that runs here.

It runs at each TAB, so it loads nothing of the system and waits for nobody: without an answer it
offers nothing.
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import typer

from sandbox.cli.options import CHAINS, HOME
from sandbox.lab.scenarios import PAYERS

PATIENCE_S = 0.5
CHAIN_PATIENCE_S: Final = 3.0
"""Of what the API has to ask a chain for."""
END: Final = 10**17
"""Behind every event of a log."""
PAGES: Final = {
    "docs": "every route, to try out",
    "openapi": "the same for programs",
    "checkout": "the payment page of the newest open session",
    "ready": "what is missing, if anything",
    "log": "the newest signed checkpoint",
    "solana": "the chain's RPC, for wallets",
    "evm": "the chain's RPC, for wallets",
}
"""What `sandbox open` knows."""
SIMULATED: Final = "sim-"
"""How the names of the wallets begin that scenarios make for themselves."""
_LISTS: Final = {
    "cs": "/v1/checkout/sessions",
    "pay": "/v1/payments",
    "re": "/v1/refunds",
    "str": "/v1/stray_transfers",
    "stl": "/v1/settlements",
    "po": "/v1/payouts",
}
"""How an id begins → the list that has its kind."""


@cache
def types() -> tuple[str, ...]:
    """Every type of event; the file is read as it lies, since the log's code is slow to load."""
    file = Path(__file__).parents[1] / "eventlog" / "event_types.json"
    return tuple(json.loads(file.read_text(encoding="utf-8"))["types"])


def sessions(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The newest checkout sessions, each with its state and amount."""
    for one in _listed(_data_dir(context), "operator", "/v1/checkout/sessions?limit=20"):
        if one["id"].startswith(incomplete):
            yield one["id"], f"{one['status']}, {one['amount_tiyn']} tiyn"


def event_ids(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The newest events of the seeded merchant."""
    for one in _listed(_data_dir(context), "merchant", f"/v1/events?limit=20&before={END}"):
        if one["id"].startswith(incomplete):
            yield one["id"], one["type"]


def request_ids(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The newest requests."""
    for one in _listed(_data_dir(context), "merchant", "/v1/request_logs?limit=20"):
        if one["id"].startswith(incomplete):
            yield one["id"], f"{one['status']} {one['method']} {one['path']}"


def wallets(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The simulated payers and the test wallets that there are; any other name makes a new one."""
    for payer in PAYERS:
        if payer.name.startswith(incomplete):
            yield payer.name, payer.does
    files = (_data_dir(context) / "wallets").glob("*")
    names = {"resident"} | {file.stem for file in files}
    for name in sorted(names - {payer.name for payer in PAYERS}):
        if name.startswith(incomplete) and not name.startswith(SIMULATED):
            yield name, "a wallet"


def objects(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """What can be explained: the newest sessions, or of the kind whose id is begun."""
    kind, begun, _ = incomplete.partition("_")
    if not begun:
        yield from sessions(context, incomplete)
    elif kind in _LISTS:
        for one in _listed(_data_dir(context), "operator", f"{_LISTS[kind]}?limit=20"):
            if one["id"].startswith(incomplete):
                yield one["id"], str(one.get("status") or one.get("chain_state") or "")
    elif kind == "evt":
        yield from event_ids(context, incomplete)


def faults(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """What `sandbox faults switch` knows, once each."""
    found = _listed(_data_dir(context), "operator", "/v1/sandbox/faults")
    for name, means in {one["fault"]: one["means"] for one in found}.items():
        if name.startswith(incomplete):
            yield name, means


def snapshots(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Worlds that are kept."""
    for one in _listed(_data_dir(context), "operator", "/v1/sandbox/snapshots"):
        if one["name"].startswith(incomplete):
            yield one["name"], f"{one['payments']} payments, {one['now']}"


def endpoints(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """The seeded merchant's webhook endpoints."""
    for one in _listed(_data_dir(context), "merchant", "/v1/webhook_endpoints?limit=20"):
        if one["id"].startswith(incomplete):
            yield one["id"], one["url"]


def chains(incomplete: str) -> list[str]:
    """The chains of a sandbox."""
    return [name for name in CHAINS if name.startswith(incomplete)]


def token_roles(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Roles of the token that may get a new key, on the chain that is named."""
    chain = context.params.get("chain") or CHAINS[0]
    path = f"/v1/chains/{chain}/token"
    found = _listed(_data_dir(context), "operator", path, "authorities", CHAIN_PATIENCE_S)
    for one in found:
        if one["rotatable"] and one["role"].startswith(incomplete):
            yield one["role"], one["address"] or "nobody"


def event_types(incomplete: str) -> list[str]:
    """Types and groups of types, also behind a comma."""
    before, comma, last = incomplete.rpartition(",")
    groups = {f"{one.split('.')[0]}.*" for one in types()}
    found = (one for one in sorted({*types(), *groups, "*"}) if one.startswith(last))
    return [f"{before}{comma}{one}" for one in found]


def pages(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Pages, and sessions where an id is begun."""
    yield from (one for one in PAGES.items() if one[0].startswith(incomplete))
    if incomplete.startswith("cs_"):
        yield from sessions(context, incomplete)


def _data_dir(context: typer.Context) -> Path:
    asked = context.params.get("data_dir")
    return Path(asked or os.environ.get("SANDBOX_DATA_DIR") or HOME)


def _listed(
    data_dir: Path, role: str, path: str, within: str = "data", patience_s: float | None = None
) -> list[dict[str, Any]]:
    """The data of a list of the API; empty when anything at all is in the way."""
    try:
        endpoints = json.loads((data_dir / "endpoints.json").read_text())
        netloc = urlsplit(endpoints["api"]).netloc
        connection = HTTPConnection(netloc, timeout=patience_s or PATIENCE_S)
        headers = {"Authorization": f"Bearer {endpoints['keys'][role]}"}
        try:
            connection.request("GET", path, headers=headers)
            found = json.loads(connection.getresponse().read())[within]
        finally:
            connection.close()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, HTTPException):
        return []
    return found if isinstance(found, list) else []
