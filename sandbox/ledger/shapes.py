"""What the API and the log show of the books."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from sandbox.core.shapes import (
    Day,
    EntryId,
    EventId,
    Height,
    Sha256,
    Time,
    Units,
    id_of,
    one_of,
    states,
)
from sandbox.ledger.journal import State
from sandbox.ledger.models import AccountRow, LegRow

Book = Annotated[str, states(AccountRow, "book")]
Normal = Annotated[str, states(AccountRow, "normal")]


class LedgerAccount(TypedDict):
    """An account with its balance, in minor units of its asset along its normal side."""

    object: Literal["ledger_account"]
    id: Annotated[str, id_of("acc")]
    book: Book
    asset: str
    code: str
    normal: Normal
    floor: int | None
    posted: Units
    pending_debit: Units
    pending_credit: Units


class LedgerLeg(TypedDict):
    """One line of an entry."""

    book: Book
    asset: str
    code: str
    side: Annotated[str, states(LegRow, "side")]
    amount: Units


class LedgerEntry(TypedDict):
    """An entry with its legs."""

    object: Literal["ledger_entry"]
    id: EntryId
    ref: str
    reason: str
    state: Annotated[str, one_of(State)]
    chain: str | None
    height: Height | None
    effective_at: Time
    recorded_at: Time
    dated_from: Time | None
    cause: str
    event: EventId | None
    reverses: EntryId | None
    legs: list[LedgerLeg]
    sha256: Sha256


# `class` is a keyword.
TrialBalance = TypedDict(
    "TrialBalance", {"book": Book, "asset": str, "class": str, "normal": Normal, "amount": Units}
)


class SealedDay(TypedDict):
    """A day of the books that is over: its entries under one hash, and what they add up to."""

    object: Literal["sealed_day"]
    day: Day
    entries: int
    sha256: Sha256
    balances: list[TrialBalance]
