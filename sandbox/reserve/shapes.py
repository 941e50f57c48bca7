"""What the API and the log show of the reserve: money in, units out, and back again."""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from sandbox.chains.port import Action
from sandbox.chains.shapes import TransferOption
from sandbox.core.shapes import (
    Day,
    DepositId,
    EventId,
    Height,
    IntakeId,
    IssuanceId,
    MoveId,
    RedemptionId,
    Sha256,
    StrayId,
    Time,
    Tiyn,
    Units,
    id_of,
    one_of,
    states,
)
from sandbox.reserve import models

AttestationId = Annotated[str, id_of("att")]
BreachId = Annotated[str, id_of("bre")]
UnitsState = Annotated[str, states(models.Intake, "state")]
OnOff = Literal["on", "off"]
CoveredBy = Literal["customer", "own"]
"""Whose money makes good what was minted of a deposit that the bank took back."""
OrderStatus = Literal["pending", "done", "failed"]
_Units = Literal["open", "received", "burning", "stuck", "expired", "canceled"]
RedemptionStatus = _Units | Literal["none", "pending", "sent", "paid", "rejected", "returned"]
MoveStatus = _Units | Literal["none", "waiting", "minting", "minted", "given_back"]
"""The state of the units until they are burned, then that of the second half."""


class Deposit(TypedDict):
    """Tenge that a customer paid in, to have units minted against."""

    object: Literal["deposit"]
    id: DepositId
    amount_tiyn: Tiyn
    unminted_tiyn: Tiyn
    bank_reference: str
    customer_name: str
    created_at: Time


class PendingCredit(TypedDict):
    """Tenge that the bank announced and has not booked."""

    object: Literal["pending_credit"]
    bank_reference: str
    amount_tiyn: Tiyn
    customer_name: str
    announced_at: Time


class Issuance(TypedDict):
    """Units minted against a deposit."""

    object: Literal["issuance"]
    id: IssuanceId
    deposit: DepositId
    chain: str
    amount_tiyn: Tiyn
    recipient: str
    status: Annotated[str, states(models.Issuance, "status")]
    tx: str | None
    reason: str | None
    created_at: Time


class OwnBurnOption(TypedDict):
    """The units were burned by their holder: none are to be sent."""

    chain: str
    method: Literal["own_burn"]
    stray_transfer: StrayId


class ToldRedemption(TypedDict):
    """Units that become tenge: first they are sent and burned, then they are paid out."""

    object: Literal["redemption"]
    id: RedemptionId
    amount_tiyn: Tiyn
    amount_units: Units
    status: Annotated[str, one_of(RedemptionStatus)]
    units_state: UnitsState
    reason: str | None
    option: TransferOption | OwnBurnOption
    confirmed_units: Units
    received_units: Units
    remainder_units: Units
    burn_tx: str | None
    expires_at: Time
    created_at: Time
    burned_at: Time | None
    chain: str
    iban: str
    payee_name: str
    tax_number: str
    knp: str
    kbe: str
    payout_status: Annotated[str, states(models.Redemption, "payout_status")]
    payout_attempt: int
    payout_reason: str | None
    end_to_end_id: str | None
    value_date: Day | None
    paid_at: Time | None


class ToldMove(TypedDict):
    """Units that move to another chain: burned on one, minted on the other."""

    object: Literal["bridge_move"]
    id: MoveId
    amount_tiyn: Tiyn
    amount_units: Units
    status: Annotated[str, one_of(MoveStatus)]
    units_state: UnitsState
    reason: str | None
    option: TransferOption
    confirmed_units: Units
    received_units: Units
    remainder_units: Units
    burn_tx: str | None
    expires_at: Time
    created_at: Time
    burned_at: Time | None
    from_chain: str
    to_chain: str
    recipient: str
    mint_status: Annotated[str, states(models.BridgeMove, "mint_status")]
    mint_attempt: int
    mint_chain: str
    back_recipient: str | None
    mint_tx: str | None
    mint_reason: str | None
    minted_at: Time | None


class Age(TypedDict):
    """How long somebody waits, in seconds of sandbox time; null once nobody does."""

    age_s: int | None
    owed_for_s: int | None


class Redemption(ToldRedemption, Age):
    """A redemption, and how long its customer waits."""


class Move(ToldMove, Age):
    """A move, and how long its customer waits."""


