"""What an attempt takes of its signer's order (nonces): two runners may not take the same."""

import sqlalchemy as sa
from alembic import op

revision = "0012_attempt_slots"
down_revision = "0011_lab"


def upgrade() -> None:
    op.add_column(
        "chain_attempt",
        sa.Column("slots", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
