"""Settlement modes, refund reserves and fees that are owed; cut-offs per schedule."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020_settlement_modes"
down_revision = "0019_ledger_days"

_EACH_DAY = sa.text("'each_business_day'")

# What may change as long as lines can be deferred, and what of it only falls: a line whose fee was
# more than itself leaves more behind than before, which is carried or sent.
_WHILE_OPEN = (
    ("settlement", "status = 'pending'", ("paid_tiyn", "carried_tiyn"), "paid_tiyn"),
    ("settlement_transfer", "status = 'sweeping'", ("units", "amount_tiyn"), None),
)


def _check(table: str, name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def upgrade() -> None:
    _merchants()
    _batches()
    _parts()
    op.add_column("refund", sa.Column("source", sa.String(), nullable=True))
    op.execute("UPDATE refund SET source = 'claims' WHERE payment IS NOT NULL")
    op.create_check_constraint(
        op.f("ck_refund_source"),
        "refund",
        "source IN ('claims', 'reserve') AND payment IS NOT NULL"
        " OR source IS NULL AND payment IS NULL",
    )


def _merchants() -> None:
    op.add_column("merchant", sa.Column("split_bps", sa.Integer(), nullable=True))
    op.add_column(
        "merchant",
        sa.Column(
            "wallets", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
    )
    op.add_column(
        "merchant",
        sa.Column(
            "refund_reserve_tiyn", sa.BigInteger(), server_default=sa.text("0"), nullable=False
        ),
    )
    _check("merchant", "schedule", "schedule IN ('each_business_day', 'daily', 'on_demand')")
    op.create_check_constraint(
        op.f("ck_merchant_split_bps"),
        "merchant",
        "(settlement_mode = 'split') = (split_bps IS NOT NULL) AND split_bps BETWEEN 1 AND 9999",
    )
    op.create_check_constraint(
        op.f("ck_merchant_refund_reserve"), "merchant", "refund_reserve_tiyn >= 0"
    )
    op.execute(
        "GRANT UPDATE (settlement_mode, split_bps, wallets, refund_reserve_tiyn) ON merchant"
        " TO sbx_app"
    )


def _batches() -> None:
    op.add_column(
        "settlement",
        sa.Column("mode", sa.String(), server_default=sa.text("'payout'"), nullable=False),
    )
    op.add_column("settlement", sa.Column("split_bps", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("ck_settlement_mode"),
        "settlement",
        "mode IN ('payout', 'hold', 'split') AND (mode = 'split') = (split_bps IS NOT NULL)",
    )
    # What is carried below zero is fees that nothing was left to pay.
    _check("settlement", "amounts", "paid_tiyn >= 0")
    op.drop_index(op.f("ix_settlement_carried"), "settlement")
    op.create_index(
        op.f("ix_settlement_carried"),
        "settlement",
        ["merchant"],
        postgresql_where=sa.text("carried_tiyn <> 0 AND carried_into IS NULL"),
    )
    _check(
        "settlement_line",
        "amounts",
        "amount_tiyn > 0 AND refunded_tiyn BETWEEN 0 AND amount_tiyn"
        " AND fee_tiyn BETWEEN 0 AND amount_tiyn",
    )
    op.add_column(
        "settlement_cut_off",
        sa.Column("schedule", sa.String(), server_default=_EACH_DAY, nullable=False),
    )
    op.drop_constraint(op.f("pk_settlement_cut_off"), "settlement_cut_off", type_="primary")
    op.create_primary_key(
        op.f("pk_settlement_cut_off"), "settlement_cut_off", ["day", "at", "schedule"]
    )


def _parts() -> None:
    op.create_table(
        "settlement_transfer",
        sa.Column("settlement", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("tx", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('sweeping', 'pending', 'sent', 'stuck')",
            name=op.f("ck_settlement_transfer_status"),
        ),
        sa.CheckConstraint(
            "units > 0 AND amount_tiyn > 0", name=op.f("ck_settlement_transfer_amounts")
        ),
        sa.ForeignKeyConstraint(
            ["settlement"],
            ["settlement.id"],
            name=op.f("fk_settlement_transfer_settlement_settlement"),
        ),
        sa.PrimaryKeyConstraint("settlement", "chain", name=op.f("pk_settlement_transfer")),
    )
    op.create_index(
        op.f("ix_settlement_transfer_open"),
        "settlement_transfer",
        ["settlement"],
        postgresql_where=sa.text("status <> 'sent'"),
    )
    op.create_table(
        "settlement_reserve",
        sa.Column("settlement", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("amount_tiyn", sa.BigInteger(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("target_tiyn", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "amount_tiyn <> 0 AND units <> 0 AND (amount_tiyn > 0) = (units > 0)"
            " AND target_tiyn >= 0",
            name=op.f("ck_settlement_reserve_amounts"),
        ),
        sa.ForeignKeyConstraint(
            ["settlement"],
            ["settlement.id"],
            name=op.f("fk_settlement_reserve_settlement_settlement"),
        ),
        sa.PrimaryKeyConstraint("settlement", "chain", name=op.f("pk_settlement_reserve")),
    )
    op.execute("GRANT UPDATE (hold) ON settlement TO sbx_app")
    op.execute(
        "GRANT SELECT, INSERT, DELETE,"
        " UPDATE (units, amount_tiyn, attempt, status, tx, reason, sent_at)"
        " ON settlement_transfer TO sbx_app"
    )
    op.execute(
        "GRANT SELECT, INSERT, DELETE, UPDATE (units, amount_tiyn) ON settlement_reserve TO sbx_app"
    )
    op.execute("DROP TRIGGER settlement_only_falls ON settlement")
    for table, while_, columns, falling in _WHILE_OPEN:
        changed = " OR ".join(f"NEW.{one} IS DISTINCT FROM OLD.{one}" for one in columns)
        risen = "false" if falling is None else f"NEW.{falling} > OLD.{falling}"
        op.execute(
            f"CREATE TRIGGER {table}_only_falls BEFORE UPDATE ON {table} FOR EACH ROW"
            f" WHEN (({changed}) AND (NOT (OLD.{while_}) OR {risen}))"
            " EXECUTE FUNCTION batch_amounts_only_fall()"
        )
    op.execute(
        "CREATE TRIGGER settlement_transfer_stays BEFORE DELETE ON settlement_transfer FOR EACH ROW"
        " WHEN (OLD.status <> 'sweeping') EXECUTE FUNCTION batch_amounts_only_fall()"
    )
