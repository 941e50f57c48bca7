"""Tables of the reserve: tokens for tenge and back, moves between chains, the minting switch,
attestations, reconciliation.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp


class Deposit(SQLModel, table=True):
    """Tenge that arrived at the reserve bank; the bank's reference names it once for ever."""

    __tablename__ = "deposit"
    __table_args__ = (CheckConstraint("amount_tiyn > 0", name="amount"),)

    id: str = Field(primary_key=True)
    amount_tiyn: int = Field(sa_type=BigInteger)
    bank_reference: str = Field(unique=True)
    customer: str
    created_at: datetime = Field(sa_column=timestamp())


class Issuance(SQLModel, table=True):
    """A mint against one deposit; its id is the intent's, the entry's ref, and goes on chain."""

    __tablename__ = "issuance"
    __table_args__ = (
        CheckConstraint("amount_tiyn > 0", name="amount"),
        CheckConstraint("status IN ('pending', 'issued', 'failed')", name="status"),
    )

    id: str = Field(primary_key=True)
    deposit_id: str = Field(foreign_key="deposit.id", index=True)
    chain: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    recipient: str
    status: str
    tx: str | None = Field(default=None)
    reason: str | None = Field(default=None)
    created_at: datetime = Field(sa_column=timestamp())
    resolved_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class Minting(SQLModel, table=True):
    """One row: whether new tokens may be made, and if not, why; `halts` counts the reasons."""

    __tablename__ = "minting"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    is_on: bool
    reason: str
    since: datetime = Field(sa_column=timestamp())
    statement_max_age_s: int | None = Field(default=None)
    halts: int = Field(
        default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0"))
    )


class HolderBurn(SQLModel, table=True):
    """A holder destroyed its own units, which leaves tenge that nobody claims (CONTRACT 5)."""

    __tablename__ = "holder_burn"
    __table_args__ = (
        CheckConstraint("amount_units > 0", name="amount"),
        CheckConstraint("status IN ('confirmed', 'final', 'reverted')", name="status"),
    )

    id: str = Field(primary_key=True)
    transfer_id: str = Field(unique=True)
    chain: str
    tx: str
    source: str
    amount_units: int = Field(sa_type=BigInteger)
    inclusion: int
    status: str
    created_at: datetime = Field(sa_column=timestamp())


