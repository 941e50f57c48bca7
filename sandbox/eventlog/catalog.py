"""Every type of event: when it happens, whom it concerns, a schema and an example.

Examples lie in a file beside this one, written from events that real slices told. What an event
tells has the shape that API answers have too (ADR 0032); wiring hands the shapes over.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from sandbox.core.api_version import LATEST
from sandbox.core.errors import NotFound
from sandbox.core.http.answers import Shape, inlined
from sandbox.eventlog.errors import UnknownEventType
from sandbox.eventlog.leaf import is_private
from sandbox.eventlog.service import like_pattern, wants

FILE_NAME = "event_types.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
Told = Mapping[str, Shape]
"""What events tell: an object's name, or the type where the data is no object → its shape."""
_EXAMPLE_ID = "evt_01kb4q2v8r3m5n7p9s1t2w4x6z"
_EXAMPLE_CREATED = "2026-11-21T06:30:00.000Z"


@cache
def _file() -> Mapping[str, Any]:
    data: Mapping[str, Any] = orjson.loads((Path(__file__).parent / FILE_NAME).read_bytes())
    return data


def types() -> list[str]:
    """The names of all types, in the order of the documentation."""
    return list(_file()["types"])


def check_pattern(pattern: str) -> None:
    """Refuse what names no event. Raises `BadTypePattern`, `UnknownEventType`."""
    like_pattern(pattern)
    if not any(wants([pattern], type_) for type_ in types()):
        raise UnknownEventType(pattern)


def listed() -> list[dict[str, Any]]:
    """Every type without schema and example."""
    return [_head(type_) for type_ in types()]


def described(type_: str, told: Told) -> dict[str, Any]:
    """One type with its JSON Schema and an example, both of the whole event. Raises `NotFound`."""
    if type_ not in _file()["types"]:
        raise NotFound("event type", type_[:64])
    return {**_head(type_), "schema": schema(type_, told), "example": example(type_)}


def schema(type_: str, told: Told) -> dict[str, Any]:
    """The JSON Schema of an API event. More members than it names may come at any time."""
    found = _file()["types"][type_]
    return {
        "$schema": DIALECT,
        "title": type_,
        "description": found["when"],
        "type": "object",
        "properties": {
            "object": {"const": "event"},
            "id": {"type": "string", "pattern": "^evt_"},
            "type": {"const": type_},
            "created": {"type": "string", "format": "date-time"},
            "epoch": {"type": "integer", "minimum": 1},
            "position": {"type": ["integer", "null"], "minimum": 0},
            "sequence": {"type": ["integer", "null"], "minimum": 1},
            "api_version": {"type": "string", "format": "date"},
            "data": _data(told[found["data"]]),
        },
        "required": [
            "object", "id", "type", "created", "epoch", "position", "sequence", "api_version",
            "data",
        ],
    }  # fmt: skip


@cache
def _data(shape: Shape) -> dict[str, Any]:
    """The schema of the shape as anybody is told it: private members are for their owner."""
    found: dict[str, Any] = _for_all(inlined(shape))
    return found


def _for_all(value: Any) -> Any:
    if isinstance(value, list):
        return [_for_all(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {name: _for_all(one) for name, one in value.items()}
    if isinstance(made.get("required"), list):
        members = made["properties"]
        made["required"] = [
            name
            for name in made["required"]
            if not is_private(name) and not _is_free_text(members[name])
        ]
    return made


def _is_free_text(member: Mapping[str, Any]) -> bool:
    return any("x-private" in one for one in member.get("anyOf", [member]))


def example(type_: str) -> dict[str, Any]:
    """An event as its reader gets it: a merchant its own, the regulator any other."""
    found = _file()["types"][type_]
    is_own = found["audience"] == "merchant"
    return {
        "object": "event",
        "id": _EXAMPLE_ID,
        "type": type_,
        "created": _EXAMPLE_CREATED,
        "epoch": 1,
        "position": None if is_own else 41,
        "sequence": 7 if is_own else None,
        "api_version": LATEST,
        "data": found["example"],
    }


def _head(type_: str) -> dict[str, Any]:
    found = _file()["types"][type_]
    return {
        "object": "event_type",
        "type": type_,
        "when": found["when"],
        "audience": found["audience"],
        "data": found["data"],
    }
