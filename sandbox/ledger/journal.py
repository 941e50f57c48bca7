"""The words of the ledger: accounts, legs, entries, resolutions, and the changes one step makes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sandbox.eventlog.types import NewEvent

Side = Literal["D", "C"]
State = Literal["pending", "posted", "voided"]


@dataclass(frozen=True, slots=True)
class Account:
    """An account by name; its normal side and floor follow from the code (`ledger.chart`)."""

    book: str
    asset: str
    code: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of an entry; `amount` > 0 in minor units of the account's asset."""

    account: Account
    side: Side
    amount: int


def debit(account: Account, amount: int) -> Leg:
    return Leg(account, "D", amount)


def credit(account: Account, amount: int) -> Leg:
    return Leg(account, "C", amount)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be written. `ref` is its business reference, unique for ever.

    `posted` counts at once and moves no units on a chain; `pending` reserves until a
    `Resolution` posts or voids it. Legs balance per (book, asset). `cause` is the id of what
    led to it (a request, a block, an intent). `reverses` is the id of the posted entry that this
    one takes back, leg by leg (`ledger.service.reversal`).
    """

    id: str
    kind: Literal["pending", "posted"]
    reason: str
    ref: str
    chain: str | None
    effective_at: datetime
    cause: str
    legs: tuple[Leg, ...]
    reverses: str | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """The end of the pending entry `ref`; `height` is the chain height it became final at."""

    ref: str
    outcome: Literal["posted", "voided"]
    event_id: str
    height: int | None = None


@dataclass(slots=True)
class Changes:
    """What one step writes: books and events together, by one call of `ledger.service.record`."""

    entries: list[NewEntry] = field(default_factory=list)
    resolutions: list[Resolution] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)

    def extend(self, other: "Changes") -> None:
        self.entries += other.entries
        self.resolutions += other.resolutions
        self.events += other.events
