"""The file of a recording: one RFC 8785 object per line, a header first, a checksum last.

docs/record-and-compare.md describes the lines.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sandbox.core.canonical import canonical
from sandbox.core.errors import SandboxError

FORMAT: Final = "kzte-cassette"
VERSION: Final = 1
HEADER, EXCHANGE, ACT, EVENT, TRANSACTION, END = (
    "header", "exchange", "act", "event", "transaction", "end",
)  # fmt: skip
STEPS: Final = (EXCHANGE, ACT)

JsonObject = dict[str, Any]


class CassetteUnreadable(SandboxError):
    """There is no such file, or it cannot be read."""

    code = "cassette_unreadable"

    def __init__(self, path: Path, why: OSError) -> None:
        super().__init__(f"{path} cannot be read: {why.strerror}")


class CassetteDamaged(SandboxError):
    """The file is not what was written: cut off, changed, or something else."""

    code = "cassette_damaged"

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}, line {line}: {why}", line=line)


class CassetteOfAnotherVersion(SandboxError):
    """A later sandbox wrote it."""

    code = "cassette_of_another_version"

    def __init__(self, path: Path, version: object) -> None:
        super().__init__(f"{path} is of version {version}; this sandbox reads version {VERSION}")


@dataclass(frozen=True, slots=True)
class Cassette:
    """What a run was: `steps` are requests and acts in their order."""

    header: JsonObject
    steps: list[JsonObject] = field(default_factory=list)
    events: list[JsonObject] = field(default_factory=list)
    transactions: list[JsonObject] = field(default_factory=list)

    def lines(self) -> list[JsonObject]:
        """All but the last line, in the order of the file."""
        return [self.header, *self.steps, *self.events, *self.transactions]


def header(**facts: Any) -> JsonObject:
    """The first line, with what is known of the world."""
    return {"kind": HEADER, "format": FORMAT, "version": VERSION, **facts}


def write(path: Path, cassette: Cassette) -> None:
    """Replace `path` by the whole cassette. Raises OSError."""
    body = b"".join(canonical(line) + b"\n" for line in cassette.lines())
    end = {"kind": END, "lines": len(cassette.lines()), "sha256": hashlib.sha256(body).hexdigest()}
    draft = path.with_name(path.name + ".partial")
    draft.write_bytes(body + canonical(end) + b"\n")
    draft.replace(path)


def read(path: Path) -> Cassette:
    """Raises `CassetteUnreadable`, `CassetteDamaged`, `CassetteOfAnotherVersion`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CassetteUnreadable(path, error) from None
    lines = data.split(b"\n")
    first = _object(path, 1, lines[0])
    if first.get("kind") != HEADER or first.get("format") != FORMAT:
        raise CassetteDamaged(path, 1, "this is no recording of a sandbox")
    if first.get("version") != VERSION:
        raise CassetteOfAnotherVersion(path, first.get("version"))
    if lines.pop() != b"" or len(lines) < 2:
        raise CassetteDamaged(path, len(lines) + 1, "it is cut off")
    end = _object(path, len(lines), lines[-1])
    if end.get("kind") != END or end.get("lines") != len(lines) - 1:
        raise CassetteDamaged(path, len(lines), "it is cut off, or lines are missing")
    body = data[: -len(lines[-1]) - 1]
    if hashlib.sha256(body).hexdigest() != end.get("sha256"):
        raise CassetteDamaged(path, len(lines), "its checksum does not fit: it was changed")
    return _sorted(path, [_object(path, n + 1, line) for n, line in enumerate(lines[:-1])])


def _object(path: Path, number: int, line: bytes) -> JsonObject:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CassetteDamaged(path, number, "this is no JSON object")
    return found


def _sorted(path: Path, lines: Sequence[JsonObject]) -> Cassette:
    made = Cassette(lines[0])
    places = {EVENT: made.events, TRANSACTION: made.transactions} | dict.fromkeys(STEPS, made.steps)
    for number, line in enumerate(lines[1:], 2):
        kind = line.get("kind")
        if not isinstance(kind, str) or kind not in places:
            raise CassetteDamaged(path, number, f"a line of the kind {kind!r}")
        places[kind].append(line)
    return made
