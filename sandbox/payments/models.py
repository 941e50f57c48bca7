"""Tables of checkout: sessions, their match keys, payments, refunds, stray transfers, sweeps."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from sandbox.chains.port import TREASURY
from sandbox.core.models import timestamp


def _json() -> "Column[Any]":
    return Column(JSONB, nullable=False)


class CheckoutSession(SQLModel, table=True):
    """What a customer is asked to pay. `completions` counts how often it became complete."""

    __tablename__ = "checkout_session"
    __table_args__ = (
        CheckConstraint("amount_tiyn BETWEEN 1 AND 100000000000", name="amount"),
        CheckConstraint("expires_in_s BETWEEN 1 AND 86400", name="expires_in"),
        CheckConstraint("status IN ('open', 'complete', 'expired', 'canceled')", name="status"),
        Index("ix_checkout_session_merchant_id", "merchant", "id"),
        Index("ix_checkout_session_due", "expires_at", postgresql_where=text("status = 'open'")),
        Index(
            "ix_checkout_session_client_reference_id",
            "merchant",
            "client_reference_id",
            postgresql_where=text("client_reference_id IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    merchant: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    currency: str
    description: str | None = None
    client_reference_id: str | None = None
    # `metadata` is taken on SQLModel classes.
    meta: dict[str, str] = Field(sa_column=Column("metadata", JSONB, nullable=False))
    options: list[dict[str, Any]] = Field(sa_column=_json())
    url: str
    status: str
    reason: str
    reasons: list[str] = Field(sa_column=_json())
    notes: list[dict[str, Any]] = Field(sa_column=_json())
    expires_in_s: int
    created_at: datetime = Field(sa_column=timestamp())
    expires_at: datetime = Field(sa_column=timestamp())
    canceled_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    captured_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    completions: int
    completed_payment: str | None = None
    received_units: int = Field(sa_type=BigInteger)
    excess_units: int = Field(sa_type=BigInteger)


class SessionMatch(SQLModel, table=True):
    """A key that a payer of this session puts into the transfer, or pays to."""

    __tablename__ = "session_match"

    chain: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    session_id: str


class Payment(SQLModel, table=True):
    """A chain transfer that reached us and names a session, counted or not (CONTRACT 5).

    `first_block_time` is that of its first inclusion, `block_time`, `height` and `block_index`
    are those of its newest. `excess_units` stay in suspense. `refunding_units` are pending.
    `place` is where it arrived; what arrived `unswept` lies at its session's deposit address
    until `sweep` names what took it to the treasury.
    """

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("transfer_id", name="uq_payment_transfer_id"),
        CheckConstraint("amount_units > 0", name="amount"),
        CheckConstraint("counted_units >= 0 AND excess_units >= 0", name="counted"),
        CheckConstraint(
            "refunded_units >= 0 AND refunding_units >= 0"
            " AND refunded_units + refunding_units <= counted_units",
            name="refunds",
        ),
        CheckConstraint(
            "settlement_state IN ('none', 'unsettled', 'in_batch', 'settled')",
            name="settlement_state",
        ),
        CheckConstraint("chain_state IN ('confirmed', 'final', 'reverted')", name="chain_state"),
        CheckConstraint("place IN ('treasury', 'unswept')", name="place"),
        Index(
            "ix_payment_unswept",
            "merchant",
            "chain",
            postgresql_where=text("place = 'unswept' AND sweep IS NULL"),
        ),
        Index("ix_payment_merchant_id", "merchant", "id"),
        Index("ix_payment_session", "session"),
        Index(
            "ix_payment_settlement", "settlement", postgresql_where=text("settlement IS NOT NULL")
        ),
        Index(
            "ix_payment_unsettled",
            "merchant",
            postgresql_where=text("settlement_state = 'unsettled'"),
        ),
        Index("ix_payment_not_final", "chain", postgresql_where=text("chain_state = 'confirmed'")),
    )

    id: str = Field(primary_key=True)
    session: str = Field(foreign_key="checkout_session.id")
    merchant: str
    chain: str
    method: str
    decimals: int
    transfer_id: str
    tx: str
    ordinal: int
    from_address: str
    amount_units: int = Field(sa_type=BigInteger)
    counted_units: int = Field(sa_type=BigInteger)
    excess_units: int = Field(sa_type=BigInteger)
    refunded_units: int = Field(sa_type=BigInteger)
    refunding_units: int = Field(sa_type=BigInteger)
    chain_state: str
    settlement_state: str
    inclusion: int
    height: int = Field(sa_type=BigInteger)
    block_index: int
    block_time: datetime = Field(sa_column=timestamp())
    first_block_time: datetime = Field(sa_column=timestamp())
    fee_plan: int | None = None
    fee_bps: int | None = None
    fee_fixed_tiyn: int | None = Field(default=None, sa_type=BigInteger)
    fee_minimum_tiyn: int | None = Field(default=None, sa_type=BigInteger)
    fee_tiyn: int | None = Field(default=None, sa_type=BigInteger)
    capture_entry: str | None = None
    settlement: str | None = None
    resolution: str | None = None
    place: str = Field(
        default=TREASURY,
        sa_column=Column(String, nullable=False, server_default=text("'treasury'")),
    )
    sweep: str | None = None
    created_at: datetime = Field(sa_column=timestamp())
    confirmed_at: datetime = Field(sa_column=timestamp())
    final_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    captured_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class StrayTransfer(SQLModel, table=True):
    """Money that nobody's session counts, until somebody resolves it.

    With `payment`: what that payment brought beyond what counts; the units lie in the session's
    suspense. Without: the whole transfer, in a suspense of its own; or, with `token`, another
    token than KZTE, which has no legs and whose amount (`foreign_amount`) may exceed 64 bits.
    """

    __tablename__ = "stray_transfer"
    __table_args__ = (
        UniqueConstraint("payment", name="uq_stray_transfer_payment"),
        UniqueConstraint("transfer_id", name="uq_stray_transfer_transfer_id"),
        CheckConstraint("status IN ('open', 'resolved')", name="status"),
        CheckConstraint("amount_units >= 0", name="amount"),
        CheckConstraint("chain_state IN ('confirmed', 'final', 'reverted')", name="chain_state"),
        Index("ix_stray_transfer_merchant_id", "merchant", "id"),
        Index("ix_stray_transfer_session", "session", postgresql_where=text("session IS NOT NULL")),
        Index(
            "uq_stray_transfer_foreign",
            "chain",
            "tx",
            "ordinal",
            "token",
            unique=True,
            postgresql_where=text("token IS NOT NULL"),
        ),
        Index(
            "ix_stray_transfer_not_final",
            "chain",
            postgresql_where=text("chain_state = 'confirmed'"),
        ),
    )

    id: str = Field(primary_key=True)
    chain: str
    decimals: int
    tx: str
    ordinal: int
    transfer_id: str | None = None
    from_address: str
    amount_units: int = Field(sa_type=BigInteger)
    token: str | None = None
    foreign_amount: str | None = None
    session: str | None = None
    payment: str | None = None
    merchant: str | None = None
    proposal: str
    reasons: list[str] = Field(sa_column=_json())
    status: str
    resolution: str | None = None
    refund: str | None = None
    chain_state: str
    inclusion: int
    height: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_column=timestamp())
    resolved_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class Refund(SQLModel, table=True):
    """Units on their way back to a payer: of a captured payment, or of a stray transfer.

    `source` says which of the merchant's claims pay it: those of the payment itself (`claims`), or
    once that is settled the refund reserve (`reserve`).
    """

    __tablename__ = "refund"
    __table_args__ = (
        CheckConstraint("amount_units > 0", name="amount"),
        CheckConstraint("status IN ('pending', 'completed', 'failed')", name="status"),
        CheckConstraint("payment IS NOT NULL OR stray IS NOT NULL", name="of"),
        CheckConstraint(
            "source IN ('claims', 'reserve') AND payment IS NOT NULL"
            " OR source IS NULL AND payment IS NULL",
            name="source",
        ),
        Index("ix_refund_merchant_id", "merchant", "id"),
        Index("ix_refund_payment", "payment"),
        Index("ix_refund_stray", "stray", postgresql_where=text("stray IS NOT NULL")),
    )

    id: str = Field(primary_key=True)
    payment: str | None = Field(default=None, foreign_key="payment.id")
    stray: str | None = Field(default=None, foreign_key="stray_transfer.id")
    merchant: str | None = None
    chain: str
    decimals: int
    amount_units: int = Field(sa_type=BigInteger)
    recipient: str
    reason: str | None = None
    source: str | None = None
    status: str
    failure: str | None = None
    tx: str | None = None
    created_at: datetime = Field(sa_column=timestamp())
    completed_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class Sweep(SQLModel, table=True):
    """Units on their way from deposit addresses to the treasury.

    `settlement` asked for it; a stranger's has no merchant and no attempts, and is known from its
    end on. `planned_units` are reserved by the pending entry `entry`, null when nothing is.
    `moved_units` are what the chain says.
    """

    __tablename__ = "sweep"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'final', 'failed')", name="status"),
        CheckConstraint("planned_units >= 0 AND moved_units >= 0", name="units"),
        Index("ix_sweep_settlement", "settlement", postgresql_where=text("settlement IS NOT NULL")),
    )

    id: str = Field(primary_key=True)
    chain: str
    merchant: str | None = None
    settlement: str | None = None
    status: str
    attempt: int
    planned_units: int = Field(sa_type=BigInteger)
    moved_units: int | None = Field(default=None, sa_type=BigInteger)
    entry: str | None = None
    tx: str | None = None
    reason: str | None = None
    created_at: datetime = Field(sa_column=timestamp())
    ended_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class SweepSession(SQLModel, table=True):
    """A session whose deposit address a sweep empties; `moved_units` stay null until it ended."""

    __tablename__ = "sweep_session"
    __table_args__ = (
        Index(
            "uq_sweep_session_pending",
            "chain",
            "session",
            unique=True,
            postgresql_where=text("moved_units IS NULL"),
        ),
    )

    sweep: str = Field(primary_key=True, foreign_key="sweep.id")
    session: str = Field(primary_key=True)
    chain: str
    moved_units: int | None = Field(default=None, sa_type=BigInteger)
