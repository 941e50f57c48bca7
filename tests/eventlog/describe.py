"""Writes `sandbox/eventlog/event_types.json` from events that real slices told in tests.

    EVENTS=/tmp/events.jsonl python -m pytest -p tests.eventlog.describe tests/scenarios …
    python -m tests.eventlog.describe /tmp/events.jsonl

Types that are in the file and were not seen keep what they have; a new type needs its row in
docs/events.md first. What an object always has is required; more is always allowed.
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
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ID = re.compile(r"([a-z]{2,4}_)[0-9a-hjkmnp-tv-z]{26}")
# Keys of these are the merchant's own words, or names that the world decides.
OPEN = frozenset({"metadata", "options", "parameters"})

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


class Seen:
    """Values that stood in one place."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self.prefixes: set[str | None] = set()
        self.are_moments = True
        self.members: dict[str, Seen] = {}
        self.counts: dict[str, int] = {}
        self.objects = 0
        self.items: Seen | None = None
        self.hidden: set[str] = set()
        """Members that stand outside the leaf in this place: their owner alone sees them."""

    def add(self, value: Any) -> None:
        kind = _kind(value)
        self.types.add(kind)
        if kind == "string":
            self.are_moments = self.are_moments and MOMENT.fullmatch(value) is not None
            found = ID.fullmatch(value)
            self.prefixes.add(found[1] if found else None)
        elif kind == "object":
            self.objects += 1
            for name, member in value.items():
                self.members.setdefault(name, Seen()).add(member)
                self.counts[name] = self.counts.get(name, 0) + 1
        elif kind == "array":
            for item in value:
                self.items = self.items or Seen()
                self.items.add(item)

    def schema(self, name: str = "") -> Json:
        types = sorted(self.types - {"integer"} if "number" in self.types else self.types)
        made: Json = {"type": types[0] if len(types) == 1 else types}
        if "string" in self.types:
            if self.are_moments:
                made["pattern"] = f"^{MOMENT.pattern}$"
            elif len(self.prefixes) == 1 and (prefix := next(iter(self.prefixes))):
                made["pattern"] = f"^{prefix}"
        if "object" in self.types and name not in OPEN:
            made["properties"] = {
                key: member.schema(key) for key, member in sorted(self.members.items())
            }
            made["required"] = sorted(
                key
                for key, count in self.counts.items()
                if count == self.objects and key not in self.hidden and not is_private(key)
            )
        if "array" in self.types and self.items is not None and name not in OPEN:
            made["items"] = self.items.schema()
        return made


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    return names[type(value)]


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
    """What shares one schema: an object wherever it is told, else the type's own data."""
    return str(data.get("object", type_))


def described(events: Sequence[Json], before: Json) -> Json:
    """The content of the file."""
    seen: dict[str, Seen] = {}
    examples: dict[str, Json] = {}
    for event in events:
        one = seen.setdefault(key_of(event["type"], event["data"]), Seen())
        one.add(event["data"])
        one.hidden.update(event["private"])
        best = examples.get(event["type"])
        if best is None or _rank(event) > _rank(best):
            examples[event["type"]] = event
    schemas = before.get("schemas", {}) | {key: one.schema() for key, one in seen.items()}
    for key, schema in schemas.items():
        if "object" in schema["properties"]:
            schema["properties"]["object"] = {"const": key}
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
    used = {one["data"] for one in types.values()}
    return {
        "types": types,
        "schemas": {key: schema for key, schema in sorted(schemas.items()) if key in used},
    }


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
