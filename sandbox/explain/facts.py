"""What is known of an object, of whatever kind: the log's events, the ledger's entries, orders,
transfers, deliveries, requests; and what of it was left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Told:
    """An event; `index` is its place among those found, in the order of the log."""

    id: str
    type: str
    at: datetime
    about: str | None
    merchant: str | None
    request_id: str | None
    epoch: int | None
    position: int | None
    sequence: int | None
    data: Mapping[str, Any]
    entries: tuple[str, ...]
    index: int


@dataclass(frozen=True, slots=True)
class Booked:
    """A ledger entry with its legs as [book, asset, code, side, amount], and how it ended."""

    id: str
    ref: str
    kind: str
    reason: str
    chain: str | None
    at: datetime
    outcome: str | None
    event_id: str | None
    height: int | None
    resolved_at: datetime | None
    legs: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A block's word that a transfer is in it."""

    n: int
    height: int
    block_hash: str
    block_time: datetime
    state: str


@dataclass(slots=True)
class Moved:
    """A movement of the token as it was stored, with every block that it stood in."""

    id: str
    chain: str
    tx: str
    ordinal: int
    kind: str
    source: str
    destination: str
    amount_units: int
    keys: tuple[str, ...]
    intent: str | None
    inclusions: list[Inclusion] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Halt:
    """A chain that is not followed any more."""

    reason: str
    height: int
    since: datetime


@dataclass(slots=True)
class State:
    """How far everything is."""

    now: datetime
    final: Mapping[str, int]
    confirmed: Mapping[str, int]
    halts: Mapping[str, Halt]


NO_STATE = State(datetime.min.replace(tzinfo=UTC), {}, {}, {})
"""Before anything was read."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Of a list of `total` the `first` and the `last` so many are told; `where` all of them are."""

    total: int
    first: int
    last: int
    where: str = ""

    @classmethod
    def of(cls, total: int, most: int, where: str = "") -> "Cut":
        return cls(total, most - most // 2, most // 2, where)


def ends(found: Sequence[_T], most: int) -> list[_T]:
    """The first and the last of a list, together at most so many."""
    if len(found) <= most:
        return list(found)
    cut = Cut.of(len(found), most)
    return [*found[: cut.first], *found[cut.total - cut.last :]]


@dataclass(slots=True)
class Facts:
    """What was found, for one viewer (a merchant's id; None sees everything)."""

    viewer: str | None
    state: State
    events: list[Told] = field(default_factory=list)
    entries: list[Booked] = field(default_factory=list)
    deliveries: list[Any] = field(default_factory=list)
    orders: list[Any] = field(default_factory=list)
    moved: dict[str, Moved] = field(default_factory=dict)
    bank: list[Any] = field(default_factory=list)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    cut: dict[str, Cut] = field(default_factory=dict)

    def asked(self, request_id: str | None) -> dict[str, Any]:
        """What is kept of a request, for a step: `request` is null where nothing is."""
        found = self.requests.get(request_id or "")
        words = None
        if found is not None:
            key = found["idempotency_key"]
            words = f"{found['method']} {found['path']}" + (f", {key}" if key else "")
        return {"request_id": request_id, "request": found, "asked": words}

    def ends(self, what: str, found: Sequence[_T], most: int, where: str = "") -> list[_T]:
        """The first and the last of a list that has more than `most`, which is written down."""
        if len(found) > most:
            self.cut[what] = Cut.of(len(found), most, where)
        return ends(found, most)

    def of(self, id_: str, *types: str) -> list[Told]:
        """The events of one object, of these types if any are named, oldest first."""
        return [e for e in self.events if e.about == id_ and (not types or e.type in types)]
