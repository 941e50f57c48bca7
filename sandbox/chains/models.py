"""Tables of the slice: what was deployed, how far it was read, what moved, what was sent.

`chain_block` holds only the window between the two cursors; a block that is final leaves it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp


class ChainDeployment(SQLModel, table=True):
    """The token on one chain: public facts only, and the chain they belong to."""

    __tablename__ = "chain_deployment"

    chain: str = Field(primary_key=True)
    genesis: str
    config: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = Field(sa_column=timestamp())


class ChainCursor(SQLModel, table=True):
    """The last block that was handled, per view."""

    __tablename__ = "chain_cursor"
    __table_args__ = (CheckConstraint("view IN ('confirmed', 'final')", name="view"),)

    chain: str = Field(primary_key=True)
    view: str = Field(primary_key=True)
    height: int = Field(sa_type=BigInteger)
    hash: str


class ChainBlock(SQLModel, table=True):
    """A block seen at confirmed and not yet final. `attempts`: [our tx id, error or null]…"""

    __tablename__ = "chain_block"

    chain: str = Field(primary_key=True)
    height: int = Field(primary_key=True, sa_type=BigInteger)
    hash: str
    parent_hash: str
    time: datetime = Field(sa_column=timestamp())
    is_empty: bool
    attempts: list[Any] = Field(sa_column=Column(JSONB, nullable=False))
    foreign_transfers: list[Any] = Field(sa_column=Column(JSONB, nullable=False))


class ChainTransfer(SQLModel, table=True):
    """One movement of the token, once for ever, however often a reorg moves it (CONTRACT 5)."""

    __tablename__ = "chain_transfer"
    __table_args__ = (
        UniqueConstraint("chain", "tx", "ordinal"),
        CheckConstraint("kind IN ('transfer', 'mint', 'burn')", name="kind"),
        CheckConstraint("amount_units > 0", name="amount"),
        CheckConstraint("ordinal >= 0", name="ordinal"),
    )

    id: str = Field(primary_key=True)
    chain: str
    tx: str
    ordinal: int
    kind: str
    source: str
    destination: str
    amount_units: int = Field(sa_type=BigInteger)
    keys: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    intent: str | None = Field(default=None)


class ChainInclusion(SQLModel, table=True):
    """One block's word that a transfer is in it; a transfer that comes back gets the next `n`.

    `position` orders the transfers of a block, `height` the blocks.
    """

    __tablename__ = "chain_inclusion"
    __table_args__ = (
        CheckConstraint("state IN ('confirmed', 'final', 'reverted')", name="state"),
        CheckConstraint("n > 0", name="n"),
        Index(None, "block_hash"),
        Index("ix_chain_inclusion_open", "height", postgresql_where=text("state = 'confirmed'")),
    )

    transfer_id: str = Field(primary_key=True, foreign_key="chain_transfer.id")
    n: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    position: int
    height: int = Field(sa_type=BigInteger)
    block_hash: str
    block_time: datetime = Field(sa_column=timestamp())
    state: str


class ChainIntent(SQLModel, table=True):
    """What a slice wants done on a chain, and what became of it (DESIGN 2, Intentions)."""

    __tablename__ = "chain_intent"
    __table_args__ = (
        CheckConstraint("state IN ('due', 'signed', 'done', 'not_done')", name="state"),
        CheckConstraint("(state IN ('done', 'not_done')) = (resolved_at IS NOT NULL)", name="end"),
        Index("ix_chain_intent_open", "id", postgresql_where=text("state IN ('due', 'signed')")),
    )

    id: str = Field(primary_key=True)
    kind: str
    chain: str
    command: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    state: str = Field(default="due")
    attempts: int = Field(default=0)
    created_at: datetime = Field(sa_column=timestamp())
    request_id: str | None = Field(default=None)
    tx: str | None = Field(default=None)
    reason: str | None = Field(default=None)
    resolved_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    lease_owner: str | None = Field(default=None)
    lease_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class ChainAttempt(SQLModel, table=True):
    """A signed transaction of an intent, stored before it is sent (DESIGN 2, Sign first)."""

    __tablename__ = "chain_attempt"
    __table_args__ = (
        UniqueConstraint("intent_id", "n"),
        UniqueConstraint("tx_id"),
        CheckConstraint("state IN ('signed', 'done', 'not_done')", name="state"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    intent_id: str = Field(foreign_key="chain_intent.id")
    n: int
    tx_id: str
    raw: bytes = Field(sa_type=LargeBinary)
    valid_until_height: int = Field(sa_type=BigInteger)
    slots: list[str] = Field(
        default_factory=list,
        sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'")),
    )
    state: str = Field(default="signed")
    reason: str | None = Field(default=None)
    signed_at: datetime = Field(sa_column=timestamp())
    broadcast_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class ChainHalt(SQLModel, table=True):
    """A chain whose watcher stopped at a block it cannot handle, until someone resumes it."""

    __tablename__ = "chain_halt"

    chain: str = Field(primary_key=True)
    reason: str
    height: int = Field(sa_type=BigInteger)
    since: datetime = Field(sa_column=timestamp())
