"""What an explanation is made of: steps with codes and values, from which every form is written."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from sandbox.chains.port import Decoded
from sandbox.payments.grounds import Result

Values = Mapping[str, Any]
Lane = Literal[
    "merchant", "issuer", "api", "wallet", "chain", "watcher", "worker", "ledger", "bank", "log",
    "receiver",
]  # fmt: skip
LANES: tuple[Lane, ...] = (
    "merchant", "issuer", "api", "wallet", "chain", "watcher", "worker", "ledger", "bank", "log",
    "receiver",
)  # fmt: skip
"""Who takes part, in the order of their lines in a diagram."""
Kind = Literal["request", "offer", "transaction", "judgement", "entry", "event", "delivery", "bank"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was asked, with what it compared."""

    code: str
    result: Result
    values: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """Another object, and where it is read; `url` is empty for whoever may not."""

    object: str
    id: str
    url: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened: `at` sandbox time, from `who` to `to`.

    It is told at the time of the event `beside` it, if one is known: what one transaction writes
    is stamped at moments of its own. `place` orders what has the same time.
    """

    at: datetime
    who: Lane
    to: Lane
    kind: Kind
    code: str
    values: Values = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    links: tuple[Link, ...] = ()
    place: tuple[float, int] = (0.0, 0)
    is_fault: bool = False
    beside: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """What has not happened yet, who has to do something about it, and by when if that is known."""

    code: str
    whose: str
    since: datetime | None = None
    until: datetime | None = None
    values: Values = field(default_factory=dict)


MOST_ALIKE = 3
"""So many waits of one kind are told, those that end first; then how many more there are."""


def in_short(waits: Sequence[Wait]) -> list[Wait]:
    """Of many waits of one kind, for one receiver, the first to end and how many others."""
    kinds: dict[tuple[str, Any], list[Wait]] = {}
    for wait in waits:
        kinds.setdefault((wait.code, wait.values.get("endpoint")), []).append(wait)
    made = []
    for (code, _), alike in kinds.items():
        if len(alike) <= MOST_ALIKE + 1:
            made += alike
            continue
        # Stable: what has no end stays in its order.
        alike.sort(key=lambda wait: wait.until or datetime.max.replace(tzinfo=UTC))
        made += alike[:MOST_ALIKE]
        others = alike[MOST_ALIKE:]
        since = min((one.since for one in others if one.since is not None), default=None)
        values = {"count": len(others), "like": code}
        until = others[-1].until
        code_of_all = "more" if until is None else "more_until"
        made.append(Wait(code_of_all, alike[0].whose, since, until, values))
    return made


@dataclass(frozen=True, slots=True)
class Note:
    """What this explanation leaves out, or could not find out."""

    code: str
    values: Values = field(default_factory=dict)


@dataclass(slots=True)
class Explanation:
    """All of it, before it is put into a language or a form."""

    object: str
    id: str
    now: datetime
    summary: str
    values: dict[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def ordered(self) -> list[Step]:
        """The steps as they happened."""
        return sorted(self.steps, key=lambda step: (step.beside or step.at, step.place))


@dataclass(frozen=True, slots=True)
class Seen:
    """What chains told of the transactions, each a (chain, tx), that they were `asked` about.

    `told` has None for what a chain knows nothing of, and lacks what it did not answer.
    """

    asked: Collection[tuple[str, str]]
    told: Mapping[tuple[str, str], Decoded | None]


class Subject(Protocol):
    """What was read of an object in one transaction; the chains are asked about `txs` after it."""

    @property
    def txs(self) -> Sequence[tuple[str, str]]: ...
