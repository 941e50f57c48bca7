"""Failure switches of webhooks, and orders that went to the bank again because no answer came."""

import sqlalchemy as sa
from alembic import op

revision = "0030_lost_answers"
down_revision = "0029_seed"


def upgrade() -> None:
    op.create_table(
        "webhook_fault",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.CheckConstraint('"left" >= 0', name=op.f("ck_webhook_fault_left")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_webhook_fault")),
    )
    op.create_table(
        "bank_resend",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("message", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["message"], ["bank_message.id"], name=op.f("fk_bank_resend_message_bank_message")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_resend")),
    )
    op.create_index(op.f("ix_bank_resend_message"), "bank_resend", ["message"])
    op.execute('GRANT SELECT, INSERT, UPDATE ("left") ON webhook_fault TO sbx_app')
    op.execute("GRANT SELECT, INSERT ON bank_resend TO sbx_app")
