"""What the API and the log show of settlements, payouts and reports."""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from sandbox.core.shapes import (
    Day,
    EntryId,
    EventId,
    MerchantId,
    PaymentId,
    PayoutId,
    RefundId,
    SessionId,
    SettlementId,
    Sha256,
    SweepId,
    Time,
    Tiyn,
    Units,
    id_of,
    states,
)
from sandbox.eventlog.shapes import Inclusion
from sandbox.payments.models import Sweep
from sandbox.settlement import models

Mode = Annotated[str, states(models.Settlement, "mode")]
BurnStatus = Annotated[str, states(models.SettlementBurn, "status")]
TransferStatus = Annotated[str, states(models.SettlementTransfer, "status")]
FeeStatus = Annotated[str, states(models.Settlement, "fee_status")]
Status = Annotated[str, states(models.Settlement, "status")]
PayoutStatus = Annotated[str, states(models.Payout, "status")]
Source = Annotated[str, id_of("stl", "po")]


class Payout(TypedDict):
    """Tenge on their way to a merchant's bank account."""

    object: Literal["payout"]
    id: PayoutId
    settlement: SettlementId
    merchant: MerchantId
    status: PayoutStatus
    reason: str | None
    amount_tiyn: Tiyn
    iban: str
    knp: str
    kbe: str
    value_date: Day
    carried_into: SettlementId | None
    created_at: Time
    instructed_at: Time | None
    ended_at: Time | None


class SettlementLine(TypedDict):
    """A captured payment in its batch, with what it was worth then."""

    payment: PaymentId
    tx: str
    chain: str
    amount_tiyn: Tiyn
    refunded_tiyn: Tiyn
    fee_tiyn: Tiyn
    entry: EntryId
    deferred: bool
    reason: str | None


class SettlementSweep(TypedDict):
    """A sweep that the batch waits for."""

    id: SweepId
    chain: str
    status: Annotated[str, states(Sweep, "status")]
    attempt: int
    tx: str | None
    planned_units: Units
    moved_units: Units | None
    reason: str | None


class SettlementBurn(TypedDict):
    """The units of one chain that the batch burns, and what the fee takes of them."""

    chain: str
    units: Units
    tx: str | None
    status: BurnStatus
    attempt: int
    reason: str | None
    amount_tiyn: Tiyn
    fee_tiyn: Tiyn
    vat_tiyn: Tiyn
    vat_percent: int
    vat_version: str


class SettlementTransfer(TypedDict):
    """Units of one chain that go to the merchant's own wallet."""

    chain: str
    recipient: str
    units: Units
    amount_tiyn: Tiyn
    tx: str | None
    status: TransferStatus
    attempt: int
    reason: str | None


class RefundReserve(TypedDict):
    """What the batch kept for later refunds on one chain."""

    chain: str
    amount_tiyn: Tiyn
    units: Units
    target_tiyn: Tiyn


class SettlementOpening(TypedDict):
    """Money of an earlier batch or payout that this one begins with."""

    source: Source
    amount_tiyn: Tiyn


class FeeDebt(TypedDict):
    """Fees that earlier batches left unpaid, that this one adds, and what of both it takes."""

    opening_tiyn: Tiyn
    added_tiyn: Tiyn
    added_vat_tiyn: Tiyn
    collected_tiyn: Tiyn
    left_tiyn: Tiyn


class SettlementCheck(TypedDict):
    """The batch's arithmetic: opening + gross - fees - refunds is paid, sent, kept or carried."""

    opening_tiyn: Tiyn
    gross_tiyn: Tiyn
    fees_tiyn: Tiyn
    refunds_tiyn: Tiyn
    paid_tiyn: Tiyn
    to_wallet_tiyn: Tiyn
    reserved_tiyn: Tiyn
    carried_tiyn: Tiyn
    unexplained_tiyn: Tiyn


