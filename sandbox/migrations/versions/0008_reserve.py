"""Tables of the slice `reserve`."""

import sqlalchemy as sa
from alembic import op

revision = "0008_reserve"
down_revision = "0007_webhooks"


def upgrade() -> None:
    op.create_table(
        "deposit",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("bank_reference", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_deposit_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deposit")),
        sa.UniqueConstraint("bank_reference", name=op.f("uq_deposit_bank_reference")),
    )
    op.create_table(
        "issuance",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("deposit_id", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("tx", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_issuance_amount")),
        sa.CheckConstraint(
            "status IN ('pending', 'issued', 'failed')", name=op.f("ck_issuance_status")
        ),
        sa.ForeignKeyConstraint(
            ["deposit_id"], ["deposit.id"], name=op.f("fk_issuance_deposit_id_deposit")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issuance")),
    )
    op.create_index(op.f("ix_issuance_deposit_id"), "issuance", ["deposit_id"])
    op.create_table(
        "minting",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_minting_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_minting")),
    )
    op.execute("INSERT INTO minting (id, is_on, reason, since) VALUES (1, true, '', sandbox_now())")
    op.create_table(
        "holder_burn",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("transfer_id", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("tx", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("inclusion", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_units > 0", name=op.f("ck_holder_burn_amount")),
        sa.CheckConstraint(
            "status IN ('confirmed', 'final', 'reverted')", name=op.f("ck_holder_burn_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holder_burn")),
        sa.UniqueConstraint("transfer_id", name=op.f("uq_holder_burn_transfer_id")),
    )
    op.execute("GRANT SELECT, INSERT ON deposit TO sbx_app")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (status, tx, reason, resolved_at) ON issuance TO sbx_app"
    )
    op.execute("GRANT SELECT, UPDATE (is_on, reason, since) ON minting TO sbx_app")
    op.execute("GRANT SELECT, INSERT, UPDATE (inclusion, status) ON holder_burn TO sbx_app")
