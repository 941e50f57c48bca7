"""Bank messages as XML with a seal, what the bank said and nobody posts, rails and faults."""

import sqlalchemy as sa
from alembic import op

revision = "0015_bank_messages"
down_revision = "0014_request_ids"

# What a row says is sealed as it is written: in the database, whose text of jsonb is the one text.
_SEAL = """
CREATE FUNCTION seal_bank_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seal := encode(sha256(convert_to(NEW.xml || NEW.body::text, 'UTF8')), 'hex');
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    # Null: written before messages were XML.
    op.add_column("bank_message", sa.Column("xml", sa.Text(), nullable=True))
    op.add_column("bank_message", sa.Column("seal", sa.String(), nullable=True))
    op.execute(_SEAL)
    op.execute(
        "CREATE TRIGGER seal BEFORE INSERT ON bank_message FOR EACH ROW"
        " EXECUTE FUNCTION seal_bank_message()"
    )
    op.create_table(
        "bank_held",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("xml", sa.Text(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_held")),
    )
    op.create_table(
        "bank_statement",
        sa.Column("iban", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("opening_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("closing_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("xml", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("iban", "day", name=op.f("pk_bank_statement")),
    )
    op.add_column(
        "booking",
        sa.Column("left_out", sa.Boolean(), server_default=sa.false(), nullable=False),
        schema="bank_sim",
    )
    op.add_column(
        "payment_order",
        sa.Column("rail", sa.String(), server_default="rtgs", nullable=False),
        schema="bank_sim",
    )
    op.add_column(
        "payment_order",
        sa.Column("cover_until", sa.DateTime(timezone=True), nullable=True),
        schema="bank_sim",
    )
    op.create_table(
        "fault",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.CheckConstraint('"left" >= 0', name=op.f("ck_fault_left")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fault")),
        schema="bank_sim",
    )
    op.execute("GRANT SELECT, INSERT, UPDATE (resolved_at) ON bank_held TO sbx_app")
    op.execute("GRANT SELECT, INSERT ON bank_statement TO sbx_app")
    op.execute("GRANT UPDATE (left_out) ON bank_sim.booking TO sbx_app")
    op.execute("GRANT UPDATE (cover_until) ON bank_sim.payment_order TO sbx_app")
    op.execute('GRANT SELECT, INSERT, UPDATE ("left") ON bank_sim.fault TO sbx_app')
