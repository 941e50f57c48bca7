"""Tables of the slice `parties`."""

import sqlalchemy as sa
from alembic import op

revision = "0006_parties"
down_revision = "0005_bank"


def upgrade() -> None:
    op.create_table(
        "merchant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("bin", sa.String(), nullable=False),
        sa.Column("iban", sa.String(), nullable=False),
        sa.Column("knp", sa.String(), nullable=False),
        sa.Column("kbe", sa.String(), nullable=False),
        sa.Column("fee_bps", sa.Integer(), nullable=False),
        sa.Column("confirm_policy", sa.String(), nullable=False),
        sa.Column("settlement_mode", sa.String(), nullable=False),
        sa.Column("cut_off", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("fee_bps BETWEEN 0 AND 10000", name=op.f("ck_merchant_fee_bps")),
        sa.CheckConstraint(
            "confirm_policy IN ('detected', 'confirmed', 'final')",
            name=op.f("ck_merchant_confirm_policy"),
        ),
        sa.CheckConstraint(
            "settlement_mode IN ('payout', 'hold', 'split')",
            name=op.f("ck_merchant_settlement_mode"),
        ),
        sa.CheckConstraint("status IN ('active', 'suspended')", name=op.f("ck_merchant_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchant")),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("secret_sha256", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("seeded", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
    )
    op.create_index(op.f("ix_api_key_party"), "api_key", ["party"])
    op.execute("GRANT SELECT, INSERT ON merchant TO sbx_app")
    op.execute("GRANT SELECT, INSERT, UPDATE (revoked_at) ON api_key TO sbx_app")
