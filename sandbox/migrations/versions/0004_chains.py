"""Tables of the slice `chains`."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_chains"
down_revision = "0003_ledger"


def upgrade() -> None:
    op.create_table(
        "chain_block",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("parent_hash", sa.String(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_empty", sa.Boolean(), nullable=False),
        sa.Column("attempts", postgresql.JSONB(), nullable=False),
        sa.Column("foreign_transfers", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "height", name=op.f("pk_chain_block")),
    )
    op.create_table(
        "chain_cursor",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("view", sa.String(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.CheckConstraint("view IN ('confirmed', 'final')", name=op.f("ck_chain_cursor_view")),
        sa.PrimaryKeyConstraint("chain", "view", name=op.f("pk_chain_cursor")),
    )
    op.create_table(
        "chain_deployment",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("genesis", sa.String(), nullable=False),
        sa.Column("config", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_chain_deployment")),
    )
    op.create_table(
        "chain_halt",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_chain_halt")),
    )
    op.create_table(
        "chain_intent",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("command", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tx", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('done', 'not_done')) = (resolved_at IS NOT NULL)",
            name=op.f("ck_chain_intent_end"),
        ),
        sa.CheckConstraint(
            "state IN ('due', 'signed', 'done', 'not_done')", name=op.f("ck_chain_intent_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_intent")),
    )
    op.create_index(
        "ix_chain_intent_open",
        "chain_intent",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('due', 'signed')"),
    )
    op.create_table(
        "chain_transfer",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("tx", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("amount_units", sa.BigInteger(), nullable=False),
        sa.Column("keys", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("intent", sa.String(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('transfer', 'mint', 'burn')", name=op.f("ck_chain_transfer_kind")
        ),
        sa.CheckConstraint("amount_units > 0", name=op.f("ck_chain_transfer_amount")),
        sa.CheckConstraint("ordinal >= 0", name=op.f("ck_chain_transfer_ordinal")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_transfer")),
        sa.UniqueConstraint(
            "chain", "tx", "ordinal", name=op.f("uq_chain_transfer_chain_tx_ordinal")
        ),
    )
    op.create_table(
        "chain_attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("intent_id", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("tx_id", sa.String(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("valid_until_height", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("broadcast_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('signed', 'done', 'not_done')", name=op.f("ck_chain_attempt_state")
        ),
        sa.ForeignKeyConstraint(
            ["intent_id"], ["chain_intent.id"], name=op.f("fk_chain_attempt_intent_id_chain_intent")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_attempt")),
        sa.UniqueConstraint("intent_id", "n", name=op.f("uq_chain_attempt_intent_id_n")),
        sa.UniqueConstraint("tx_id", name=op.f("uq_chain_attempt_tx_id")),
    )
    op.create_table(
        "chain_inclusion",
        sa.Column("transfer_id", sa.String(), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.String(), nullable=False),
        sa.Column("block_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.CheckConstraint(
            "state IN ('confirmed', 'final', 'reverted')", name=op.f("ck_chain_inclusion_state")
        ),
        sa.CheckConstraint("n > 0", name=op.f("ck_chain_inclusion_n")),
        sa.ForeignKeyConstraint(
            ["transfer_id"],
            ["chain_transfer.id"],
            name=op.f("fk_chain_inclusion_transfer_id_chain_transfer"),
        ),
        sa.PrimaryKeyConstraint("transfer_id", "n", name=op.f("pk_chain_inclusion")),
    )
    op.create_index(
        op.f("ix_chain_inclusion_block_hash"), "chain_inclusion", ["block_hash"], unique=False
    )
    op.create_index(
        "ix_chain_inclusion_open",
        "chain_inclusion",
        ["height"],
        unique=False,
        postgresql_where=sa.text("state = 'confirmed'"),
    )
    op.execute("GRANT SELECT, INSERT ON chain_deployment, chain_transfer TO sbx_app")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE ON"
        " chain_cursor, chain_inclusion, chain_intent, chain_attempt TO sbx_app"
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON chain_block, chain_halt TO sbx_app")
