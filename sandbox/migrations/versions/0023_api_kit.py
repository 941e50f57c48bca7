"""Restricted keys that expire and rotate, the request log, and rate limits."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_api_kit"
down_revision = "0022_receivables"


def upgrade() -> None:
    for name, type_ in (
        ("name", sa.String()),
        ("permissions", postgresql.ARRAY(sa.String())),
        ("expires_at", sa.DateTime(timezone=True)),
        ("rotated_at", sa.DateTime(timezone=True)),
        ("previous_sha256", sa.String()),
        ("previous_until", sa.DateTime(timezone=True)),
        ("last_used_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("api_key", sa.Column(name, type_, nullable=True))
    op.add_column(
        "api_key",
        sa.Column(
            "api_version", sa.String(), nullable=False, server_default=sa.text("'2026-11-20'")
        ),
    )
    op.create_check_constraint(
        op.f("ck_api_key_previous_secret"),
        "api_key",
        "(previous_sha256 IS NULL) = (previous_until IS NULL)",
    )
    op.execute(
        "GRANT UPDATE (secret_sha256, rotated_at, previous_sha256, previous_until, last_used_at)"
        " ON api_key TO sbx_app"
    )
    op.create_table(
        "request_log",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=True),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("api_key", sa.String(), nullable=True),
        sa.Column("api_version", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("replayed", sa.Boolean(), nullable=False),
        sa.Column("request_body", sa.String(), nullable=True),
        sa.Column("response_body", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_request_log")),
        # What a crash loses is only the log, and no request waits for the disk because of it.
        prefixes=["UNLOGGED"],
    )
    op.create_index(op.f("ix_request_log_id"), "request_log", ["id"])
    op.create_index("ix_request_log_tenant_number", "request_log", ["tenant", "number"])
    op.execute("GRANT SELECT, INSERT, DELETE ON request_log TO sbx_app")
    op.create_table(
        "rate_limit",
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("requests_per_s", sa.Integer(), nullable=False),
        sa.Column("burst", sa.Integer(), nullable=False),
        sa.CheckConstraint("requests_per_s > 0 AND burst > 0", name=op.f("ck_rate_limit_positive")),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_rate_limit")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON rate_limit TO sbx_app")