class QueueTotal(TypedDict):
    """All of one status, whatever the page shows."""

    count: int
    amount_tiyn: Tiyn
    oldest_age_s: int


class RedemptionList(TypedDict):
    """A page of redemptions, newest first, and totals of all by status."""

    object: Literal["list"]
    data: list[Redemption]
    has_more: bool
    totals: dict[str, QueueTotal]


class MoveList(TypedDict):
    """A page of moves, newest first, and totals of all by status."""

    object: Literal["list"]
    data: list[Move]
    has_more: bool
    totals: dict[str, QueueTotal]


class SendBack(TypedDict):
    """Units of a redemption or a move on their way back."""

    object: Literal["send_back"]
    id: Annotated[str, id_of("sbk")]
    intake: IntakeId
    chain: str
    recipient: str
    amount_units: Units
    status: Annotated[str, states(models.SendBack, "status")]
    tx: str | None
    reason: str | None
    created_at: Time


class UnitReceipt(TypedDict):
    """A transfer that brought units of a redemption or a move."""

    object: Literal["unit_receipt"]
    id: Annotated[str, id_of("rcp")]
    intake: IntakeId
    chain: str
    tx: str
    source: str
    amount_units: Units
    place: Annotated[str, states(models.UnitReceipt, "place")]
    chain_state: Annotated[str, states(models.UnitReceipt, "state")]


class UnitSweep(TypedDict):
    """Units that were swept from a deposit address to the treasury."""

    object: Literal["unit_sweep"]
    intake: IntakeId
    chain: str
    amount_units: Units
    cause: str


class CreditReversal(TypedDict):
    """A deposit that the bank took back, and who makes good what was minted of it."""

    object: Literal["credit_reversal"]
    id: Annotated[str, id_of("rev")]
    deposit: DepositId
    bank_reference: str
    amount_tiyn: Tiyn
    taken_back_tiyn: Tiyn
    covered_tiyn: Tiyn
    missing_tiyn: Tiyn
    covered_by: Annotated[str, one_of(CoveredBy)] | None
    cover_reference: str | None
    owed_tiyn: Tiyn
    repaid_tiyn: Tiyn
    repaid_reference: str | None
    written_off_tiyn: Tiyn
    status: Annotated[str, states(models.CreditReversal, "status")]
    created_at: Time


class ToldReversal(CreditReversal):
    """A reversal in an event, with what was moved, by whom and why."""

    by: NotRequired[CoveredBy | Literal["deposit"]]
    moved_tiyn: NotRequired[Tiyn]
    reason: NotRequired[str | None]


class ChainOrder(TypedDict):
    """An order of the issuer's to a chain: a new key for a role, a seizure, a freeze."""

    object: Literal["chain_order"]
    id: Annotated[str, id_of("ord")]
    chain: str
    action: Annotated[str, one_of(Action)]
    role: str | None
    holder: str | None
    recipient: str | None
    amount_units: Units | None
    status: Annotated[str, one_of(OrderStatus)]
    tx: str | None
    reason: str | None
    created_at: Time


class Breach(TypedDict):
    """Two figures that should agree and do not."""

    object: Literal["breach"]
    id: BreachId
    invariant: str
    line: str
    figures: list[str]
    detail: str
    found_at: Time


class OpenBreach(Breach):
    """A breach that nobody cleared."""

    stands: bool


class ReserveAssets(TypedDict):
    """What stands behind the units."""

    bank_tiyn: Tiyn
    central_bank_tiyn: Tiyn
    bills_tiyn: Tiyn
    in_transit_tiyn: Tiyn


class ReserveDebts(TypedDict):
    """What the issuer owes."""

    outstanding_tiyn: Tiyn
    bridge_tiyn: Tiyn
    unminted_tiyn: Tiyn
    unidentified_tiyn: Tiyn
    redemptions_tiyn: Tiyn
    payouts_tiyn: Tiyn
    seized_tiyn: Tiyn


class ReconciliationTurn(TypedDict):
    """The newest turn of the reconciliation."""

    turns: int
    ended_at: Time
    took_ms: int
    lines_judged: int
    lines_not_made: list[str]
    lines_red: int


