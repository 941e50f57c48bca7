"""Tables of core, and the function that all business time goes through."""

import sqlalchemy as sa
from alembic import op

revision = "0001_core"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset_ms", sa.BigInteger(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_clock_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock")),
    )
    op.execute("INSERT INTO clock (id, offset_ms, epoch) VALUES (1, 0, 1)")
    op.create_table(
        "leader",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leader")),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "route", "key", name=op.f("pk_idempotency_key")),
    )
    op.execute(
        """
        CREATE FUNCTION sandbox_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
            SELECT date_trunc('milliseconds',
                coalesce(frozen_at, clock_timestamp() + offset_ms * interval '1 millisecond'))
            FROM clock
        $$
        """
    )
    # Databases are made for the application role as well; it owns nothing (DESIGN 2).
    op.execute("GRANT USAGE ON SCHEMA public TO sbx_app")
    op.execute("GRANT SELECT, UPDATE ON clock TO sbx_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON leader TO sbx_app")
    op.execute("GRANT SELECT, INSERT, DELETE ON idempotency_key TO sbx_app")
