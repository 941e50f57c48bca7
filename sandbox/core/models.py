"""Tables of core: clock, leaders, stored answers, requests, limits, failure switches, the seed."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
)
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def timestamp(*, nullable: bool = False) -> "Column[datetime]":
    """A `timestamptz` column."""
    return Column(DateTime(timezone=True), nullable=nullable)


class ClockRow(SQLModel, table=True):
    """One row: how sandbox time follows from wall time."""

    __tablename__ = "clock"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    offset_ms: int = Field(default=0, sa_type=BigInteger)
    frozen_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    epoch: int = Field(default=1)


class LeaderRow(SQLModel, table=True):
    """Who leads a single-runner job, and for which term."""

    __tablename__ = "leader"

    name: str = Field(primary_key=True)
    term: int = Field(sa_type=BigInteger)
    owner: str
    taken_at: datetime = Field(sa_column=timestamp())


class IdempotencyKey(SQLModel, table=True):
    """The stored answer to one key of one tenant on one route (CONTRACT 6)."""

    __tablename__ = "idempotency_key"

    tenant: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    status: int
    body: bytes = Field(sa_type=LargeBinary)
    request_id: str
    created_at: datetime = Field(sa_column=timestamp())


class RequestLogRow(SQLModel, table=True):
    """One answered request, secrets taken out. Unlogged: what a crash loses is only this."""

    __tablename__ = "request_log"
    __table_args__ = (
        Index("ix_request_log_tenant_number", "tenant", "number"),
        {"prefixes": ["UNLOGGED"]},
    )

    number: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    id: str = Field(index=True)
    tenant: str | None = None
    method: str
    path: str
    query: str
    status: int
    code: str | None = None
    duration_ms: int
    role: str
    api_key: str | None = None
    api_version: str
    idempotency_key: str | None = None
    replayed: bool
    request_body: str | None = None
    response_body: str | None = None
    created_at: datetime = Field(sa_column=timestamp())


class RateLimitRow(SQLModel, table=True):
    """The limit that a party set itself; no row, no limit."""

    __tablename__ = "rate_limit"
    __table_args__ = (CheckConstraint("requests_per_s > 0 AND burst > 0", name="positive"),)

    party: str = Field(primary_key=True)
    requests_per_s: int
    burst: int


class FaultSwitch(SQLModel, table=True):
    """A failure that strikes `left` more times (`switches`)."""

    __tablename__ = "fault_switch"
    __table_args__ = (CheckConstraint('"left" >= 0', name="left"),)

    name: str = Field(primary_key=True)
    left: int


class SeedRow(SQLModel, table=True):
    """One row in a seeded world: the number that everything in it is drawn from (ADR 0030)."""

    __tablename__ = "seed"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    value: int = Field(sa_type=BigInteger)


class SeedStream(SQLModel, table=True):
    """How much one stream has drawn from the seed."""

    __tablename__ = "seed_stream"

    name: str = Field(primary_key=True)
    drawn: int = Field(sa_type=BigInteger)
