"""What is asked of one object: its events, the strays of a session, the refunds of a stray."""

import sqlalchemy as sa
from alembic import op

revision = "0028_explain"
down_revision = "0023_api_kit"


def upgrade() -> None:
    op.add_column("event", sa.Column("about", sa.String(), nullable=True))
    op.execute(
        "UPDATE event SET about = left(convert_from(leaf, 'UTF8')::jsonb #>> '{data,id}', 64)"
    )
    op.create_index(
        "ix_event_about", "event", ["about"], postgresql_where=sa.text("about IS NOT NULL")
    )
    op.create_index(
        "ix_stray_transfer_session",
        "stray_transfer",
        ["session"],
        postgresql_where=sa.text("session IS NOT NULL"),
    )
    op.create_index(
        "ix_refund_stray", "refund", ["stray"], postgresql_where=sa.text("stray IS NOT NULL")
    )
