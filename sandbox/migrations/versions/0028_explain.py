"""What is asked of one object: the strays of a session, the refunds of a stray."""

import sqlalchemy as sa
from alembic import op

revision = "0028_explain"
down_revision = "0025_webhooks"


def upgrade() -> None:
    op.create_index(
        "ix_stray_transfer_session",
        "stray_transfer",
        ["session"],
        postgresql_where=sa.text("session IS NOT NULL"),
    )
    op.create_index(
        "ix_refund_stray", "refund", ["stray"], postgresql_where=sa.text("stray IS NOT NULL")
    )
