"""What slices hand to the event log."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.core.log import request_id


@dataclass(frozen=True, slots=True)
class EntryHash:
    """A ledger entry as a leaf names it: its id and the SHA-256 of its RFC 8785 form, hex."""

    id: str
    sha256: str


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One fact. `data` is the API object at that moment, money as integers.

    `refs` are the refs of the ledger entries which this event posts or resolves; each stands in
    exactly one event (CONTRACT 4). `private` names members of `data` that are free text here and
    stay out of the leaf, beside those that always do. `request_id` is no part of the fact: by it
    the log lines of whoever delivers the event are found.
    """

    id: str
    type: str
    created: datetime
    data: dict[str, Any]
    merchant: str | None = None
    refs: tuple[str, ...] = field(default=())
    private: tuple[str, ...] = field(default=())
    request_id: str | None = field(default_factory=request_id, compare=False)
