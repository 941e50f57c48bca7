"""Tables of the slice `payments`."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009_payments"
down_revision = "0008_reserve"


def upgrade() -> None:
    op.create_table(
        "checkout_session",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("client_reference_id", sa.String(), nullable=True),
        sa.Column("metadata", JSONB(), nullable=False),
        sa.Column("options", JSONB(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("reasons", JSONB(), nullable=False),
        sa.Column("notes", JSONB(), nullable=False),
        sa.Column("expires_in_s", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completions", sa.Integer(), nullable=False),
        sa.Column("completed_payment", sa.String(), nullable=True),
        sa.Column("received_units", sa.BigInteger(), nullable=False),
        sa.Column("excess_units", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status IN ('open', 'complete', 'expired', 'canceled')",
            name=op.f("ck_checkout_session_status"),
        ),
        sa.CheckConstraint(
            "amount_tiyn BETWEEN 1 AND 100000000000", name=op.f("ck_checkout_session_amount")
        ),
        sa.CheckConstraint(
            "expires_in_s BETWEEN 1 AND 86400", name=op.f("ck_checkout_session_expires_in")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkout_session")),
    )
    op.create_index(
        "ix_checkout_session_client_reference_id",
        "checkout_session",
        ["merchant", "client_reference_id"],
        unique=False,
        postgresql_where=sa.text("client_reference_id IS NOT NULL"),
    )
    op.create_index(
        "ix_checkout_session_due",
        "checkout_session",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "ix_checkout_session_merchant_id", "checkout_session", ["merchant", "id"], unique=False
    )
    op.create_table(
        "session_match",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "key", name=op.f("pk_session_match")),
    )
    op.create_table(
        "payment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("decimals", sa.Integer(), nullable=False),
        sa.Column("transfer_id", sa.String(), nullable=False),
        sa.Column("tx", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("from_address", sa.String(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("counted_units", sa.BigInteger(), nullable=False),
        sa.Column("excess_units", sa.BigInteger(), nullable=False),
        sa.Column("refunded_units", sa.BigInteger(), nullable=False),
        sa.Column("refunding_units", sa.BigInteger(), nullable=False),
        sa.Column("chain_state", sa.String(), nullable=False),
        sa.Column("settlement_state", sa.String(), nullable=False),
        sa.Column("inclusion", sa.Integer(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("block_index", sa.Integer(), nullable=False),
        sa.Column("block_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_block_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fee_bps", sa.Integer(), nullable=True),
        sa.Column("fee_tiyn", sa.BigInteger(), nullable=True),
        sa.Column("capture_entry", sa.String(), nullable=True),
        sa.Column("settlement", sa.String(), nullable=True),
        sa.Column("resolution", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("final_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "chain_state IN ('confirmed', 'final', 'reverted')", name=op.f("ck_payment_chain_state")
        ),
        sa.CheckConstraint(
            "settlement_state IN ('none', 'unsettled', 'in_batch', 'settled')",
            name=op.f("ck_payment_settlement_state"),
        ),
        sa.CheckConstraint("amount_units > 0", name=op.f("ck_payment_amount")),
        sa.CheckConstraint(
            "counted_units >= 0 AND excess_units >= 0", name=op.f("ck_payment_counted")
        ),
        sa.CheckConstraint(
            "refunded_units >= 0 AND refunding_units >= 0"
            " AND refunded_units + refunding_units <= counted_units",
            name=op.f("ck_payment_refunds"),
        ),
        sa.ForeignKeyConstraint(
            ["session"], ["checkout_session.id"], name=op.f("fk_payment_session_checkout_session")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("transfer_id", name="uq_payment_transfer_id"),
    )
    op.create_index("ix_payment_merchant_id", "payment", ["merchant", "id"], unique=False)
    op.create_index(
        "ix_payment_not_final",
        "payment",
        ["chain"],
        unique=False,
        postgresql_where=sa.text("chain_state = 'confirmed'"),
    )
    op.create_index("ix_payment_session", "payment", ["session"], unique=False)
    op.create_index(
        "ix_payment_settlement",
        "payment",
        ["settlement"],
        unique=False,
        postgresql_where=sa.text("settlement IS NOT NULL"),
    )
    op.create_index(
        "ix_payment_unsettled",
        "payment",
        ["merchant"],
        unique=False,
        postgresql_where=sa.text("settlement_state = 'unsettled'"),
    )
    op.create_table(
        "stray_transfer",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("decimals", sa.Integer(), nullable=False),
        sa.Column("tx", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("transfer_id", sa.String(), nullable=True),
        sa.Column("from_address", sa.String(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.String(), nullable=True),
        sa.Column("foreign_amount", sa.String(), nullable=True),
        sa.Column("session", sa.String(), nullable=True),
        sa.Column("payment", sa.String(), nullable=True),
        sa.Column("merchant", sa.String(), nullable=True),
        sa.Column("proposal", sa.String(), nullable=False),
        sa.Column("reasons", JSONB(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("resolution", sa.String(), nullable=True),
        sa.Column("refund", sa.String(), nullable=True),
        sa.Column("chain_state", sa.String(), nullable=False),
        sa.Column("inclusion", sa.Integer(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "chain_state IN ('confirmed', 'final', 'reverted')",
            name=op.f("ck_stray_transfer_chain_state"),
        ),
        sa.CheckConstraint("status IN ('open', 'resolved')", name=op.f("ck_stray_transfer_status")),
        sa.CheckConstraint("amount_units >= 0", name=op.f("ck_stray_transfer_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stray_transfer")),
        sa.UniqueConstraint("payment", name="uq_stray_transfer_payment"),
        sa.UniqueConstraint("transfer_id", name="uq_stray_transfer_transfer_id"),
    )
    op.create_index(
        "ix_stray_transfer_merchant_id", "stray_transfer", ["merchant", "id"], unique=False
    )
    op.create_index(
        "ix_stray_transfer_not_final",
        "stray_transfer",
        ["chain"],
        unique=False,
        postgresql_where=sa.text("chain_state = 'confirmed'"),
    )
    op.create_index(
        "uq_stray_transfer_foreign",
        "stray_transfer",
        ["chain", "tx", "ordinal", "token"],
        unique=True,
        postgresql_where=sa.text("token IS NOT NULL"),
    )
    op.create_table(
        "refund",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("payment", sa.String(), nullable=True),
        sa.Column("stray", sa.String(), nullable=True),
        sa.Column("merchant", sa.String(), nullable=True),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("decimals", sa.Integer(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("tx", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'completed', 'failed')", name=op.f("ck_refund_status")
        ),
        sa.CheckConstraint("amount_units > 0", name=op.f("ck_refund_amount")),
        sa.CheckConstraint("payment IS NOT NULL OR stray IS NOT NULL", name=op.f("ck_refund_of")),
        sa.ForeignKeyConstraint(
            ["payment"], ["payment.id"], name=op.f("fk_refund_payment_payment")
        ),
        sa.ForeignKeyConstraint(
            ["stray"], ["stray_transfer.id"], name=op.f("fk_refund_stray_stray_transfer")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
    )
    op.create_index("ix_refund_merchant_id", "refund", ["merchant", "id"], unique=False)
    op.create_index("ix_refund_payment", "refund", ["payment"], unique=False)

    # Nothing here is ever deleted; books and events tell what happened to each row.
    op.execute(
        "GRANT SELECT, INSERT, UPDATE ON checkout_session, payment, stray_transfer, refund"
        " TO sbx_app"
    )
    op.execute("GRANT SELECT, INSERT ON session_match TO sbx_app")
