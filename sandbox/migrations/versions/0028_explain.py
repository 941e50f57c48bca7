"""What is asked of one object: its events, the strays of a session, the refunds of a stray."""

import sqlalchemy as sa
from alembic import op

revision = "0028_explain"
down_revision = "0023_api_kit"


def upgrade() -> None:
    # Events by object: whoever comes first adds it, webhooks find by it too.
    op.execute("ALTER TABLE event ADD COLUMN IF NOT EXISTS object_id varchar")
    op.execute(
        "UPDATE event SET object_id = convert_from(leaf, 'UTF8')::json -> 'data' ->> 'id'"
        " WHERE object_id IS NULL"
    )
    op.execute(
        "CREATE INDEX IF NOT EXISTS ix_event_object_id ON event (object_id)"
        " WHERE object_id IS NOT NULL"
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
