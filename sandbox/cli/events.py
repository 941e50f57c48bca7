"""`sandbox events list`, `sandbox events get` and `sandbox events resend`."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.markup import escape

from sandbox.cli import following, show
from sandbox.cli.endpoints import JsonObject, Query, Role, Running

PAGE = 100


def list_(
    data_dir: Path,
    types: Sequence[str],
    limit: int,
    after: int | None,
    role: Role,
    key: str | None,
    as_json: bool,
) -> int:
    """Oldest first behind `after`; without it the newest `limit`, the newest last."""
    with closing(Running.for_caller(data_dir, key)) as running:
        if after is None:
            found = _newest(running, types, limit, role)
        else:
            found = _page(running, types, limit, after, role)
    if as_json:
        print(json.dumps({"object": "list", "data": found}, ensure_ascii=False), flush=True)
        return 0
    for event in found:
        at = event["created"][5:19].replace("T", " ")
        show.out.print(
            f"[dim]{following.number(event):>6} {at}[/] {event['type']:<26} {event['id']}"
        )
    if not found:
        show.err.print("no events")
    return 0


def get(data_dir: Path, event: str, role: Role, key: str | None, as_json: bool) -> int:
    """The API object, for people with indentation."""
    with closing(Running.for_caller(data_dir, key)) as running:
        found = running.get(f"/v1/events/{event}", role)
    print(json.dumps(found, ensure_ascii=False, indent=None if as_json else 2), flush=True)
    return 0


def resend(data_dir: Path, asked: JsonObject, key: str | None, as_json: bool) -> int:
    """Have events sent again; the answer counts them."""
    with closing(Running.for_caller(data_dir, key)) as running:
        sent = running.post("/v1/events/resend", asked, "merchant")
    if as_json:
        print(json.dumps(sent, ensure_ascii=False), flush=True)
        return 0
    deliveries = sent["deliveries"]
    show.out.print(
        f"[green]✓[/] {escape(sent['id'])}: events sent again: {sent['events']}, deliveries to"
        f" webhook endpoints: {deliveries}"
    )
    if not deliveries:
        show.out.print("  no endpoint wants them; whoever runs `sandbox listen` has them now")
    return 0


def _page(
    running: Running, types: Sequence[str], limit: int, after: int | None, role: Role
) -> list[JsonObject]:
    asked: dict[str, Query] = {"limit": limit}
    if list(types) != ["*"]:
        asked["type"] = list(types)
    if after is not None:
        asked["after"] = after
    found: list[JsonObject] = running.get("/v1/events", role, **asked)["data"]
    return found


def _newest(running: Running, types: Sequence[str], limit: int, role: Role) -> list[JsonObject]:
    """The list is oldest first: it is read backwards in pages, from where the stream stands."""
    newest = following.newest(running, role)
    found: list[JsonObject] = []
    end = -1 if newest is None else newest.number
    while end >= 0 and len(found) < limit:
        begin = end - PAGE
        page = _page(running, types, PAGE, begin if begin >= 0 else None, role)
        found = [one for one in page if following.number(one) <= end] + found
        end = begin
    return found[-limit:]
