"""The `Chain` protocol: the one door to a chain, and the words that go through it.

Everything above this file is the same for every chain. Amounts are base units of the token.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from sandbox.core.errors import SandboxError, Unavailable


class ChainUnavailable(Unavailable):
    """The node does not answer, or answers nonsense; nothing is known to have happened."""

    code = "chain_unavailable"


class UnknownRecipient(SandboxError):
    """The address is not one that this chain can pay."""

    status, code = 422, "invalid_address"
    fields = ("address", "recipient")

    def __init__(self, chain: str, address: str) -> None:
        super().__init__(f"not an address of {chain}: {address}", chain=chain, address=address)


TREASURY, UNSWEPT = "treasury", "unswept"
"""The places of the sandbox's own units: the treasury, and the sessions' deposit addresses."""


def address_key(address: str) -> str:
    """The match key of a deposit address, written as transfers show it."""
    return f"addr:{address}"


class Outcome(StrEnum):
    """What is known of an action on a chain (DESIGN 2). `unknown` is never tried again blindly."""

    done = "done"
    not_done = "not_done"
    unknown = "unknown"


Action = Literal[
    "mint", "burn", "transfer", "sweep", "freeze", "thaw", "seize", "pause", "resume", "rotate"
]


@dataclass(frozen=True, slots=True)
class Command:
    """What the sandbox wants a chain to do. `reference` (the intent's id) goes on chain.

    mint: new units to `recipient`. burn: units of the treasury. transfer: units of the treasury
    to `recipient`, with the chain's gas for it when `gas` is set. sweep: what lies at the deposit
    addresses of `sessions` goes to the treasury, but for those that are frozen. freeze, thaw: the
    holder `recipient`. seize: units of `holder`, frozen or not, to `recipient`; who was frozen
    stays so. pause, resume: the whole token. rotate: a new key for `role`.
    """

    action: Action
    reference: str
    recipient: str = ""
    amount_units: int = 0
    gas: bool = False
    sessions: Sequence[str] = ()
    holder: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction, its id known before it is sent.

    `valid_until_height` is the last block height (Solana) that may include it, or the nonce
    (EVM). Broadcasting the same bytes again is harmless. `slots` are the places that it takes in
    its signer's order, where the chain has one (EVM: `<signer>:<nonce>`): of two transactions
    with a slot in common only one can ever happen.
    """

    tx_id: str
    raw: bytes
    valid_until_height: int
    slots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement of the token in a block. Addresses are owners, not token accounts.

    mint: `source` is empty. burn: `destination` is empty. `ordinal` counts the token movements
    of its transaction from 0. `keys` are what a payer may have put in to be recognised, best
    first: `ref:<reference>`, `memo:<text>` (never with NUL), `addr:<deposit address>`.
    """

    tx: str
    ordinal: int
    kind: Literal["transfer", "mint", "burn"]
    source: str
    destination: str
    amount_units: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignTransfer:
    """Another token, or native coin, that reached one of the sandbox's own addresses.

    Or may have: where sessions have deposit addresses, the watcher drops what went elsewhere.
    """

    tx: str
    ordinal: int
    token: str
    source: str
    destination: str
    amount: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockId:
    """A block's place in its chain. `height` is the slot on Solana."""

    height: int
    hash: str
    parent_hash: str


@dataclass(frozen=True, slots=True)
class Block:
    """What one block did, failed transactions included (`tx_errors`: id → reason)."""

    id: BlockId
    time: datetime
    txs: tuple[str, ...] = ()
    tx_errors: Mapping[str, str] = field(default_factory=dict)
    transfers: tuple[Transfer, ...] = ()
    foreign: tuple[ForeignTransfer, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """One instruction, call or log of a transaction, for people: whom it names, in which role.

    `program` carried it out. `is_inner`: another act of the transaction caused it.
    """

    name: str
    program: str
    accounts: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, str | int] = field(default_factory=dict)
    is_inner: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    """A transaction as its chain has it now; `error` is why it failed, `sender` paid its fee.

    `left_out` counts acts beyond `MAX_ACTS`. Nobody judges by this: it is for reading.
    """

    tx: str
    state: Literal["waiting", "confirmed", "final"]
    height: int | None
    block_hash: str | None
    time: datetime | None
    sender: str
    error: str | None
    acts: tuple[Act, ...]
    left_out: int = 0


MAX_ACTS = 24


@dataclass(frozen=True, slots=True)
class Heads:
    """The newest confirmed and the newest final height, in the units of `BlockId.height`.

    `newest` is the height that whatever was sent before now is in, if it is in any: who wants to
    know of it waits until that is confirmed. `confirmed_hash` is that of the newest confirmed
    block where another one can take its height, else empty.
    """

    confirmed: int
    final: int
    newest: int
    confirmed_hash: str = ""


@dataclass(frozen=True, slots=True)
class AtHeight:
    """A figure in units, and the final height it was read at."""

    units: int
    height: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """Units at the sandbox's own addresses, per place, all read at one final height."""

    by_place: Mapping[str, int]
    height: int


@dataclass(frozen=True, slots=True)
class TokenTruth:
    """The token as its chain has it at one final height.

    `authorities`: role → address, empty where nobody holds the role. `program` is what carries the
    token out: the program that owns it, or the hash of its own code.
    """

    address: str
    program: str
    name: str
    symbol: str
    uri: str
    decimals: int
    supply_units: int
    height: int
    is_paused: bool
    authorities: Mapping[str, str]
    extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReceiveOption:
    """How a session can be paid on this chain: fields for the API, keys to match (CONTRACT 8)."""

    fields: Mapping[str, str | int]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BrowserPayment:
    """What the payment page asks a wallet in the buyer's browser for (EIP-1193), hex as it goes.

    `balance_of` and a payer's 32-byte word make the call of `to` that answers the payer's units.
    `network` is what the wallet must be told to add this chain (EIP-3085), if anyone may add it.
    """

    chain_id: int
    to: str
    data: str
    balance_of: str
    amount_units: int
    network: Mapping[str, Any] | None


class Chain(Protocol):
    """One chain with the token on it. Methods raise `ChainUnavailable` when it does not answer;
    `heads` and `prepare` raise `WrongChain` when another chain answers in its place.

    `name` is its key everywhere; `network` is what people call it. `sweep_batch` is how many
    sessions one sweep takes; 0 where payments reach the treasury itself. `rotatable` are the roles
    that a `rotate` gives a new key. `sponsors`: whether payers without native coin are helped.
    """

    name: str
    network: str
    decimals: int
    sweep_batch: int
    rotatable: Collection[str]

    @property
    def sponsors(self) -> bool: ...

    @property
    def asset(self) -> str:
        """The ledger's name of the token on this chain, `KZTE.<chain>`."""
        ...

    def own_addresses(self) -> Mapping[str, str]:
        """The sandbox's own lasting addresses that hold units: address → place (`treasury`)."""
        ...

    def deposit_key(self, address: str) -> str:
        """The session key that `address` is, if it is a session's; empty where none can be."""
        ...

    def check_recipient(self, address: str) -> str:
        """The address in the one form that this chain's transfers show it in. No network.

        Raises `UnknownRecipient` for what this chain cannot pay.
        """
        ...

    async def genesis(self) -> str: ...

    async def heads(self) -> Heads: ...

    async def block_ids(self, first: int, last: int) -> list[BlockId]:
        """The existing blocks of [first, last] at the confirmed view, ascending."""
        ...

    async def blocks(self, first: int, last: int) -> list[Block]:
        """The same with their contents."""
        ...

    async def decode(self, tx: str) -> Decoded | None:
        """What a transaction does, in words; None when the node knows nothing of it."""
        ...

    async def supply(self) -> AtHeight:
        """Units in existence at the final view."""
        ...

    async def balance(self, address: str, *, final: bool = True) -> AtHeight:
        """Units held by the owner `address`; 0 when it holds none."""
        ...

    async def is_frozen(self, address: str) -> bool: ...

    async def is_paused(self) -> bool: ...

    async def token_truth(self) -> TokenTruth:
        """What the chain itself says of the token."""
        ...

    async def prepare(self, command: Command, taken: Collection[str] = ()) -> Signed:
        """Build and sign; asks the chain only for what it needs to sign. Nothing is sent.

        `taken` are the slots of everything that was signed and is not resolved.
        """
        ...

    async def broadcast(self, signed: Signed) -> None:
        """Send the bytes. No answer means nothing; the watcher will see."""
        ...

    async def outcome(self, signed: Signed) -> Outcome:
        """What the final view says; `not_done` only when it can never happen any more."""
        ...

    def receive_option(self, session_id: str, amount_units: int, label: str) -> ReceiveOption:
        """A fresh way to pay a session. No network."""
        ...

    def browser_payment(
        self, option: Mapping[str, Any], amount_units: int
    ) -> BrowserPayment | None:
        """How a wallet in the browser pays by these option fields; None where links do. No network.

        Public: whatever is in it stands in the payment page.
        """
        ...

    async def sponsored_payment(
        self, option: Mapping[str, Any], account: str, amount_units: int
    ) -> str:
        """A transaction in base64 that pays by these option fields, its fee paid by us.

        It does nothing else, and lacks only the signature of `account`, who may broadcast it.
        Raises `NotSponsored`, `SponsorEmpty`, `UnknownRecipient`, `PayerCannotPay`.
        """
        ...

    def transaction_link(self, url: str) -> str:
        """What a wallet opens to be offered that at `url`; empty where none would follow it."""
        ...

    async def holdings(self, sessions: Sequence[str] = ()) -> Holdings:
        """What lies at the sandbox's own addresses and, `unswept`, at those of these sessions."""
        ...

    async def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> bool:
        """Move a devnet's clock; false when this chain has no control methods."""
        ...
