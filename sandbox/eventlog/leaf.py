"""The leaf of the log (CONTRACT 4): how an event becomes bytes, and how they become it again. Pure.

Amounts stand in it as decimal strings, because RFC 8785 numbers end at 2^53; personal and free
text fields stand outside, committed to by salted hashes.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from sandbox.core.canonical import canonical, canonical_exact
from sandbox.core.clock import iso
from sandbox.eventlog.tiles import MAX_ENTRY_BYTES
from sandbox.eventlog.types import EntryHash, NewEvent

VERSION = 1
FIELDS = {"v", "id", "type", "created", "merchant", "data", "entries", "commit"}

PRIVATE_KEYS = frozenset(
    {
        "description",
        "client_reference_id",
        "metadata",
        "name",
        "iin",
        "bin",
        "iban",
        "url",
        "email",
        "phone",
        "note",
        "tax_number",
    }
)
PRIVATE_ENDINGS = ("_name", "_iin", "_bin", "_iban", "_url", "_email", "_phone")
"""Free text and personal data: never in a leaf, at any depth."""

SECRET_KEYS = frozenset({"secret", "api_key", "private_key"})
"""Shown once, by the route that made them; no event repeats them, not even to their owner."""

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")


class MalformedLeaf(ValueError):
    """The bytes are not a leaf of version 1."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What one event is stored as."""

    leaf: bytes
    private: dict[str, Any]


def is_amount(key: str) -> bool:
    """Whether integers under `key` are money and stand in a leaf as decimal strings."""
    return key in ("units", "amount") or key.endswith(("_tiyn", "_units"))


def is_private(key: str) -> bool:
    """Whether what stands under `key` stays out of the leaf and is only committed to."""
    return key in PRIVATE_KEYS or key.endswith(PRIVATE_ENDINGS)


def _public(value: Any, path: str, amount: bool, private: dict[str, Any]) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return str(value) if amount else value
    if isinstance(value, str):
        # The way back could not tell it from an integer.
        assert not (amount and _INTEGER.fullmatch(value)), f"{path} holds a string of digits"
        return value
    if isinstance(value, Mapping):
        kept = {}
        for key, inner in value.items():
            assert isinstance(key, str)
            assert "." not in key, f"{path}: a field name with a dot"
            where = f"{path}.{key}" if path else key
            if key in SECRET_KEYS:
                continue
            if is_private(key):
                private[where] = inner
            else:
                kept[key] = _public(inner, where, amount or is_amount(key), private)
        return kept
    if isinstance(value, list | tuple):
        return [
            _public(inner, f"{path}.{i}" if path else str(i), amount, private)
            for i, inner in enumerate(value)
        ]
    raise TypeError(f"{path}: {type(value).__name__} has no place in an event")


def commitment(salt: bytes, value: object) -> str:
    """Base64 SHA-256(salt || RFC 8785 value): what a leaf says of a private field."""
    return base64.b64encode(hashlib.sha256(salt + canonical(value)).digest()).decode()


def build(event: NewEvent, entries: Sequence[EntryHash], salt: bytes) -> Parts:
    """The leaf of an event and the fields that stand outside it, by dotted path in `data`.

    Raises `ValueError` for what RFC 8785 cannot hold. The caller checks the leaf's length.
    """
    private: dict[str, Any] = {key: event.data[key] for key in event.private}
    shown = {key: value for key, value in event.data.items() if key not in private}
    data = _public(shown, "", False, private)
    leaf = canonical_exact(
        {
            "v": VERSION,
            "id": event.id,
            "type": event.type,
            "created": iso(event.created),
            "merchant": event.merchant,
            "data": data,
            "entries": [{"id": entry.id, "sha256": entry.sha256} for entry in entries],
            "commit": {path: commitment(salt, value) for path, value in private.items()},
        }
    )
    return Parts(leaf, private)


def public_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` of the leaf that an event without private fields gets."""
    private: dict[str, Any] = {}
    shown: dict[str, Any] = _public(data, "", False, private)
    assert not private, f"not for everybody: {sorted(private)}"
    return shown


def _amounts(value: Any, amount: bool) -> Any:
    if isinstance(value, dict):
        return {key: _amounts(inner, amount or is_amount(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_amounts(inner, amount) for inner in value]
    if amount and isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return value


def _put(data: Any, path: str, value: Any) -> None:
    *way, last = path.split(".")
    for step in way:
        data = data[int(step)] if isinstance(data, list) else data[step]
    data[last] = value


def api_data(leaf_data: Any, private: Mapping[str, Any] | None) -> Any:
    """The API object that a leaf's `data` was made from; private fields only if handed in."""
    data = _amounts(leaf_data, False)
    for path, value in (private or {}).items():
        _put(data, path, value)
    return data


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_commitment(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return len(base64.b64decode(value, validate=True)) == hashlib.sha256().digest_size
    except (binascii.Error, ValueError):
        return False


def _is_entry(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"id", "sha256"}
        and _is_text(value["id"])
        and isinstance(value["sha256"], str)
        and _SHA256_HEX.fullmatch(value["sha256"]) is not None
    )


def _is_moment(value: object) -> bool:
    if not isinstance(value, str) or _CREATED.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


_FORM: dict[str, Callable[[Any], bool]] = {
    "v": lambda value: value == VERSION and not isinstance(value, bool),
    "id": _is_text,
    "type": _is_text,
    "created": _is_moment,
    "merchant": lambda value: value is None or _is_text(value),
    "data": lambda value: isinstance(value, dict),
    "entries": lambda value: isinstance(value, list) and all(map(_is_entry, value)),
    "commit": lambda value: isinstance(value, dict) and all(map(_is_commitment, value.values())),
}


def parse(data: bytes) -> dict[str, Any]:
    """Read a leaf; every field has the form of CONTRACT 4. Raises `MalformedLeaf`."""
    if len(data) > MAX_ENTRY_BYTES:
        raise MalformedLeaf(f"{len(data)} bytes")
    try:
        leaf = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MalformedLeaf("not JSON") from error
    if not isinstance(leaf, dict) or leaf.keys() != FIELDS:
        raise MalformedLeaf("not the fields of a leaf")
    for field, good in _FORM.items():
        if not good(leaf[field]):
            raise MalformedLeaf(f"not a leaf's {field}")
    try:
        same = canonical_exact(leaf) == data
    except ValueError as error:
        raise MalformedLeaf(str(error)) from error
    if not same:
        raise MalformedLeaf("not in RFC 8785 form")
    return leaf
