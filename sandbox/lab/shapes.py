"""What the API and the log show of the test controls."""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from sandbox.chains.shapes import ChainResumed
from sandbox.core.fidelity import Truth
from sandbox.core.http.fidelity import Level
from sandbox.core.shapes import EventId, SessionId, Sha256, Time, Tiyn, id_of, one_of, states
from sandbox.lab.models import FaucetGrant as FaucetGrantRow


class FaucetGrant(TypedDict):
    """Tokens and gas for a test wallet."""

    object: Literal["faucet_grant"]
    id: Annotated[str, id_of("fau")]
    chain: str
    address: str
    amount_tiyn: Tiyn
    status: Annotated[str, states(FaucetGrantRow, "status")]
    tx: str | None
    reason: str | None
    created_at: Time


class Clock(TypedDict):
    """Sandbox time."""

    object: Literal["clock"]
    now: Time
    offset_ms: int
    frozen: bool
    epoch: int


class FiredItem(TypedDict):
    """Something that a move of the clock made due."""

    type: str
    id: str
    due_at: Time


class MovedClock(TypedDict):
    """Where the clock came to, and what that made due."""

    now: Time
    fired: list[FiredItem]
    stops: NotRequired[int]
    complete: NotRequired[bool]


class ToldClock(TypedDict):
    """A move of the clock, or its stop."""

    object: Literal["clock"]
    before: Time
    now: Time
    advance_s: NotRequired[int]
    frozen: NotRequired[bool]


class Rest(TypedDict):
    """Nothing is left to do."""

    quiet: Literal[True]
    waited_ms: int
    waited_for: list[str]


class FollowedChain(ChainResumed):
    """A chain that is followed again."""

    object: Literal["chain"]


class Fault(TypedDict):
    """A failure that can be switched on."""

    fault: str
    chain: str | None
    hop: str
    times: int | None
    means: str
    recovers: str
    happens_at_once: bool


class Faults(TypedDict):
    """Every failure, and how many more times it strikes."""

    object: Literal["faults"]
    data: list[Fault]


# `is` is a keyword.
FidelityLine = TypedDict(
    "FidelityLine",
    {"subject": str, "is": Annotated[str, one_of(Truth, Level)], "differs": str, "test": str},
)


class FidelityPart(TypedDict):
    """A part that `Sandbox-Fidelity` names, and what of it is real."""

    object: Literal["part"]
    part: str
    kind: str
    level: Annotated[str, one_of(Level)]
    lines: list[FidelityLine]
    page: str


class BankNotice(TypedDict):
    """A message that the bank will give."""

    object: Literal["bank_notice"]
    kind: str
    bank_reference: str
    amount_tiyn: Tiyn


class Snapshot(TypedDict):
    """A world that was kept under a name."""

    object: Literal["snapshot"]
    name: str
    epoch: int
    position: int
    now: Time
    payments: int
    size_bytes: int
    created_at: Time


class DeletedSnapshot(TypedDict):
    """A snapshot that was forgotten."""

    object: Literal["snapshot"]
    name: str
    deleted: Literal[True]


class World(TypedDict):
    """The world that lives now."""

    object: Literal["world"]
    epoch: int
    now: Time
    restored: str
    took_ms: int


class WorldEnd(TypedDict):
    """Where a world's log ended: for a merchant in its own numbers."""

    epoch: int
    sequence: NotRequired[int]
    origin: NotRequired[str]
    size: NotRequired[int]
    root: NotRequired[Sha256]


class ToldWorld(TypedDict):
    """A restored world: what was left, and what goes on."""

    object: Literal["world"]
    epoch: int
    now: Time
    restored: str
    left: WorldEnd
    kept: WorldEnd


class Fork(TypedDict):
    """A sandbox of its own, complete and stopped."""

    object: Literal["fork"]
    name: str
    data_dir: str


class Scenario(TypedDict):
    """Something that can be played by its name."""

    object: Literal["scenario"]
    name: str
    does: str
    events: list[str]
    triggered_by: list[str]
    is_payer: bool
    amount_ending: str | None
    refused_with: list[str]
    moves_clock: bool
    note: str | None


class TriggerRefusal(TypedDict):
    """The refusal that a scenario is about."""

    code: str
    detail: str


class TriggeredEvent(TypedDict):
    """An event that a scenario promised, and that was told."""

    id: EventId
    type: str


class Trigger(TypedDict):
    """A scenario that was played."""

    object: Literal["trigger"]
    scenario: str
    chain: str
    session: SessionId | None
    did: list[str]
    transactions: list[str]
    refused: TriggerRefusal | None
    events: list[TriggeredEvent]
    waiting_for: list[str]
    moved_clock: bool


class AmountEnding(TypedDict):
    """Who comes to pay an amount that ends so."""

    ending: str
    payer: str
    does: str


class Payer(TypedDict):
    """A payer by its name."""

    payer: str
    does: str


class MagicAccount(TypedDict):
    """What happens to payment orders to accounts that begin so."""

    account_begins: str
    does: str


class MagicHeader(TypedDict):
    """What a header of a request does to it."""

    header: str
    value: str
    does: str


class MagicValues(TypedDict):
    """The one table of magic values."""

    object: Literal["magic_values"]
    amount_endings: list[AmountEnding]
    payers: list[Payer]
    bank_accounts: list[MagicAccount]
    headers: list[MagicHeader]
