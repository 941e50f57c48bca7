"""What customers still owe after own money covered a reversal: paid late, or written off."""

import sqlalchemy as sa
from alembic import op

revision = "0022_receivables"
down_revision = "0021_statement_lines"


def upgrade() -> None:
    for name, type_ in (
        ("repaid_tiyn", sa.BigInteger()),
        ("written_off_tiyn", sa.BigInteger()),
        ("write_offs", sa.Integer()),
    ):
        op.add_column(
            "credit_reversal", sa.Column(name, type_, nullable=False, server_default=sa.text("0"))
        )
    op.add_column("credit_reversal", sa.Column("repaid_reference", sa.String(), nullable=True))
    op.create_unique_constraint(
        op.f("uq_credit_reversal_repaid_reference"), "credit_reversal", ["repaid_reference"]
    )
    op.create_check_constraint(
        op.f("ck_credit_reversal_owed"),
        "credit_reversal",
        "repaid_tiyn >= 0 AND written_off_tiyn >= 0"
        " AND repaid_tiyn + written_off_tiyn <= amount_tiyn - taken_back_tiyn",
    )
    op.execute(
        "GRANT UPDATE (repaid_tiyn, repaid_reference, written_off_tiyn, write_offs)"
        " ON credit_reversal TO sbx_app"
    )