class Reserve(TypedDict):
    """Units outstanding, and what stands behind them; every line for issuer and supervision."""

    object: Literal["reserve"]
    outstanding_units: dict[str, Units]
    reserve_tiyn: Tiyn
    ratio: str | None
    minting: OnOff
    minting_reason: NotRequired[str | None]
    assets: NotRequired[ReserveAssets]
    owed_tiyn: NotRequired[Tiyn]
    debts: NotRequired[ReserveDebts]
    announced_tiyn: NotRequired[Tiyn]
    reversals: NotRequired[list[CreditReversal]]
    reconciliation: NotRequired[ReconciliationTurn | None]
    breaches: NotRequired[list[OpenBreach]]


class MintingHalted(TypedDict):
    """Nothing is minted any more."""

    reason: str


class MintingResumed(TypedDict):
    """Minting goes on."""

    halted_for: str
    reason: NotRequired[str]
    breaches: NotRequired[list[BreachId]]


class Minting(MintingResumed):
    """Minting, turned on again."""

    object: Literal["minting"]
    minting: Literal["on"]


class TokenUnits(TypedDict):
    """The token's supply, and what of it lies in the treasury."""

    supply_units: Units
    treasury_units: Units


class TokenBooked(TokenUnits):
    """The same as the books have it, and what of it is outstanding."""

    outstanding_tiyn: Tiyn


class TokenAuthority(TypedDict):
    """Who holds a role of the token."""

    role: str
    address: str | None
    rotatable: bool


class CommandsUnderWay(TypedDict):
    """Commands to the chain that have no outcome yet."""

    action: Annotated[str, one_of(Action)]
    count: int
    units: Units


class Token(TypedDict):
    """The token as its chain has it, beside what the books say of it."""

    object: Literal["token"]
    chain: str
    network: str
    address: str
    program: str
    name: str
    symbol: str
    uri: str
    decimals: int
    paused: bool
    extensions: list[str]
    authorities: list[TokenAuthority]
    height: Height
    on_chain: TokenUnits
    ledger: TokenBooked | None
    difference: TokenUnits | None
    under_way: list[CommandsUnderWay]
    halted: str | None
    agrees: bool


class AttestedChain(TypedDict):
    """One chain's supply and claims at a final block."""

    chain: str
    decimals: int
    height: Height
    block_hash: str
    supply_units: Units
    later_units: Units
    outstanding_units: Units
    claims_root: Sha256
    claims_units: Units
    claims: int


class AttestedStatement(TypedDict):
    """The bank's side of the reserve account."""

    account: str
    date: Day
    lines: int
    sha256: Sha256
    closing_tiyn: Tiyn
    booked_tiyn: Tiyn
    unread_tiyn: Tiyn


class AttestedLog(TypedDict):
    """The log's newest checkpoint."""

    epoch: int
    size: int
    root: Sha256


class AskedAttestation(TypedDict):
    """What an attestation has from the beginning on."""

    object: Literal["attestation"]
    id: AttestationId
    cause: Annotated[str, states(models.Attestation, "cause")]
    day: Day | None


class ToldAttestation(AskedAttestation):
    """What was attested, as it was signed."""

    as_of: Time
    chains: list[AttestedChain]
    statements: list[AttestedStatement]
    assets: ReserveAssets
    debts: ReserveDebts
    reserve_tiyn: Tiyn
    owed_tiyn: Tiyn
    ratio: str | None
    minting: OnOff
    log: AttestedLog


class PendingAttestation(AskedAttestation):
    """An attestation that is still to be made."""

    status: Literal["pending"]
    asked_at: Time
    event: None
    position: None
    signed_note: None


class Attestation(ToldAttestation):
    """What was attested, with the signed note and its place in the log."""

    status: Literal["attested"]
    asked_at: Time
    event: EventId
    position: int | None
    signed_note: str


AnyAttestation = Attestation | PendingAttestation


class BranchNode(TypedDict):
    """A neighbour on the way to the root: a sum and a hash."""

    units: Units
    sha256: Sha256


class Branch(TypedDict):
    """A holder's own leaf on one chain, and the way to the attested root."""

    chain: str
    holder: str
    units: Units
    salt: str
    index: int
    size: int
    branch: list[BranchNode]
    root: Sha256
    root_units: Units


class ClaimBranch(TypedDict):
    """The proof that a merchant's claim is counted, on every chain where it has one."""

    object: Literal["claim_branch"]
    attestation: AttestationId
    branches: list[Branch]
    signed_note: str
