"""How units reach us, and what chains did, as API and log tell it."""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from sandbox.chains.models import ChainInclusion, ChainTransfer
from sandbox.core.shapes import Height, RedemptionId, StrayId, Units, id_of, states


class TransferOption(TypedDict):
    """One way to send units: a link for wallets, and its parts for whoever builds the transfer."""

    chain: str
    method: str
    url: str
    amount_units: Units
    recipient: NotRequired[str]
    mint: NotRequired[str]
    reference: NotRequired[str]
    memo: NotRequired[str]
    token: NotRequired[str]
    address: NotRequired[str]


class ChainHalted(TypedDict):
    """A chain is followed no further."""

    chain: str
    height: Height
    reason: str


class ChainResumed(TypedDict):
    """A chain is followed again."""

    chain: str
    height: Height


class ChainReorged(TypedDict):
    """Blocks were replaced by others."""

    chain: str
    from_height: Height
    to_height: Height
    dropped: int
    dropped_txs: list[str]


class UnexplainedTransfer(TypedDict):
    """Units were made or left our addresses, and nobody here asked for it."""

    transfer: Annotated[str, id_of("ct")]
    chain: str
    tx: str
    kind: Annotated[str, states(ChainTransfer, "kind")]
    source: str
    destination: str
    amount_units: Units
    height: Height


class HolderBurn(TypedDict):
    """Units that their holder burned: it may still come and ask for their tenge."""

    object: Literal["stray_transfer"]
    id: StrayId
    chain: str
    tx: str
    source: str
    amount_units: Units
    session: None
    proposal: Literal["holder_burn"]
    chain_state: Annotated[str, states(ChainInclusion, "state")]
    status: Literal["open", "resolved"]
    redemption: RedemptionId | None
