"""Sweeps: where payments lie, what takes them to the treasury, and lines that had to wait."""

import sqlalchemy as sa
from alembic import op

revision = "0013_sweeps"
down_revision = "0012_attempt_slots"

# The application lowers what a deferred line takes out of its batch, and can do no more.
_ONLY_FALLS = """
CREATE FUNCTION batch_amounts_only_fall() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'permission denied: amounts of % fall while lines can be deferred, and never'
        ' rise', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""
_FALLING = {
    "settlement": ("status = 'pending'", ("paid_tiyn", "carried_tiyn")),
    "settlement_burn": (
        "status = 'sweeping'",
        ("units", "amount_tiyn", "fee_tiyn", "vat_tiyn"),
    ),
    "payout": ("status = 'pending' AND OLD.instructed_at IS NULL", ("amount_tiyn",)),
}


def upgrade() -> None:
    # A transaction that comes back after a reorg may move something else: a sweep moves balances.
    op.execute(
        "GRANT UPDATE (kind, source, destination, amount_units, keys) ON chain_transfer TO sbx_app"
    )
    _payments()
    _settlement()


def _payments() -> None:
    op.add_column(
        "payment",
        sa.Column("place", sa.String(), server_default=sa.text("'treasury'"), nullable=False),
    )
    op.add_column("payment", sa.Column("sweep", sa.String(), nullable=True))
    op.execute(
        "UPDATE payment p SET place = 'unswept' FROM entry e JOIN leg l ON l.entry_id = e.id"
        " JOIN account a ON a.id = l.account_id"
        " WHERE e.ref = p.id || ':' || p.inclusion AND starts_with(a.code, 'dep:')"
    )
    op.create_check_constraint(
        op.f("ck_payment_place"), "payment", "place IN ('treasury', 'unswept')"
    )
    op.create_index(
        "ix_payment_unswept",
        "payment",
        ["merchant", "chain"],
        postgresql_where=sa.text("place = 'unswept' AND sweep IS NULL"),
    )
    op.create_table(
        "sweep",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=True),
        sa.Column("settlement", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("planned_units", sa.BigInteger(), nullable=False),
        sa.Column("moved_units", sa.BigInteger(), nullable=True),
        sa.Column("entry", sa.String(), nullable=True),
        sa.Column("tx", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'final', 'failed')", name=op.f("ck_sweep_status")
        ),
        sa.CheckConstraint("planned_units >= 0 AND moved_units >= 0", name=op.f("ck_sweep_units")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep")),
    )
    op.create_index(
        "ix_sweep_settlement",
        "sweep",
        ["settlement"],
        postgresql_where=sa.text("settlement IS NOT NULL"),
    )
    op.create_table(
        "sweep_session",
        sa.Column("sweep", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("moved_units", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["sweep"], ["sweep.id"], name=op.f("fk_sweep_session_sweep_sweep")),
        sa.PrimaryKeyConstraint("sweep", "session", name=op.f("pk_sweep_session")),
    )
    op.create_index(
        "uq_sweep_session_pending",
        "sweep_session",
        ["chain", "session"],
        unique=True,
        postgresql_where=sa.text("moved_units IS NULL"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON sweep TO sbx_app")
    op.execute("GRANT SELECT, INSERT, UPDATE (moved_units) ON sweep_session TO sbx_app")


def _settlement() -> None:
    op.add_column(
        "settlement_line", sa.Column("deferred_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("settlement_line", sa.Column("reason", sa.String(), nullable=True))
    op.drop_constraint(op.f("uq_settlement_line_payment"), "settlement_line", type_="unique")
    op.create_index(
        "uq_settlement_line_payment",
        "settlement_line",
        ["payment"],
        unique=True,
        postgresql_where=sa.text("deferred_at IS NULL"),
    )
    for table, name, condition in (
        ("settlement_burn", "status", "status IN ('sweeping', 'pending', 'burned', 'stuck')"),
        (
            "payout",
            "status",
            "status IN ('pending', 'sent', 'completed', 'rejected', 'returned', 'canceled')",
        ),
        ("payout", "amount", "amount_tiyn >= 0 AND (amount_tiyn = 0) = (status = 'canceled')"),
    ):
        constraint = op.f(f"ck_{table}_{name}")
        op.drop_constraint(constraint, table, type_="check")
        op.create_check_constraint(constraint, table, condition)
    op.execute("GRANT UPDATE (deferred_at, reason) ON settlement_line TO sbx_app")
    op.execute("GRANT UPDATE (paid_tiyn, carried_tiyn) ON settlement TO sbx_app")
    op.execute(
        "GRANT DELETE, UPDATE (units, amount_tiyn, fee_tiyn, vat_tiyn) ON settlement_burn"
        " TO sbx_app"
    )
    op.execute("GRANT UPDATE (amount_tiyn) ON payout TO sbx_app")
    op.execute(_ONLY_FALLS)
    for table, (while_, columns) in _FALLING.items():
        changed = " OR ".join(f"NEW.{one} IS DISTINCT FROM OLD.{one}" for one in columns)
        risen = " OR ".join(f"NEW.{one} > OLD.{one}" for one in columns)
        op.execute(
            f"CREATE TRIGGER {table}_only_falls BEFORE UPDATE ON {table} FOR EACH ROW"
            f" WHEN (({changed}) AND (NOT (OLD.{while_}) OR {risen}))"
            " EXECUTE FUNCTION batch_amounts_only_fall()"
        )
    op.execute(
        "CREATE TRIGGER settlement_burn_stays BEFORE DELETE ON settlement_burn FOR EACH ROW"
        " WHEN (OLD.status <> 'sweeping') EXECUTE FUNCTION batch_amounts_only_fall()"
    )
