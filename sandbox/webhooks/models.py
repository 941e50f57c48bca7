"""Tables of webhooks."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp


class WebhookEndpoint(SQLModel, table=True):
    """Where a merchant wants its events. `secret` stands here in clear: every delivery needs it.

    It sees the events from (`from_epoch`, `from_position`) of the log on. Until `previous_until`
    (sandbox time) deliveries are signed with the secret before the last rotation too. `failing`
    counts deliveries that were given up one after another.
    """

    __tablename__ = "webhook_endpoint"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'disabled', 'deleted')", name="status"),
        CheckConstraint("ordering IN ('none', 'per_object')", name="ordering"),
        CheckConstraint(
            "(previous_secret IS NULL) = (previous_until IS NULL)", name="previous_has_an_end"
        ),
    )

    id: str = Field(primary_key=True)
    merchant: str = Field(index=True)
    url: str
    types: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    secret: str = Field(repr=False)
    previous_secret: str | None = Field(default=None, repr=False)
    previous_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    ordering: str = "none"
    api_version: str
    failing: int = 0
    status: str
    status_reason: str | None = None
    from_epoch: int
    from_position: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_column=timestamp())


class WebhookDelivery(SQLModel, table=True):
    """One event on its way to one endpoint; `next_attempt_at` is sandbox time, leases wall time.

    A resend queues it anew: `attempts` begins again, `attempts_before` are those of earlier rounds.
    `clock_offset_ms` is sandbox time minus wall time as this delivery has lived through it: what
    the clock was moved further is still to be passed, attempt by attempt. With `subject`, the key
    of its object, it waits for earlier ones of the same subject and endpoint.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("endpoint", "event_id"),
        CheckConstraint(
            "status IN ('pending', 'delivered', 'exhausted', 'canceled')", name="status"
        ),
        Index(
            "ix_webhook_delivery_due",
            "next_attempt_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_webhook_delivery_waiting",
            "endpoint",
            "next_attempt_at",
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_webhook_delivery_subject",
            "endpoint",
            "subject",
            "epoch",
            "position",
            postgresql_where=text("status = 'pending' AND subject IS NOT NULL"),
        ),
        Index("ix_webhook_delivery_merchant_id", "merchant", "id"),
    )

    id: str = Field(primary_key=True)
    endpoint: str = Field(foreign_key="webhook_endpoint.id")
    merchant: str
    event_id: str = Field(index=True)
    epoch: int
    position: int = Field(sa_type=BigInteger)
    subject: str | None = None
    out_of_order: bool = False
    resend: str | None = None
    status: str
    attempts: int
    attempts_before: int = 0
    queued_at: datetime = Field(sa_column=timestamp())
    clock_offset_ms: int = Field(sa_type=BigInteger)
    next_attempt_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    last_attempt_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    last_status: int | None = None
    last_error: str | None = None
    response_head: str | None = None
    created_at: datetime = Field(sa_column=timestamp())
    lease_owner: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class WebhookAttempt(SQLModel, table=True):
    """One attempt of a delivery, and what came of it. `at` is sandbox time, the duration wall."""

    __tablename__ = "webhook_attempt"

    delivery: str = Field(primary_key=True)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_column=timestamp())
    duration_ms: int
    status: int | None = None
    error: str | None = None
    response_head: str | None = None


class WebhookCursor(SQLModel, table=True):
    """One row: up to where the log was turned into deliveries."""

    __tablename__ = "webhook_cursor"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    epoch: int
    position: int = Field(sa_type=BigInteger)