class PendingCredit(SQLModel, table=True):
    """A credit that the bank announced (PDNG); nothing is posted until it is booked."""

    __tablename__ = "pending_credit"
    __table_args__ = (CheckConstraint("amount_tiyn > 0", name="amount"),)

    bank_reference: str = Field(primary_key=True)
    amount_tiyn: int = Field(sa_type=BigInteger)
    customer: str
    announced_at: datetime = Field(sa_column=timestamp())
    booked_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class CreditReversal(SQLModel, table=True):
    """A deposit that the bank took back: what was unminted went with it, the rest is missing.

    What own money covered the customer owes, until it is repaid or written off.
    """

    __tablename__ = "credit_reversal"
    __table_args__ = (
        CheckConstraint("amount_tiyn > 0", name="amount"),
        CheckConstraint("taken_back_tiyn >= 0 AND covered_tiyn >= 0", name="parts"),
        CheckConstraint("taken_back_tiyn + covered_tiyn <= amount_tiyn", name="whole"),
        CheckConstraint("status IN ('short', 'covering', 'settled')", name="status"),
        CheckConstraint(
            "(status = 'settled') = (taken_back_tiyn + covered_tiyn = amount_tiyn)", name="end"
        ),
        CheckConstraint(
            "repaid_tiyn >= 0 AND written_off_tiyn >= 0"
            " AND repaid_tiyn + written_off_tiyn <= amount_tiyn - taken_back_tiyn",
            name="owed",
        ),
    )

    id: str = Field(primary_key=True)
    deposit_id: str = Field(foreign_key="deposit.id", unique=True)
    bank_reference: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    taken_back_tiyn: int = Field(sa_type=BigInteger)
    covered_tiyn: int = Field(default=0, sa_type=BigInteger)
    covered_by: str | None = Field(default=None)
    cover_reference: str | None = Field(default=None, unique=True)
    orders: int = Field(default=0)
    repaid_tiyn: int = Field(
        default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0"))
    )
    repaid_reference: str | None = Field(default=None, unique=True)
    written_off_tiyn: int = Field(
        default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0"))
    )
    write_offs: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default=text("0"))
    )
    status: str
    created_at: datetime = Field(sa_column=timestamp())
    settled_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class Attestation(SQLModel, table=True):
    """What the issuer said of supply and reserve at one moment, signed; `day` has one at most."""

    __tablename__ = "attestation"
    __table_args__ = (
        CheckConstraint("cause IN ('daily', 'asked')", name="cause"),
        CheckConstraint("(cause = 'daily') = (day IS NOT NULL)", name="day"),
        CheckConstraint("status IN ('pending', 'attested')", name="status"),
        CheckConstraint("(status = 'attested') = (note IS NOT NULL)", name="made"),
        Index("ix_attestation_pending", "id", postgresql_where=text("status = 'pending'")),
    )

    id: str = Field(primary_key=True)
    cause: str
    day: date | None = Field(default=None, unique=True)
    status: str
    asked_at: datetime = Field(sa_column=timestamp())
    made_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    statement: dict[str, Any] | None = Field(
        default=None, sa_column=Column(JSONB(none_as_null=True))
    )
    note: str | None = Field(default=None)
    event_id: str | None = Field(default=None)
    lease_owner: str | None = Field(default=None)
    lease_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class AttestedClaim(SQLModel, table=True):
    """A leaf of an attestation's tree of claims on one chain, at `place` from the left."""

    __tablename__ = "attested_claim"
    __table_args__ = (
        CheckConstraint("units >= 0", name="units"),
        CheckConstraint("octet_length(salt) = 32", name="salt"),
    )

    attestation: str = Field(primary_key=True, foreign_key="attestation.id")
    chain: str = Field(primary_key=True)
    place: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    holder: str
    units: int = Field(sa_type=BigInteger)
    salt: bytes = Field(sa_type=LargeBinary)


