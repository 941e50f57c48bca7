"""Merchants' signs, statuses and settlement terms; why a batch pays nothing out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017_merchant_terms"
down_revision = "0016_redemptions"


def upgrade() -> None:
    for column in (
        sa.Column("category", sa.String(), nullable=True),
        sa.Column("district", sa.String(), nullable=True),
        sa.Column("zone", sa.Boolean(), nullable=True),
        sa.Column("languages", postgresql.JSONB(), nullable=True),
        sa.Column("status_reason", sa.String(), nullable=True),
        sa.Column(
            "schedule",
            sa.String(),
            server_default=sa.text("'each_business_day'"),
            nullable=False,
        ),
    ):
        op.add_column("merchant", column)
    op.drop_constraint(op.f("ck_merchant_status"), "merchant", type_="check")
    op.create_check_constraint(
        op.f("ck_merchant_status"),
        "merchant",
        "status IN ('unverified', 'active', 'suspended', 'closed')",
    )
    op.create_check_constraint(
        op.f("ck_merchant_schedule"), "merchant", "schedule IN ('each_business_day', 'on_demand')"
    )
    op.execute(
        "GRANT UPDATE (iban, knp, kbe, category, district, zone, languages, confirm_policy,"
        " cut_off, schedule, status, status_reason) ON merchant TO sbx_app"
    )
    op.create_table(
        "fee_plan",
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fee_bps", sa.Integer(), nullable=False),
        sa.Column("fixed_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("minimum_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("in_force_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "version > 0 AND fee_bps BETWEEN 0 AND 10000 AND fixed_tiyn >= 0 AND minimum_tiyn >= 0",
            name=op.f("ck_fee_plan_amounts"),
        ),
        sa.CheckConstraint(
            "(consented_at IS NULL) = (in_force_at IS NULL) AND in_force_at >= from_at",
            name=op.f("ck_fee_plan_consent"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant"], ["merchant.id"], name=op.f("fk_fee_plan_merchant_merchant")
        ),
        sa.PrimaryKeyConstraint("merchant", "version", name=op.f("pk_fee_plan")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE (consented_at, in_force_at) ON fee_plan TO sbx_app")
    # The plan that each merchant has had since it began.
    op.execute(
        "INSERT INTO fee_plan (merchant, version, fee_bps, fixed_tiyn, minimum_tiyn, from_at,"
        " offered_at, consented_at, in_force_at) SELECT id, 1, fee_bps, 0, 0, created_at,"
        " created_at, created_at, created_at FROM merchant"
    )
    op.add_column("payment", sa.Column("fee_plan", sa.Integer(), nullable=True))
    op.add_column("payment", sa.Column("fee_fixed_tiyn", sa.BigInteger(), nullable=True))
    op.add_column("payment", sa.Column("fee_minimum_tiyn", sa.BigInteger(), nullable=True))
    op.add_column(
        "settlement_cut_off",
        sa.Column("at", sa.String(), server_default=sa.text("'18:00'"), nullable=False),
    )
    op.drop_constraint(op.f("pk_settlement_cut_off"), "settlement_cut_off", type_="primary")
    op.create_primary_key(op.f("pk_settlement_cut_off"), "settlement_cut_off", ["day", "at"])
    op.add_column("settlement", sa.Column("hold", sa.String(), nullable=True))
