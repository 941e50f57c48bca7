"""Dated versions of the API's shapes: which there are, and how answers become older ones again.

There is one version so far. A change that breaks clients gets a date, a line here, and an
`Undo` that gives its objects the shape that clients pinned to an earlier version know. Keys and
webhook endpoints pin a version when they are made (CONVENTIONS 2.12).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.core.errors import SandboxError

VERSIONS: Final[tuple[str, ...]] = ("2026-11-20",)
"""Every version that is served, oldest first."""
LATEST: Final = VERSIONS[-1]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Undo:
    """Takes the change of `version` back from objects of `kind` (their member `object`)."""

    version: str
    kind: str
    apply: Callable[[Object], Object]


UNDOS: Final[tuple[Undo, ...]] = ()
"""Oldest first. Empty: nothing that was published has changed yet."""


class VersionUnknown(SandboxError):
    """No such version of the API, or one that this sandbox does not serve."""

    status, code = 400, "version_unknown"
    fields = ("api_version", "/header/sandbox-version")

    def __init__(self, version: str) -> None:
        super().__init__(
            f"the versions of this API are {', '.join(VERSIONS)}",
            version=version[:40],
            versions=list(VERSIONS),
        )


def known(version: str) -> str:
    """`version`, if it is served. Raises `VersionUnknown`."""
    if version not in VERSIONS:
        raise VersionUnknown(version)
    return version


def shaped(value: Any, version: str, undos: tuple[Undo, ...] = UNDOS) -> Any:
    """`value` as clients of `version` know it: newer changes taken back, newest first, inside too.

    `value` itself is not altered.
    """
    later = [undo for undo in reversed(undos) if undo.version > version]
    return _shaped(value, later) if later else value


def _shaped(value: Any, later: list[Undo]) -> Any:
    if isinstance(value, list):
        return [_shaped(one, later) for one in value]
    if not isinstance(value, Mapping):
        return value
    made = {name: _shaped(one, later) for name, one in value.items()}
    for undo in later:
        if made.get("object") == undo.kind:
            made = undo.apply(made)
    return made
