"""Tables of parties: merchants with their plans, and API keys."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, String, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from sandbox.core.api_version import LATEST
from sandbox.core.models import timestamp


class Merchant(SQLModel, table=True):
    """A merchant: who it is, where its money goes, and on which terms.

    `split_bps` is the share paid out in tenge, the rest goes to `wallets` (chain → address).
    `refund_reserve_tiyn` is what each chain's refund reserve is filled up to.
    """

    __tablename__ = "merchant"
    __table_args__ = (
        CheckConstraint("fee_bps BETWEEN 0 AND 10000", name="fee_bps"),
        CheckConstraint(
            "confirm_policy IN ('detected', 'confirmed', 'final')", name="confirm_policy"
        ),
        CheckConstraint("settlement_mode IN ('payout', 'hold', 'split')", name="settlement_mode"),
        CheckConstraint("status IN ('unverified', 'active', 'suspended', 'closed')", name="status"),
        CheckConstraint("schedule IN ('each_business_day', 'daily', 'on_demand')", name="schedule"),
        CheckConstraint(
            "(settlement_mode = 'split') = (split_bps IS NOT NULL)"
            " AND split_bps BETWEEN 1 AND 9999",
            name="split_bps",
        ),
        CheckConstraint("refund_reserve_tiyn >= 0", name="refund_reserve"),
    )

    id: str = Field(primary_key=True)
    name: str
    bin: str
    iban: str
    knp: str
    kbe: str
    fee_bps: int
    confirm_policy: str
    settlement_mode: str
    cut_off: str
    status: str
    # Null where the merchant is older than the sign.
    category: str | None = None
    district: str | None = None
    zone: bool | None = None
    languages: list[str] | None = Field(default=None, sa_column=Column(JSONB))
    status_reason: str | None = None
    schedule: str = Field(
        default="each_business_day",
        sa_column=Column(String, nullable=False, server_default=text("'each_business_day'")),
    )
    split_bps: int | None = None
    wallets: dict[str, str] = Field(
        default_factory=dict,
        sa_column=Column(JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    )
    refund_reserve_tiyn: int = Field(
        default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0"))
    )
    created_at: datetime = Field(sa_column=timestamp())


class FeePlan(SQLModel, table=True):
    """One version of a merchant's fee: a share and a fixed part in tiyn, with a minimum.

    The operator offers it; it is in force from `in_force_at` on, set when the merchant consents
    and never before `from_at`.
    """

    __tablename__ = "fee_plan"
    __table_args__ = (
        CheckConstraint(
            "version > 0 AND fee_bps BETWEEN 0 AND 10000 AND fixed_tiyn >= 0 AND minimum_tiyn >= 0",
            name="amounts",
        ),
        CheckConstraint(
            "(consented_at IS NULL) = (in_force_at IS NULL) AND in_force_at >= from_at",
            name="consent",
        ),
    )

    merchant: str = Field(primary_key=True, foreign_key="merchant.id")
    version: int = Field(primary_key=True)
    fee_bps: int
    fixed_tiyn: int = Field(sa_type=BigInteger)
    minimum_tiyn: int = Field(sa_type=BigInteger)
    from_at: datetime = Field(sa_column=timestamp())
    offered_at: datetime = Field(sa_column=timestamp())
    consented_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    in_force_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))


class ApiKey(SQLModel, table=True):
    """An API key; of its secrets only the SHA-256 is kept. `party`: a merchant's id, or the role.

    `permissions` null is no restriction below the role. After a rotation the secret before works
    until `previous_until`.
    """

    __tablename__ = "api_key"
    __table_args__ = (
        CheckConstraint(
            "(previous_sha256 IS NULL) = (previous_until IS NULL)", name="previous_secret"
        ),
    )

    id: str = Field(primary_key=True)
    secret_sha256: str
    role: str
    party: str = Field(index=True)
    seeded: bool
    name: str | None = None
    permissions: list[str] | None = Field(default=None, sa_column=Column(ARRAY(String)))
    api_version: str = Field(
        default=LATEST,
        sa_column=Column(String, nullable=False, server_default=text("'2026-11-20'")),
    )
    expires_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    rotated_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    previous_sha256: str | None = None
    previous_until: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
    created_at: datetime = Field(sa_column=timestamp())
    revoked_at: datetime | None = Field(default=None, sa_column=timestamp(nullable=True))
