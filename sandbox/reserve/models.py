"""Tables of the reserve: tokens for tenge, the minting switch, attestations, reconciliation."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    Text,
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
    """A deposit that the bank took back: what was unminted went with it, the rest is missing."""

    __tablename__ = "credit_reversal"
    __table_args__ = (
        CheckConstraint("amount_tiyn > 0", name="amount"),
        CheckConstraint("taken_back_tiyn >= 0 AND covered_tiyn >= 0", name="parts"),
        CheckConstraint("taken_back_tiyn + covered_tiyn <= amount_tiyn", name="whole"),
        CheckConstraint("status IN ('short', 'covering', 'settled')", name="status"),
        CheckConstraint(
            "(status = 'settled') = (taken_back_tiyn + covered_tiyn = amount_tiyn)", name="end"
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
