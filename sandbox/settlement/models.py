"""Tables of the slice: batches with lines, burns, transfers and what the refund reserve takes of
them; payouts, and the cut-offs that ran."""

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from sandbox.core.models import timestamp


class Settlement(SQLModel, table=True):
    """One batch. Lines are fixed when it is made; amounts fall when one is deferred.

    `carried_tiyn` is owed and was not instructed; the batch `carried_into` opens with it. Below
    zero it is what the merchant owes: fees that nothing was left to pay.
    `hold` says why nothing was instructed: the merchant's status, or `payout_failed`.
    `mode` and `split_bps` are the merchant's when it was made; `payout` where all is paid in tenge.
    `cut_off` is the day of the cut-off that made it, null when somebody asked.
    """

    __tablename__ = "settlement"
    __table_args__ = (
        UniqueConstraint("merchant", "cut_off"),
        CheckConstraint("status IN ('pending', 'settled')", name="status"),
        CheckConstraint("fee_status IN ('none', 'pending', 'paid', 'stuck')", name="fee_status"),
        CheckConstraint("paid_tiyn >= 0", name="amounts"),
        CheckConstraint(
            "mode IN ('payout', 'hold', 'split') AND (mode = 'split') = (split_bps IS NOT NULL)",
            name="mode",
        ),
        Index("ix_settlement_merchant_id", "merchant", "id"),
        Index("ix_settlement_pending", "id", postgresql_where=text("status = 'pending'")),
        Index(
            "ix_settlement_carried",
            "merchant",
            postgresql_where=text("carried_tiyn <> 0 AND carried_into IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    merchant: str
    status: str
    cut_off: date | None = Field(default=None)
    value_date: date
    opening_tiyn: int = Field(sa_type=BigInteger)
    paid_tiyn: int = Field(sa_type=BigInteger)
    carried_tiyn: int = Field(sa_type=BigInteger)
    carried_into: str | None = Field(default=None)
    hold: str | None = Field(default=None)
    mode: str = Field(
        default="payout",
        sa_column=Column(String, nullable=False, server_default=text("'payout'")),
    )
    split_bps: int | None = Field(default=None)
    fee_status: str
    fee_orders: int
    created_at: datetime = Field(sa_column=timestamp())
    settled_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class SettlementLine(SQLModel, table=True):
    """A captured payment in its batch, with what it was worth then.

    A deferred one, whose units could not be swept, counts no more here: another batch takes it.
    """

    __tablename__ = "settlement_line"
    __table_args__ = (
        Index(
            "uq_settlement_line_payment",
            "payment",
            unique=True,
            postgresql_where=text("deferred_at IS NULL"),
        ),
        CheckConstraint(
            "amount_tiyn > 0 AND refunded_tiyn BETWEEN 0 AND amount_tiyn"
            " AND fee_tiyn BETWEEN 0 AND amount_tiyn",
            name="amounts",
        ),
    )

    settlement: str = Field(primary_key=True, foreign_key="settlement.id")
    payment: str = Field(primary_key=True)
    chain: str
    tx: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    refunded_tiyn: int = Field(sa_type=BigInteger)
    fee_tiyn: int = Field(sa_type=BigInteger)
    entry: str
    deferred_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    reason: str | None = Field(default=None)


class SettlementBurn(SQLModel, table=True):
    """The units of one chain that a batch burns. `attempt` counts intents.

    A `sweeping` one waits until its units lie in the treasury, and is not asked for yet. A `stuck`
    one is asked for again by the merchant's next settlement.
    `amount_tiyn` = what is paid out in tenge, and fee; `vat_tiyn` is contained in the fee, by the
    rate stored with it.
    """

    __tablename__ = "settlement_burn"
    __table_args__ = (
        CheckConstraint("status IN ('sweeping', 'pending', 'burned', 'stuck')", name="status"),
        CheckConstraint(
            "units > 0 AND amount_tiyn > 0 AND fee_tiyn BETWEEN 0 AND amount_tiyn"
            " AND vat_tiyn BETWEEN 0 AND fee_tiyn",
            name="amounts",
        ),
        Index("ix_settlement_burn_open", "settlement", postgresql_where=text("status <> 'burned'")),
    )

    settlement: str = Field(primary_key=True, foreign_key="settlement.id")
    chain: str = Field(primary_key=True)
    units: int = Field(sa_type=BigInteger)
    amount_tiyn: int = Field(sa_type=BigInteger)
    fee_tiyn: int = Field(sa_type=BigInteger)
    vat_tiyn: int = Field(sa_type=BigInteger)
    vat_percent: int
    vat_version: str
    attempt: int
    status: str
    tx: str | None = Field(default=None)
    reason: str | None = Field(default=None)
    burned_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class SettlementTransfer(SQLModel, table=True):
    """The units of one chain that a batch sends to the merchant's own wallet; like a burn."""

    __tablename__ = "settlement_transfer"
    __table_args__ = (
        CheckConstraint("status IN ('sweeping', 'pending', 'sent', 'stuck')", name="status"),
        CheckConstraint("units > 0 AND amount_tiyn > 0", name="amounts"),
        Index(
            "ix_settlement_transfer_open", "settlement", postgresql_where=text("status <> 'sent'")
        ),
    )

    settlement: str = Field(primary_key=True, foreign_key="settlement.id")
    chain: str = Field(primary_key=True)
    recipient: str
    units: int = Field(sa_type=BigInteger)
    amount_tiyn: int = Field(sa_type=BigInteger)
    attempt: int
    status: str
    tx: str | None = Field(default=None)
    reason: str | None = Field(default=None)
    sent_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class SettlementReserve(SQLModel, table=True):
    """What a batch keeps of one chain's net for refunds; below zero: what it gives back.

    What is kept becomes the reserve's when the batch is settled.
    """

    __tablename__ = "settlement_reserve"
    __table_args__ = (
        CheckConstraint(
            "amount_tiyn <> 0 AND units <> 0 AND (amount_tiyn > 0) = (units > 0)"
            " AND target_tiyn >= 0",
            name="amounts",
        ),
    )

    settlement: str = Field(primary_key=True, foreign_key="settlement.id")
    chain: str = Field(primary_key=True)
    amount_tiyn: int = Field(sa_type=BigInteger)
    units: int = Field(sa_type=BigInteger)
    target_tiyn: int = Field(sa_type=BigInteger)


class Payout(SQLModel, table=True):
    """Tenge for a merchant's account, instructed when its batch is settled.

    One whose lines were all deferred, or whose merchant was suspended meanwhile, is `canceled`
    and comes to nothing.
    A rejected or returned one holds the merchant's payouts to that account until the IBAN
    changes or `hold_lifted_at` says that a retry was asked for.
    """

    __tablename__ = "payout"
    __table_args__ = (
        UniqueConstraint("settlement"),
        CheckConstraint(
            "status IN ('pending', 'sent', 'completed', 'rejected', 'returned', 'canceled')",
            name="status",
        ),
        CheckConstraint(
            "amount_tiyn >= 0 AND (amount_tiyn = 0) = (status = 'canceled')", name="amount"
        ),
        Index("ix_payout_merchant_id", "merchant", "id"),
        Index(
            "ix_payout_failed",
            "merchant",
            postgresql_where=text("status IN ('rejected', 'returned')"),
        ),
    )

    id: str = Field(primary_key=True)
    settlement: str = Field(foreign_key="settlement.id")
    merchant: str
    amount_tiyn: int = Field(sa_type=BigInteger)
    iban: str
    payee: str
    knp: str
    kbe: str
    value_date: date
    status: str
    reason: str | None = Field(default=None)
    carried_into: str | None = Field(default=None)
    created_at: datetime = Field(sa_column=timestamp())
    instructed_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    hold_lifted_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class CutOff(SQLModel, table=True):
    """A day whose cut-off `at` a time of day was dealt with, or it would run again.

    Merchants of one `schedule` each: the newest banking day is not always the newest day.
    """

    __tablename__ = "settlement_cut_off"

    day: date = Field(primary_key=True)
    at: str = Field(sa_column=Column(String, primary_key=True, server_default=text("'18:00'")))
    schedule: str = Field(
        sa_column=Column(String, primary_key=True, server_default=text("'each_business_day'"))
    )
    done_at: datetime = Field(sa_column=timestamp())
