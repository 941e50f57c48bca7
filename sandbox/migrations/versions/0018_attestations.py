"""Attestations of the reserve and the claims they count, breaches, and credits that came back."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018_attestations"
down_revision = "0017_merchant_terms"


def upgrade() -> None:
    _attestations()
    _reconciliation()
    _credits()


def _attestations() -> None:
    op.create_table(
        "attestation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("statement", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("event_id", sa.String(), nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cause IN ('daily', 'asked')", name=op.f("ck_attestation_cause")),
        sa.CheckConstraint(
            "(cause = 'daily') = (day IS NOT NULL)", name=op.f("ck_attestation_day")
        ),
        sa.CheckConstraint("status IN ('pending', 'attested')", name=op.f("ck_attestation_status")),
        sa.CheckConstraint(
            "(status = 'attested') = (note IS NOT NULL)", name=op.f("ck_attestation_made")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attestation")),
        sa.UniqueConstraint("day", name=op.f("uq_attestation_day")),
    )
    op.create_index(
        "ix_attestation_pending",
        "attestation",
        ["id"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "attested_claim",
        sa.Column("attestation", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("units >= 0", name=op.f("ck_attested_claim_units")),
        sa.CheckConstraint("octet_length(salt) = 32", name=op.f("ck_attested_claim_salt")),
        sa.ForeignKeyConstraint(
            ["attestation"],
            ["attestation.id"],
            name=op.f("fk_attested_claim_attestation_attestation"),
        ),
        sa.PrimaryKeyConstraint("attestation", "chain", "place", name=op.f("pk_attested_claim")),
    )
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (status, made_at, statement, note, event_id, lease_owner,"
        " lease_until) ON attestation TO sbx_app"
    )
    op.execute("GRANT SELECT, INSERT ON attested_claim TO sbx_app")


def _reconciliation() -> None:
    op.add_column("minting", sa.Column("statement_max_age_s", sa.Integer(), nullable=True))
    op.add_column(
        "minting", sa.Column("halts", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_table(
        "reserve_breach",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.Column("invariant", sa.String(), nullable=False),
        sa.Column("figures", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reserve_breach")),
    )
    op.create_index(
        "uq_reserve_breach_open",
        "reserve_breach",
        ["line"],
        unique=True,
        postgresql_where=sa.text("cleared_at IS NULL"),
    )
    op.create_table(
        "reconciliation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("turns", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("judged", sa.Integer(), nullable=False),
        sa.Column("not_made", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("red", sa.Integer(), nullable=False),
        sa.Column("halts", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_reconciliation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE (stands, cleared_at) ON reserve_breach TO sbx_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON reconciliation TO sbx_app")
    op.execute("GRANT UPDATE (halts, statement_max_age_s) ON minting TO sbx_app")


def _credits() -> None:
    op.create_table(
        "pending_credit",
        sa.Column("bank_reference", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_pending_credit_amount")),
        sa.PrimaryKeyConstraint("bank_reference", name=op.f("pk_pending_credit")),
    )
    op.create_table(
        "credit_reversal",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("deposit_id", sa.String(), nullable=False),
        sa.Column("bank_reference", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("taken_back_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("covered_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("covered_by", sa.String(), nullable=True),
        sa.Column("cover_reference", sa.String(), nullable=True),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_tiyn > 0", name=op.f("ck_credit_reversal_amount")),
        sa.CheckConstraint(
            "taken_back_tiyn >= 0 AND covered_tiyn >= 0", name=op.f("ck_credit_reversal_parts")
        ),
        sa.CheckConstraint(
            "taken_back_tiyn + covered_tiyn <= amount_tiyn", name=op.f("ck_credit_reversal_whole")
        ),
        sa.CheckConstraint(
            "status IN ('short', 'covering', 'settled')", name=op.f("ck_credit_reversal_status")
        ),
        sa.CheckConstraint(
            "(status = 'settled') = (taken_back_tiyn + covered_tiyn = amount_tiyn)",
            name=op.f("ck_credit_reversal_end"),
        ),
        sa.ForeignKeyConstraint(
            ["deposit_id"], ["deposit.id"], name=op.f("fk_credit_reversal_deposit_id_deposit")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_reversal")),
        sa.UniqueConstraint("deposit_id", name=op.f("uq_credit_reversal_deposit_id")),
        sa.UniqueConstraint("cover_reference", name=op.f("uq_credit_reversal_cover_reference")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE (booked_at) ON pending_credit TO sbx_app")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (taken_back_tiyn, covered_tiyn, covered_by,"
        " cover_reference, orders, status, settled_at) ON credit_reversal TO sbx_app"
    )
