"""Tables of the reserve: deposits, issuances, the minting switch, burns by holders."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint
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
    """One row: whether new tokens may be made, and if not, why."""

    __tablename__ = "minting"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    is_on: bool
    reason: str
    since: datetime = Field(sa_column=timestamp())


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
