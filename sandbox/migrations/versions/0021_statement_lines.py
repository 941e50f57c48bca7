"""The lines of statements that were taken, one row each, so that they can be compared."""

import sqlalchemy as sa
from alembic import op

revision = "0021_statement_lines"
down_revision = "0020_settlement_modes"


def upgrade() -> None:
    op.create_table(
        "bank_statement_line",
        sa.Column("iban", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("end_to_end_id", sa.String(), nullable=True),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("side IN ('credit', 'debit')", name=op.f("ck_bank_statement_line_side")),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_bank_statement_line_amount")),
        sa.ForeignKeyConstraint(
            ["iban", "day"],
            ["bank_statement.iban", "bank_statement.day"],
            name=op.f("fk_bank_statement_line_iban_day_bank_statement"),
        ),
        sa.PrimaryKeyConstraint("iban", "day", "line", name=op.f("pk_bank_statement_line")),
        sa.UniqueConstraint("iban", "ref", name=op.f("uq_bank_statement_line_iban_ref")),
    )
    op.execute("GRANT SELECT, INSERT ON bank_statement_line TO sbx_app")
    # A line that a statement lacked comes on the next one.
    op.execute("GRANT UPDATE (booked_on) ON bank_sim.booking TO sbx_app")
