"""Tables of the slice `settlement`."""

import sqlalchemy as sa
from alembic import op

revision = "0010_settlement"
down_revision = "0009_payments"


def upgrade() -> None:
    op.create_table(
        "settlement",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("cut_off", sa.Date(), nullable=True),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("opening_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("paid_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("carried_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("carried_into", sa.String(), nullable=True),
        sa.Column("fee_status", sa.String(), nullable=False),
        sa.Column("fee_orders", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('pending', 'settled')", name=op.f("ck_settlement_status")),
        sa.CheckConstraint(
            "fee_status IN ('none', 'pending', 'paid', 'stuck')",
            name=op.f("ck_settlement_fee_status"),
        ),
        sa.CheckConstraint(
            "opening_tiyn >= 0 AND paid_tiyn >= 0 AND carried_tiyn >= 0",
            name=op.f("ck_settlement_amounts"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement")),
        sa.UniqueConstraint("merchant", "cut_off", name=op.f("uq_settlement_merchant_cut_off")),
    )
    op.create_index("ix_settlement_merchant_id", "settlement", ["merchant", "id"])
    op.create_index(
        "ix_settlement_pending",
        "settlement",
        ["id"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_settlement_carried",
        "settlement",
        ["merchant"],
        postgresql_where=sa.text("carried_tiyn > 0 AND carried_into IS NULL"),
    )
    op.create_table(
        "settlement_line",
        sa.Column("settlement", sa.String(), nullable=False),
        sa.Column("payment", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("tx", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("refunded_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("fee_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.String(), nullable=False),
        sa.CheckConstraint(
            "amount_tiyn > 0 AND refunded_tiyn >= 0 AND fee_tiyn >= 0"
            " AND refunded_tiyn + fee_tiyn <= amount_tiyn",
            name=op.f("ck_settlement_line_amounts"),
        ),
        sa.ForeignKeyConstraint(
            ["settlement"], ["settlement.id"], name=op.f("fk_settlement_line_settlement_settlement")
        ),
        sa.PrimaryKeyConstraint("settlement", "payment", name=op.f("pk_settlement_line")),
        sa.UniqueConstraint("payment", name=op.f("uq_settlement_line_payment")),
    )
    op.create_table(
        "settlement_burn",
        sa.Column("settlement", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("fee_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("vat_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("vat_percent", sa.Integer(), nullable=False),
        sa.Column("vat_version", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("tx", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("burned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'burned', 'stuck')", name=op.f("ck_settlement_burn_status")
        ),
        sa.CheckConstraint(
            "units > 0 AND amount_tiyn > 0 AND fee_tiyn BETWEEN 0 AND amount_tiyn"
            " AND vat_tiyn BETWEEN 0 AND fee_tiyn",
            name=op.f("ck_settlement_burn_amounts"),
        ),
        sa.ForeignKeyConstraint(
            ["settlement"], ["settlement.id"], name=op.f("fk_settlement_burn_settlement_settlement")
        ),
        sa.PrimaryKeyConstraint("settlement", "chain", name=op.f("pk_settlement_burn")),
    )
    op.create_index(
        "ix_settlement_burn_open",
        "settlement_burn",
        ["settlement"],
        postgresql_where=sa.text("status <> 'burned'"),
    )
    op.create_table(
        "payout",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("settlement", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("iban", sa.String(), nullable=False),
        sa.Column("payee", sa.String(), nullable=False),
        sa.Column("knp", sa.String(), nullable=False),
        sa.Column("kbe", sa.String(), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("carried_into", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("instructed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hold_lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'sent', 'completed', 'rejected', 'returned')",
            name=op.f("ck_payout_status"),
        ),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_payout_amount")),
        sa.ForeignKeyConstraint(
            ["settlement"], ["settlement.id"], name=op.f("fk_payout_settlement_settlement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout")),
        sa.UniqueConstraint("settlement", name=op.f("uq_payout_settlement")),
    )
    op.create_index("ix_payout_merchant_id", "payout", ["merchant", "id"])
    op.create_index(
        "ix_payout_failed",
        "payout",
        ["merchant"],
        postgresql_where=sa.text("status IN ('rejected', 'returned')"),
    )
    op.create_table(
        "settlement_cut_off",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_settlement_cut_off")),
    )
    op.execute("GRANT SELECT, INSERT ON settlement_line, settlement_cut_off TO sbx_app")
    op.execute(
        "GRANT SELECT, INSERT,"
        " UPDATE (status, carried_into, fee_status, fee_orders, settled_at) ON settlement"
        " TO sbx_app"
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (attempt, status, tx, reason, burned_at) ON settlement_burn"
        " TO sbx_app"
    )
    op.execute(
        "GRANT SELECT, INSERT,"
        " UPDATE (status, reason, carried_into, instructed_at, ended_at, hold_lifted_at)"
        " ON payout TO sbx_app"
    )
