"""`sandbox events list`, `sandbox events get` and `sandbox events resend`."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.markup import escape

from sandbox.cli import following, show
from sandbox.cli.completion import END
from sandbox.cli.endpoints import JsonObject, Query, Role, Running


def list_(
    data_dir: Path,
    types: Sequence[str],
    object_: str | None,
    limit: int,
    after: int | None,
    role: Role,
    key: str | None,
    as_json: bool,
) -> int:
    """Oldest first behind `after`; without it the newest `limit`, the newest last."""
    asked: dict[str, Query] = {"limit": limit, "type": list(types)}
    asked |= {"before": END} if after is None else {"after": after}
    if object_ is not None:
        asked["object"] = object_
    with closing(Running.for_caller(data_dir, key)) as running:
        found = running.get("/v1/events", role, **asked)["data"]
    if as_json:
        print(json.dumps({"object": "list", "data": found}, ensure_ascii=False), flush=True)
        return 0
    width = max((len(event["type"]) for event in found), default=0)
    for event in found:
        at = event["created"][5:19].replace("T", " ")
        show.out.print(
            f"[dim]{following.number(event):>6} {at}[/] {event['type']:<{width}} {event['id']}"
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
    if not sent["events"]:
        show.err.print("no events")
        return 0
    deliveries = sent["deliveries"]
    show.out.print(
        f"[green]✓[/] {escape(sent['id'])}: events sent again: {sent['events']}, deliveries to"
        f" webhook endpoints: {deliveries}"
    )
    if not deliveries:
        show.out.print("  no endpoint wants them; whoever runs `sandbox listen` has them now")
    return 0