class Settlement(TypedDict):
    """A batch of captured payments on its way to the merchant."""

    object: Literal["settlement"]
    id: SettlementId
    merchant: MerchantId
    status: Status
    hold: str | None
    mode: Mode
    split_bps: int | None
    cut_off: Day | None
    value_date: Day
    openings: list[SettlementOpening]
    lines: list[SettlementLine]
    sweeps: list[SettlementSweep]
    burns: list[SettlementBurn]
    transfers: list[SettlementTransfer]
    reserve: list[RefundReserve]
    fee_debt: FeeDebt
    check: SettlementCheck
    fee_status: FeeStatus
    payout: Payout | None
    created_at: Time
    settled_at: Time | None


class ToldSettlement(Settlement):
    """A settlement in an event: of a long batch the first lines and a hash of all."""

    lines_left_out: NotRequired[int]
    lines_sha256: NotRequired[Sha256]
    sweeps_left_out: NotRequired[int]


class InLog(TypedDict):
    """Where the log tells it; null until it does."""

    event: EventId | None
    epoch: int | None
    position: int | None


class ReportOpening(SettlementOpening, InLog):
    """An opening, and the event that told of it."""


class ReportRefund(InLog):
    """What went back of a line before its batch was made."""

    id: RefundId
    amount_tiyn: Tiyn
    tx: str | None
    entry: EntryId | None


class ReportLine(SettlementLine, InLog):
    """A line with its session, its fee plan, its capture in the log, and its refunds."""

    net_tiyn: Tiyn
    session: SessionId
    captured_at: Time | None
    counted_units: Units
    fee_plan: int | None
    fee_bps: int | None
    fee_fixed_tiyn: Tiyn | None
    fee_minimum_tiyn: Tiyn | None
    refunds: list[ReportRefund]
    accepted: list[InLog]


class ReportBurn(InLog):
    """A burn, with the entry and the event of its end."""

    chain: str
    status: BurnStatus
    units: Units
    tx: str | None
    amount_tiyn: Tiyn
    fee_tiyn: Tiyn
    vat_tiyn: Tiyn
    vat_percent: int
    vat_version: str
    entry: EntryId | None


class ReportTransfer(InLog):
    """A transfer to the merchant's wallet, with the entry and the event of its end."""

    chain: str
    status: TransferStatus
    units: Units
    tx: str | None
    amount_tiyn: Tiyn
    recipient: str
    entry: EntryId | None


class ReportFee(InLog):
    """The batch's fee, and the VAT in it."""

    status: FeeStatus
    amount_tiyn: Tiyn
    collected_tiyn: Tiyn
    vat_tiyn: Tiyn
    without_vat_tiyn: Tiyn
    entry: EntryId | None


class ReportPayout(InLog):
    """The payout as the newest event has it; its IBAN for the owner only."""

    id: PayoutId
    status: PayoutStatus
    reason: str | None
    amount_tiyn: Tiyn
    knp: str
    kbe: str
    value_date: Day
    created_at: Time
    instructed_at: Time | None
    ended_at: Time | None
    entries: list[EntryId]
    iban: str | None
    iban_salt: NotRequired[str]


class ReportEvent(InLog):
    """What the log told of the batch and its payout, in order."""

    type: str
    created: Time
    entries: list[EntryId]


class SettlementReport(TypedDict):
    """Every line with its payment, transaction, ledger entry and position in the log."""

    object: Literal["settlement_report"]
    version: int
    id: SettlementId
    merchant: MerchantId
    status: Status
    hold: str | None
    mode: Mode
    split_bps: int | None
    cut_off: Day | None
    value_date: Day
    created_at: Time
    settled_at: Time | None
    openings: list[ReportOpening]
    lines: list[ReportLine]
    burns: list[ReportBurn]
    transfers: list[ReportTransfer]
    reserve: list[RefundReserve]
    fee_debt: FeeDebt
    fee: ReportFee
    payout: ReportPayout | None
    check: SettlementCheck
    history: list[ReportEvent]
    proofs: NotRequired[dict[str, Inclusion]]
    continued: NotRequired[list[Inclusion]]
