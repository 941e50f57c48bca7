"""Tables of the slice `bank`: its messages, and the simulator's books in a schema of their own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_bank"
down_revision = "0004_chains"


def upgrade() -> None:
    op.create_table(
        "bank_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("end_to_end_id", sa.String(), nullable=True),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("direction IN ('in', 'out')", name=op.f("ck_bank_message_direction")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_message")),
        sa.UniqueConstraint(
            "direction", "kind", "ref", name=op.f("uq_bank_message_direction_kind_ref")
        ),
    )
    op.create_index(
        "ix_bank_message_unread",
        "bank_message",
        ["direction", "id"],
        postgresql_where=sa.text("read_at IS NULL"),
    )
    op.create_index(op.f("ix_bank_message_end_to_end_id"), "bank_message", ["end_to_end_id"])
    op.execute("CREATE SCHEMA bank_sim")
    op.create_table(
        "account",
        sa.Column("iban", sa.String(), nullable=False),
        sa.Column("bank", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(iban) = 20", name=op.f("ck_account_iban")),
        sa.PrimaryKeyConstraint("iban", name=op.f("pk_account")),
        schema="bank_sim",
    )
    op.create_table(
        "booking",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("iban", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("end_to_end_id", sa.String(), nullable=True),
        sa.Column("counterparty", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('credit', 'debit')", name=op.f("ck_booking_side")),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_booking_amount")),
        sa.ForeignKeyConstraint(
            ["iban"], ["bank_sim.account.iban"], name=op.f("fk_booking_iban_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_booking")),
        sa.UniqueConstraint("iban", "ref", name=op.f("uq_booking_iban_ref")),
        schema="bank_sim",
    )
    op.create_index(
        op.f("ix_booking_iban_booked_on"), "booking", ["iban", "booked_on"], schema="bank_sim"
    )
    op.create_table(
        "payment_order",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("end_to_end_id", sa.String(), nullable=False),
        sa.Column("debtor_iban", sa.String(), nullable=False),
        sa.Column("creditor_iban", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('accepted', 'rejected', 'booked', 'returned')",
            name=op.f("ck_payment_order_status"),
        ),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_payment_order_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_order")),
        sa.UniqueConstraint("end_to_end_id", name=op.f("uq_payment_order_end_to_end_id")),
        schema="bank_sim",
    )
    op.create_index(
        "ix_payment_order_queued",
        "payment_order",
        ["due_at", "id"],
        schema="bank_sim",
        postgresql_where=sa.text("status = 'accepted'"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE (read_at) ON bank_message TO sbx_app")
    op.execute("GRANT USAGE ON SCHEMA bank_sim TO sbx_app")
    op.execute("GRANT SELECT, INSERT, UPDATE (closed_at) ON bank_sim.account TO sbx_app")
    op.execute("GRANT SELECT, INSERT ON bank_sim.booking TO sbx_app")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (status, reason, ended_at) ON bank_sim.payment_order"
        " TO sbx_app"
    )
