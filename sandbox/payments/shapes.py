"""What the API and the log show of sessions, payments, refunds, stray transfers and sweeps."""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from sandbox.chains.shapes import HolderBurn, TransferOption
from sandbox.core.shapes import (
    EntryId,
    FreeText,
    Height,
    MerchantId,
    PaymentId,
    RefundId,
    SessionId,
    SettlementId,
    StrayId,
    SweepId,
    Time,
    Tiyn,
    Units,
    one_of,
    states,
)
from sandbox.payments import models
from sandbox.payments.judge import Reason

Action = Literal["refund", "accept"]
"""What a merchant may decide about a stray transfer."""
ChainState = Annotated[str, states(models.Payment, "chain_state")]


class Payment(TypedDict):
    """A transfer that reached us and matches a session, counted or not."""

    object: Literal["payment"]
    id: PaymentId
    session: SessionId
    merchant: MerchantId
    chain: str
    method: str
    tx: str
    ordinal: int
    from_address: str
    decimals: int
    amount_units: Units
    counted_units: Units
    excess_units: Units
    refunded_units: Units
    chain_state: ChainState
    settlement_state: Annotated[str, states(models.Payment, "settlement_state")]
    height: Height
    block_time: Time
    inclusion: int
    fee_plan: int | None
    fee_bps: int | None
    fee_fixed_tiyn: Tiyn | None
    fee_minimum_tiyn: Tiyn | None
    fee_tiyn: Tiyn | None
    capture_entry: EntryId | None
    settlement: SettlementId | None
    resolution: Annotated[str, one_of(Action)] | None
    created_at: Time
    confirmed_at: Time
    final_at: Time | None
    captured_at: Time | None


class SessionNote(TypedDict):
    """A session's reference was used on money for somebody else."""

    what: str
    chain: str
    tx: str
    ordinal: int
    amount_units: Units


class CheckoutSession(TypedDict):
    """What a customer shall pay, the ways to pay it, and every payment that came."""

    object: Literal["checkout_session"]
    id: SessionId
    merchant: MerchantId
    status: Annotated[str, states(models.CheckoutSession, "status")]
    reason: Annotated[str, one_of(Reason)]
    reasons: list[Annotated[str, one_of(Reason)]]
    amount_tiyn: Tiyn
    currency: str
    description: str | None
    client_reference_id: str | None
    metadata: dict[str, Any]
    created_at: Time
    expires_at: Time
    canceled_at: Time | None
    captured_at: Time | None
    url: str
    options: list[TransferOption]
    payments: list[Payment]
    payment: Payment | None
    received_units: Units
    excess_units: Units
    completion: int
    notes: list[SessionNote]


class ToldSession(CheckoutSession):
    """A session in an event: of very many payments only the first."""

    payments_left_out: NotRequired[int]


class StrayTransfer(TypedDict):
    """Money that no session counts, with a proposal what to do about it."""

    object: Literal["stray_transfer"]
    id: StrayId
    chain: str
    tx: str
    ordinal: int
    from_address: str
    amount_units: Units
    token: str | None
    session: SessionId | None
    payment: PaymentId | None
    merchant: MerchantId | None
    proposal: Annotated[str, one_of(Action)]
    reasons: list[str]
    status: Annotated[str, states(models.StrayTransfer, "status")]
    resolution: str | None
    refund: RefundId | None
    chain_state: ChainState
    created_at: Time
    resolved_at: Time | None


AnyStray = StrayTransfer | HolderBurn


class Refund(TypedDict):
    """Units on their way back: of a payment, or of a stray transfer."""

    object: Literal["refund"]
    id: RefundId
    payment: PaymentId | None
    stray_transfer: StrayId | None
    merchant: MerchantId | None
    chain: str
    amount_tiyn: Tiyn
    amount_units: Units
    recipient: str
    reason: FreeText | None
    source: Annotated[str, states(models.Refund, "source")] | None
    status: Annotated[str, states(models.Refund, "status")]
    failure: str | None
    tx: str | None
    created_at: Time
    completed_at: Time | None


class Sweep(TypedDict):
    """Units on their way from deposit addresses to the treasury."""

    object: Literal["sweep"]
    id: SweepId
    chain: str
    merchant: MerchantId | None
    settlement: SettlementId | None
    status: Annotated[str, states(models.Sweep, "status")]
    attempt: int
    sessions: list[SessionId]
    planned_units: Units
    moved_units: Units | None
    tx: str | None
    reason: str | None
    created_at: Time
    ended_at: Time | None
