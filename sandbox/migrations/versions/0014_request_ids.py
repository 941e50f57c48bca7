"""Which request caused what a worker does later: for its log lines, null when none did."""

import sqlalchemy as sa
from alembic import op

revision = "0014_request_ids"
down_revision = "0013_sweeps"


def upgrade() -> None:
    op.add_column("event", sa.Column("request_id", sa.String(), nullable=True))
    op.add_column("chain_intent", sa.Column("request_id", sa.String(), nullable=True))
