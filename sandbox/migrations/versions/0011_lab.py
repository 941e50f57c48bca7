"""Tables of the slice `lab`."""

import sqlalchemy as sa
from alembic import op

revision = "0011_lab"
down_revision = "0010_settlement"


def upgrade() -> None:
    op.create_table(
        "faucet_grant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("tx", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_faucet_grant_amount")),
        sa.CheckConstraint(
            "status IN ('pending', 'sent', 'failed')", name=op.f("ck_faucet_grant_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faucet_grant")),
    )
    op.create_table(
        "chain_float",
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("refills", sa.Integer(), nullable=False),
        sa.Column("wanted_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("deposit_id", sa.String(), nullable=True),
        sa.Column("issuance_id", sa.String(), nullable=True),
        sa.CheckConstraint("refills >= 0 AND wanted_tiyn >= 0", name=op.f("ck_chain_float_counts")),
        sa.ForeignKeyConstraint(
            ["deposit_id"], ["deposit.id"], name=op.f("fk_chain_float_deposit_id_deposit")
        ),
        sa.ForeignKeyConstraint(
            ["issuance_id"], ["issuance.id"], name=op.f("fk_chain_float_issuance_id_issuance")
        ),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_chain_float")),
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (status, tx, reason, resolved_at) ON faucet_grant TO sbx_app"
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (refills, wanted_tiyn, deposit_id, issuance_id)"
        " ON chain_float TO sbx_app"
    )
