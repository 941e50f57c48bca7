"""Merchants' signs, statuses and settlement terms; why a batch pays nothing out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017_merchant_terms"
down_revision = "0014_request_ids"


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
    op.add_column(
        "settlement_cut_off",
        sa.Column("at", sa.String(), server_default=sa.text("'18:00'"), nullable=False),
    )
    op.drop_constraint(op.f("pk_settlement_cut_off"), "settlement_cut_off", type_="primary")
    op.create_primary_key(op.f("pk_settlement_cut_off"), "settlement_cut_off", ["day", "at"])
    op.add_column("settlement", sa.Column("hold", sa.String(), nullable=True))
