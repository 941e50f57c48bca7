"""Writes `sandbox/eventlog/event_types.json` from events that real slices told in tests.

    EVENTS=/tmp/events.jsonl python -m pytest -p tests.eventlog.describe tests/scenarios …
    python -m tests.eventlog.describe /tmp/events.jsonl

Types that are in the file and were not seen keep what they have; a new type needs its row in
docs/events.md first. The schemas are those of the shapes (`sandbox.wiring.TOLD`).
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.eventlog import catalog, service
from sandbox.eventlog.leaf import SECRET_KEYS, is_private

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/events.md"
FILE = Path(catalog.__file__).parent / catalog.FILE_NAME
AUDIENCES = {"A merchant's": "merchant", "The issuer's": "issuer", "The sandbox's": "sandbox"}

Json = dict[str, Any]


if os.environ.get("EVENTS"):
    _append = service.append_many

    async def _told(db: Any, events: Any, hashes: Any) -> None:
        with Path(os.environ["EVENTS"]).open("a") as file:
            for event in events:
                test = os.environ.get("PYTEST_LATEST_TEST", "").split("::")[0]
                row = {"type": event.type, "data": event.data, "test": test}
                file.write(json.dumps({**row, "private": list(event.private)}) + "\n")
        await _append(db, events, hashes)

    service.append_many = _told


def listed() -> Iterator[tuple[str, str, str]]:
    """(type, when, audience) of the rows of docs/events.md."""
    audience = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            audience = AUDIENCES.get(line[3:], "")
        if audience and line.startswith("| `"):
            types, when, _ = line.removeprefix("| ").removesuffix(" |").split(" | ")
            for type_ in re.findall(r"`(.*?)`", types):
                yield type_, when, audience


def key_of(type_: str, data: Mapping[str, Any]) -> str:
    """What has one shape: an object wherever it is told, else the type's own data."""
    return str(data.get("object", type_))


def described(events: Sequence[Json], before: Json) -> Json:
    """The content of the file."""
    examples: dict[str, Json] = {}
    for event in events:
        best = examples.get(event["type"])
        if best is None or _rank(event) > _rank(best):
            examples[event["type"]] = event
    types = {}
    for type_, when, audience in listed():
        old = before.get("types", {}).get(type_, {})
        example = old.get("example")
        if type_ in examples:
            example = examples[type_]["data"]
            if audience != "merchant":
                example = for_everybody(example, examples[type_]["private"])
        if example is None:
            sys.exit(f"{type_} was never seen and is not in the file: give it an example by hand")
        types[type_] = {
            "when": when,
            "audience": audience,
            "data": key_of(type_, example),
            "example": example,
        }
    return {"types": types}


def for_everybody(value: Any, hidden: Sequence[str] = ()) -> Any:
    """What is told of it to whoever is not its owner."""
    if isinstance(value, dict):
        return {
            key: for_everybody(inner)
            for key, inner in value.items()
            if key not in hidden and not is_private(key) and key not in SECRET_KEYS
        }
    return [for_everybody(inner) for inner in value] if isinstance(value, list) else value


def _rank(event: Json) -> tuple[bool, int, int]:
    data = event["data"]
    told = sum(value not in (None, [], {}, "") for value in data.values())
    return "scenarios" in event["test"], told, -len(json.dumps(data))


def main() -> None:
    with Path(sys.argv[1]).open() as file:
        events = [json.loads(line) for line in file]
    before = json.loads(FILE.read_text()) if FILE.exists() else {}
    text = json.dumps(described(events, before), ensure_ascii=False, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
