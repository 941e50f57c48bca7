"""Tables of the lab: faucet grants, and how the float of each chain was filled."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp


class FaucetGrant(SQLModel, table=True):
    """Tokens given away; the id is the intent's and the entry's ref, and goes on chain."""

    __tablename__ = "faucet_grant"
    __table_args__ = (
        CheckConstraint("amount_tiyn > 0", name="amount"),
        CheckConstraint("status IN ('pending', 'sent', 'failed')", name="status"),
    )

    id: str = Field(primary_key=True)
    chain: str
    address: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    status: str
    tx: str | None = Field(default=None)
    reason: str | None = Field(default=None)
    created_at: datetime = Field(sa_column=timestamp())
    resolved_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class ChainFloat(SQLModel, table=True):
    """How far the float of one chain was filled: the newest deposit, and the mint against it."""

    __tablename__ = "chain_float"
    __table_args__ = (CheckConstraint("refills >= 0 AND wanted_tiyn >= 0", name="counts"),)

    chain: str = Field(primary_key=True)
    refills: int
    wanted_tiyn: int = Field(sa_type=BigInteger)
    deposit_id: str | None = Field(default=None, foreign_key="deposit.id")
    issuance_id: str | None = Field(default=None, foreign_key="issuance.id")
