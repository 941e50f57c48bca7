"""Tables of the slice: messages between ledger and bank, and the simulator's own books.

Only `bank.simulator` writes the schema `bank_sim`; the ledger never reads it to post.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp

SIMULATOR_SCHEMA = "bank_sim"


class Kind(StrEnum):
    """Messages by the ISO 20022 message they stand for."""

    credit_transfer = "pacs.008"
    accepted = "pacs.002.ACSP"
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
    created_at: datetime = Field(sa_column=timestamp())
    read_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


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
    """A line of an account's statement; never changed. `booked_on` is the date in Almaty."""

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


class PaymentOrder(SQLModel, table=True):
    """A payment order the bank received; it is booked once `due_at` has come."""

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
    status: str
    reason: str | None = Field(default=None)
    received_at: datetime = Field(sa_column=timestamp())
    ended_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