class Breach(SQLModel, table=True):
    """A line of a check that was red; `stands` says the newest turn, `cleared_at` a person."""

    __tablename__ = "reserve_breach"
    __table_args__ = (
        Index(
            "uq_reserve_breach_open",
            "line",
            unique=True,
            postgresql_where=text("cleared_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    line: str
    invariant: str
    figures: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    detail: str
    stands: bool
    found_at: datetime = Field(sa_column=timestamp())
    cleared_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class Reconciliation(SQLModel, table=True):
    """One row: the newest turn of all checks; `halts` is how many there were when it began."""

    __tablename__ = "reconciliation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    turns: int = Field(sa_type=BigInteger)
    ended_at: datetime = Field(sa_column=timestamp())
    took_ms: int
    judged: int
    not_made: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    red: int
    halts: int = Field(sa_type=BigInteger)


class Intake(SQLModel, table=True):
    """Units that a holder is to send so that they are burned: the first half of a redemption
    (`red_…`) and of a move between chains (`mov_…`), whose id it has.

    `swept_units` have left its deposit address; `sweep_attempt`, `burn_attempt` count intents.
    """

    __tablename__ = "intake"
    __table_args__ = (
        CheckConstraint("amount_tiyn > 0 AND amount_units >= amount_tiyn", name="amount"),
        CheckConstraint("swept_units >= 0", name="swept"),
        CheckConstraint(
            "state IN ('open', 'received', 'burning', 'stuck', 'burned', 'expired', 'canceled')",
            name="state",
        ),
        Index("ix_intake_open", "id", postgresql_where=text("state IN ('open', 'received')")),
    )

    id: str = Field(primary_key=True)
    chain: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    amount_units: int = Field(sa_type=BigInteger)
    option: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    state: str
    is_sweeping: bool
    sweep_attempt: int
    burn_attempt: int
    swept_units: int = Field(sa_type=BigInteger)
    tx: str | None = Field(default=None)
    reason: str | None = Field(default=None)
    expires_at: datetime = Field(sa_column=timestamp())
    created_at: datetime = Field(sa_column=timestamp())
    received_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    burned_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class UnitMatch(SQLModel, table=True):
    """What a payer's transfer may carry (or go to) to be recognised as sent for an intake."""

    __tablename__ = "unit_match"

    chain: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    intake: str = Field(foreign_key="intake.id", index=True)


class UnitReceipt(SQLModel, table=True):
    """A chain transfer that brought units for an intake; `place` is where they arrived."""

    __tablename__ = "unit_receipt"
    __table_args__ = (
        UniqueConstraint("transfer_id"),
        CheckConstraint("amount_units > 0", name="amount"),
        CheckConstraint("state IN ('confirmed', 'final', 'reverted')", name="state"),
        CheckConstraint("place IN ('treasury', 'unswept')", name="place"),
    )

    id: str = Field(primary_key=True)
    intake: str = Field(foreign_key="intake.id", index=True)
    chain: str
    transfer_id: str
    tx: str
    source: str
    amount_units: int = Field(sa_type=BigInteger)
    place: str
    inclusion: int
    height: int = Field(sa_type=BigInteger)
    first_block_time: datetime = Field(sa_column=timestamp())
    state: str
    created_at: datetime = Field(sa_column=timestamp())


class SendBack(SQLModel, table=True):
    """Units of an intake that nobody redeems, on their way back to a holder."""

    __tablename__ = "send_back"
    __table_args__ = (
        CheckConstraint("amount_units > 0", name="amount"),
        CheckConstraint("status IN ('waiting', 'pending', 'sent', 'failed')", name="status"),
        Index("ix_send_back_waiting", "id", postgresql_where=text("status = 'waiting'")),
    )

    id: str = Field(primary_key=True)
    intake: str = Field(foreign_key="intake.id", index=True)
    chain: str
    recipient: str
    amount_units: int = Field(sa_type=BigInteger)
    status: str
    tx: str | None = Field(default=None)
    reason: str | None = Field(default=None)
    created_at: datetime = Field(sa_column=timestamp())


class Redemption(SQLModel, table=True):
    """Where the tenge of an intake go once its units are burned; `payout_attempt` counts orders."""

    __tablename__ = "redemption"
    __table_args__ = (
        CheckConstraint(
            "payout_status IN ('none', 'pending', 'sent', 'paid', 'rejected', 'returned')",
            name="payout_status",
        ),
        CheckConstraint(
            "(payout_status = 'none') = (payout_attempt = 0)"
            " AND (payout_attempt = 0) = (value_date IS NULL)",
            name="payout",
        ),
    )

    id: str = Field(primary_key=True, foreign_key="intake.id")
    iban: str
    payee: str
    tax_number: str
    knp: str
    kbe: str
    payout_status: str
    payout_attempt: int
    payout_reason: str | None = Field(default=None)
    value_date: date | None = Field(default=None)
    paid_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class BridgeMove(SQLModel, table=True):
    """Where the units of an intake are made anew: on `to_chain`, or on the first one (`is_back`).

    `recipient` belongs to `to_chain`, `back_recipient` to the intake's chain.
    """

    __tablename__ = "bridge_move"
    __table_args__ = (
        CheckConstraint(
            "mint_status IN ('none', 'waiting', 'minting', 'stuck', 'minted', 'given_back')",
            name="mint_status",
        ),
        CheckConstraint("mint_status <> 'given_back' OR is_back", name="back"),
        CheckConstraint("is_back = (back_recipient IS NOT NULL)", name="back_recipient"),
    )

    id: str = Field(primary_key=True, foreign_key="intake.id")
    to_chain: str
    recipient: str
    mint_status: str
    mint_attempt: int
    is_back: bool
    back_recipient: str | None = Field(default=None)
    mint_tx: str | None = Field(default=None)
    mint_reason: str | None = Field(default=None)
    minted_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
