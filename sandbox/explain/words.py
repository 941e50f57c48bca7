"""What an explanation is made of: steps with codes and values, from which every form is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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


Seen = Mapping[tuple[str, str], Decoded | None]
"""(chain, tx) → what the chain told of it: None, it knows nothing; missing, it did not answer."""


class Subject(Protocol):
    """What was read of an object in one transaction; the chains are asked about `txs` after it."""

    @property
    def txs(self) -> Sequence[tuple[str, str]]: ...
