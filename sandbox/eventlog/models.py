"""Tables of the event log; all but the queue are append-only for API and worker."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp


class Event(SQLModel, table=True):
    """One fact: the bytes of its leaf, stored once, and what may not stand in them."""

    __tablename__ = "event"
    __table_args__ = (
        CheckConstraint("octet_length(leaf) <= 65535", name="leaf_fits"),
        Index("ix_event_object_id", "object_id", postgresql_where=text("object_id IS NOT NULL")),
    )

    id: str = Field(primary_key=True)
    type: str
    created: datetime = Field(sa_column=timestamp())
    merchant: str | None = None
    leaf: bytes = Field(sa_type=LargeBinary)
    private: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    salt: bytes = Field(sa_type=LargeBinary)
    # Of the request that caused it, if one did; nobody outside sees it.
    request_id: str | None = None
    # Of the object that `data` is, as the leaf has it: by it an object's events are found.
    object_id: str | None = None


class EventQueue(SQLModel, table=True):
    """Events that have no position yet, in the order of their writing."""

    __tablename__ = "event_queue"

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    event_id: str


class LogEpoch(SQLModel, table=True):
    """One tree: its origin and the key that signs it."""

    __tablename__ = "log_epoch"

    epoch: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    origin: str
    vkey: str
    opened_at: datetime = Field(sa_column=timestamp())


class LogEntry(SQLModel, table=True):
    """Where an event stands: its 0-based Merkle index, and its number among its merchant's."""

    __tablename__ = "log_entry"
    __table_args__ = (
        UniqueConstraint("event_id"),
        Index("uq_log_entry_merchant_sequence", "epoch", "merchant", "sequence", unique=True),
        CheckConstraint("octet_length(leaf_hash) = 32", name="hash_size"),
        CheckConstraint("(merchant IS NULL) = (sequence IS NULL)", name="merchant_has_sequence"),
    )

    epoch: int = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger, primary_key=True)
    event_id: str
    merchant: str | None = None
    sequence: int | None = Field(default=None, sa_type=BigInteger)
    leaf_hash: bytes = Field(sa_type=LargeBinary)


class LogNode(SQLModel, table=True):
    """The root of a full tile: hash `index` of tile level `level` >= 1."""

    __tablename__ = "log_node"

    epoch: int = Field(primary_key=True)
    level: int = Field(sa_type=SmallInteger, primary_key=True)
    index: int = Field(sa_type=BigInteger, primary_key=True)
    hash: bytes = Field(sa_type=LargeBinary)


class LogCheckpoint(SQLModel, table=True):
    """Every size that was ever published, with its signed note."""

    __tablename__ = "checkpoint"

    epoch: int = Field(primary_key=True)
    size: int = Field(sa_type=BigInteger, primary_key=True)
    root: bytes = Field(sa_type=LargeBinary)
    note: str
    created: datetime = Field(sa_column=timestamp())
