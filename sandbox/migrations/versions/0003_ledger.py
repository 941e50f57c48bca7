"""Tables of the slice `ledger`, and the rules that the database itself holds against everyone."""

import sqlalchemy as sa
from alembic import op

revision = "0003_ledger"
down_revision = "0002_eventlog"

_LEGS_OBEY = """
CREATE FUNCTION leg_rules() RETURNS trigger LANGUAGE plpgsql
    -- The plan is kept: one made while the tables were small would read them whole ever after.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    broken record;
BEGIN
    -- Tables are named with their schema: a temporary table of the same name must not answer.
    WITH per_asset AS (
        SELECT l.entry_id, a.book, a.asset, count(*) AS legs,
            min(l.line) AS first, max(l.line) AS last,
            sum(CASE l.side WHEN 'D' THEN l.amount ELSE -l.amount END) AS difference
        FROM inserted l JOIN public.account a ON a.id = l.account_id
        GROUP BY l.entry_id, a.book, a.asset
    ), per_entry AS (
        SELECT entry_id, bool_or(difference <> 0) AS unbalanced,
            min(first) AS first, max(last) AS last, sum(legs) AS legs,
            min(asset) FILTER (WHERE book IN ('token', 'claims')) AS units,
            max(asset) FILTER (WHERE book IN ('token', 'claims')) AS other_units,
            bool_or(book = 'token') AS moves_units,
            bool_or(starts_with(book, 'fund-')) AS of_fund,
            bool_or(NOT starts_with(book, 'fund-')) AS of_reserve
        FROM per_asset GROUP BY entry_id
    ), judged AS (
        SELECT p.entry_id, CASE
            WHEN p.unbalanced THEN 'leg_balanced_per_book_and_asset'
            -- With the primary key this also refuses legs for an entry that has some already.
            WHEN p.first <> 1 OR p.last <> p.legs THEN 'leg_all_in_one_insert'
            WHEN p.units <> p.other_units THEN 'leg_units_of_one_chain'
            WHEN p.units IS DISTINCT FROM 'KZTE.' || e.chain AND p.units IS NOT NULL
                THEN 'leg_units_of_the_chain_of_its_entry'
            WHEN p.moves_units AND e.kind = 'posted' THEN 'leg_posted_moves_no_units'
            WHEN p.of_fund AND p.of_reserve THEN 'leg_reserve_and_funds_never_mix'
        END AS rule
        FROM per_entry p JOIN public.entry e ON e.id = p.entry_id
    )
    SELECT entry_id, rule INTO broken FROM judged WHERE rule IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'legs of % break the rule %', broken.entry_id, broken.rule
            USING ERRCODE = 'check_violation', CONSTRAINT = broken.rule, TABLE = 'leg';
    END IF;
    RETURN NULL;
END
$$
"""

_RESOLUTIONS_OBEY = """
CREATE FUNCTION resolution_rules() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    broken record;
BEGIN
    SELECT r.entry_id, CASE
        WHEN e.kind <> 'pending' THEN 'resolution_of_pending_only'
        ELSE 'resolution_on_a_chain_has_a_height'
    END AS rule INTO broken
    FROM inserted r JOIN public.entry e ON e.id = r.entry_id
    WHERE e.kind <> 'pending'
        OR (e.chain IS NOT NULL AND r.outcome = 'posted' AND r.height IS NULL)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'resolution of % breaks the rule %', broken.entry_id, broken.rule
            USING ERRCODE = 'check_violation', CONSTRAINT = broken.rule, TABLE = 'resolution';
    END IF;
    RETURN NULL;
END
$$
"""


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(collation="C"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("book", sa.String(), nullable=False),
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("normal", sa.String(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "book IN ('issuer', 'token', 'claims', 'fund-units', 'fund-value')",
            name=op.f("ck_account_book"),
        ),
        sa.CheckConstraint(
            "CASE book WHEN 'issuer' THEN asset = 'KZT'"
            " WHEN 'token' THEN starts_with(asset, 'KZTE.')"
            " WHEN 'claims' THEN starts_with(asset, 'KZTE.')"
            " ELSE NOT starts_with(asset, 'KZTE') END",
            name=op.f("ck_account_asset"),
        ),
        sa.CheckConstraint("normal IN ('D', 'C')", name=op.f("ck_account_normal")),
        sa.CheckConstraint("floor = 0", name=op.f("ck_account_floor")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("book", "asset", "code", name=op.f("uq_account_book_asset_code")),
    )
    op.create_table(
        "entry",
        _text("id"),
        sa.Column("key", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        _text("ref"),
        sa.Column("chain", sa.String(), nullable=True),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.CheckConstraint("kind IN ('pending', 'posted')", name=op.f("ck_entry_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
        sa.UniqueConstraint("key", name=op.f("uq_entry_key")),
        sa.UniqueConstraint("ref", name=op.f("uq_entry_ref")),
    )
    op.create_table(
        "leg",
        _text("entry_id"),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("side IN ('D', 'C')", name=op.f("ck_leg_side")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_leg_amount")),
        sa.PrimaryKeyConstraint("entry_id", "line", name=op.f("pk_leg")),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_leg_entry_id_entry")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_leg_account_id_account")
        ),
    )
    op.create_index(op.f("ix_leg_account_id"), "leg", ["account_id"])
    op.create_table(
        "resolution",
        _text("entry_id"),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("outcome IN ('posted', 'voided')", name=op.f("ck_resolution_outcome")),
        sa.CheckConstraint("height >= 0", name=op.f("ck_resolution_height")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_resolution")),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entry.id"], name=op.f("fk_resolution_entry_id_entry")
        ),
    )
    op.create_table(
        "balance",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("pending_debit", sa.BigInteger(), nullable=False),
        sa.Column("pending_credit", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "pending_debit >= 0 AND pending_credit >= 0", name=op.f("ck_balance_pending")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_balance")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_balance_account_id_account")
        ),
    )
    for table, rules in (("leg", _LEGS_OBEY), ("resolution", _RESOLUTIONS_OBEY)):
        op.execute(rules)
        op.execute(
            f"CREATE TRIGGER {table}_rules AFTER INSERT ON {table}"
            f" REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT"
            f" EXECUTE FUNCTION {table}_rules()"
        )
    op.execute("GRANT SELECT, INSERT ON account, entry, leg, resolution TO sbx_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON balance TO sbx_app")
