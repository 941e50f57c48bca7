"""Tables of the slice: messages between ledger and bank, and the simulator's own books.

Only the simulator (`registry`, `booking`, `incoming`, `simulator`, `faults`) writes the schema
`bank_sim`; the ledger never reads it to post.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp

SIMULATOR_SCHEMA = "bank_sim"


class Kind(StrEnum):
    """Messages by the ISO 20022 message they stand for."""

    credit_transfer = "pacs.008"
    accepted = "pacs.002.ACSP"
    queued = "pacs.002.PDNG"
    rejected = "pacs.002.RJCT"
    returned = "pacs.004"
    credit_notice = "camt.054.CRDT"
    debit_notice = "camt.054.DBIT"
    pending_notice = "camt.054.PDNG"
    reversal_notice = "camt.054.RVSL"


class BankMessage(SQLModel, table=True):
    """One message. `out` goes to the bank, `in` comes from it; `read_at` is the receiver's mark.

    `ref` is the end-to-end id (pacs) or the bank's reference (camt).
    """

    __tablename__ = "bank_message"
    __table_args__ = (
        UniqueConstraint("direction", "kind", "ref"),
        CheckConstraint("direction IN ('in', 'out')", name="direction"),
        Index(
            "ix_bank_message_unread", "direction", "id", postgresql_where=text("read_at IS NULL")
        ),
        Index(None, "end_to_end_id"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    direction: str
    kind: str
    ref: str
    end_to_end_id: str | None = Field(default=None)
    body: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    xml: str | None = Field(default=None, sa_type=Text)
    # Of XML and body; the database writes it.
    seal: str | None = Field(default=None)
    created_at: datetime = Field(sa_column=timestamp())
    read_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class BankResend(SQLModel, table=True):
    """An order that went to the bank once more, because no answer to it had come."""

    __tablename__ = "bank_resend"

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    message: int = Field(foreign_key="bank_message.id", sa_type=BigInteger, index=True)
    at: datetime = Field(sa_column=timestamp())


class BankHeld(SQLModel, table=True):
    """A message that contradicts what the bank said before: shown, and never posted."""

    __tablename__ = "bank_held"

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    reason: str
    detail: str
    kind: str
    ref: str
    xml: str = Field(sa_type=Text)
    held_at: datetime = Field(sa_column=timestamp())
    resolved_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class BankStatement(SQLModel, table=True):
    """A day's statement as it was taken from the bank, for ever; `sha256` is of its XML."""

    __tablename__ = "bank_statement"

    iban: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    opening_tiyn: int = Field(sa_type=BigInteger)
    closing_tiyn: int = Field(sa_type=BigInteger)
    xml: str = Field(sa_type=Text)
    sha256: str
    taken_at: datetime = Field(sa_column=timestamp())


class BankStatementLine(SQLModel, table=True):
    """A line of a statement that was taken, as the bank told it; an account has each `ref` once."""

    __tablename__ = "bank_statement_line"
    __table_args__ = (
        ForeignKeyConstraint(["iban", "day"], ["bank_statement.iban", "bank_statement.day"]),
        UniqueConstraint("iban", "ref"),
        CheckConstraint("side IN ('credit', 'debit')", name="side"),
        CheckConstraint("amount_tiyn > 0", name="amount"),
    )

    iban: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    line: int = Field(primary_key=True)
    ref: str
    end_to_end_id: str | None = Field(default=None)
    side: str
    amount_tiyn: int = Field(sa_type=BigInteger)


class BankAccount(SQLModel, table=True):
    """An account at some bank; `holder` is `issuer` or a merchant's id."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("length(iban) = 20", name="iban"), {"schema": "bank_sim"})

    iban: str = Field(primary_key=True)
    bank: str
    holder: str
    currency: str
    opened_at: datetime = Field(sa_column=timestamp())
    closed_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class Booking(SQLModel, table=True):
    """A line of an account's statement. `booked_on` is the day whose statement has it, in Almaty.

    Never changed, but that one which its statement lacked comes on a later day's.
    """

    __tablename__ = "booking"
    __table_args__ = (
        UniqueConstraint("iban", "ref"),
        CheckConstraint("side IN ('credit', 'debit')", name="side"),
        CheckConstraint("amount_tiyn > 0", name="amount"),
        Index(None, "iban", "booked_on"),
        {"schema": "bank_sim"},
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    iban: str = Field(foreign_key="bank_sim.account.iban")
    ref: str
    end_to_end_id: str | None = Field(default=None)
    counterparty: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    side: str
    value_date: date
    booked_on: date
    booked_at: datetime = Field(sa_column=timestamp())
    # A statement that lacks a line: the bank's mistake, until it sends the line after all.
    left_out: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})


class PaymentOrder(SQLModel, table=True):
    """A payment order the bank received; it is booked once `due_at` has come.

    `cover_until`: its payer lacks the money, and until then it waits for it.
    """

    __tablename__ = "payment_order"
    __table_args__ = (
        UniqueConstraint("end_to_end_id"),
        CheckConstraint("status IN ('accepted', 'rejected', 'booked', 'returned')", name="status"),
        CheckConstraint("amount_tiyn > 0", name="amount"),
        Index(
            "ix_payment_order_queued", "due_at", "id", postgresql_where=text("status = 'accepted'")
        ),
        {"schema": "bank_sim"},
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    end_to_end_id: str
    debtor_iban: str
    creditor_iban: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    value_date: date
    due_at: datetime = Field(sa_column=timestamp())
    rail: str = Field(default="rtgs", sa_column_kwargs={"server_default": "rtgs"})
    cover_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    status: str
    reason: str | None = Field(default=None)
    received_at: datetime = Field(sa_column=timestamp())
    ended_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
