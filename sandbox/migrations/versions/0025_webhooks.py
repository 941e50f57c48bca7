"""Webhooks complete: attempts, order per object, rotated secrets, pinned versions, resends."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0025_webhooks"
down_revision = "0023_api_kit"

# Rows from before are given what they would have been written with.
_FIRST_VERSION = "2026-11-20"


def upgrade() -> None:
    _endpoints()
    _deliveries()
    _attempts()
    _events()


def _endpoints() -> None:
    text = sa.String()
    op.add_column(
        "webhook_endpoint", sa.Column("ordering", text, nullable=False, server_default="none")
    )
    op.add_column(
        "webhook_endpoint",
        sa.Column("api_version", text, nullable=False, server_default=_FIRST_VERSION),
    )
    op.add_column(
        "webhook_endpoint", sa.Column("failing", sa.Integer(), nullable=False, server_default="0")
    )
    for column in ("ordering", "api_version", "failing"):
        op.alter_column("webhook_endpoint", column, server_default=None)
    op.add_column("webhook_endpoint", sa.Column("previous_secret", text, nullable=True))
    op.add_column(
        "webhook_endpoint",
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_check_constraint(
        op.f("ck_webhook_endpoint_ordering"),
        "webhook_endpoint",
        "ordering IN ('none', 'per_object')",
    )
    op.create_check_constraint(
        op.f("ck_webhook_endpoint_previous_has_an_end"),
        "webhook_endpoint",
        "(previous_secret IS NULL) = (previous_until IS NULL)",
    )


def _deliveries() -> None:
    for name, type_, default in (
        ("position", sa.BigInteger(), "0"),
        ("out_of_order", sa.Boolean(), sa.false()),
        ("attempts_before", sa.Integer(), "0"),
        ("clock_offset_ms", sa.BigInteger(), "0"),
    ):
        op.add_column(
            "webhook_delivery", sa.Column(name, type_, nullable=False, server_default=default)
        )
        op.alter_column("webhook_delivery", name, server_default=None)
    op.add_column("webhook_delivery", sa.Column("subject", sa.String(), nullable=True))
    op.add_column("webhook_delivery", sa.Column("resend", sa.String(), nullable=True))
    op.execute(
        "UPDATE webhook_delivery d SET position = l.position FROM log_entry l"
        " WHERE l.event_id = d.event_id"
    )
    op.add_column(
        "webhook_delivery", sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.execute("UPDATE webhook_delivery SET queued_at = created_at")
    op.alter_column("webhook_delivery", "queued_at", nullable=False)
    op.execute("UPDATE webhook_delivery SET clock_offset_ms = (SELECT offset_ms FROM clock)")
    op.create_index(
        "ix_webhook_delivery_waiting",
        "webhook_delivery",
        ["endpoint", "next_attempt_at", "id"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_webhook_delivery_subject",
        "webhook_delivery",
        ["endpoint", "subject", "epoch", "position"],
        postgresql_where=sa.text("status = 'pending' AND subject IS NOT NULL"),
    )


def _attempts() -> None:
    op.create_table(
        "webhook_attempt",
        sa.Column("delivery", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("response_head", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("delivery", "number", name=op.f("pk_webhook_attempt")),
    )
    # Of those made before only the last is known.
    op.execute(
        "INSERT INTO webhook_attempt"
        " SELECT id, attempts, last_attempt_at, 0, last_status, last_error, response_head"
        " FROM webhook_delivery WHERE attempts > 0 AND last_attempt_at IS NOT NULL"
    )
    op.execute("GRANT SELECT, INSERT ON webhook_attempt TO sbx_app")


def _events() -> None:
    op.add_column("event", sa.Column("object_id", sa.String(), nullable=True))
    op.execute("UPDATE event SET object_id = convert_from(leaf, 'UTF8')::json -> 'data' ->> 'id'")
    op.create_index(
        "ix_event_object_id",
        "event",
        ["object_id"],
        postgresql_where=sa.text("object_id IS NOT NULL"),
    )
    op.create_table(
        "event_resend",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=True),
        sa.Column("event_ids", ARRAY(sa.String()), nullable=False),
        sa.Column("deliveries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_resend")),
    )
    op.create_index(op.f("ix_event_resend_merchant"), "event_resend", ["merchant"])
    op.execute("GRANT SELECT, INSERT ON event_resend TO sbx_app")
