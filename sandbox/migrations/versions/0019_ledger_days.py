"""Days that are sealed, entries that reverse others, and no entry from the future (LEDGER L18)."""

import sqlalchemy as sa
from alembic import op

revision = "0019_ledger_days"
down_revision = "0018_attestations"

_LEGS_OBEY = """
CREATE OR REPLACE FUNCTION leg_rules() RETURNS trigger LANGUAGE plpgsql
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
    ), mirrored AS (
        SELECT e.id, e.reverses, array_agg(ROW(l.account_id, l.side, l.amount)::text
            ORDER BY l.account_id, l.side, l.amount) AS legs
        FROM inserted l JOIN public.entry e ON e.id = l.entry_id
        WHERE e.reverses IS NOT NULL GROUP BY e.id
    ), reversing AS (
        SELECT m.id, m.legs IS DISTINCT FROM (
            SELECT array_agg(ROW(o.account_id, CASE o.side WHEN 'D' THEN 'C' ELSE 'D' END,
                o.amount)::text ORDER BY o.account_id,
                CASE o.side WHEN 'D' THEN 'C' ELSE 'D' END, o.amount)
            FROM public.leg o WHERE o.entry_id = m.reverses
        ) AS altered, NOT EXISTS (
            SELECT FROM public.entry o LEFT JOIN public.resolution r ON r.entry_id = o.id
            WHERE o.id = m.reverses AND coalesce(r.outcome, o.kind) = 'posted'
        ) AS too_early
        FROM mirrored m
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
            WHEN r.altered THEN 'leg_reversal_mirrors_what_it_reverses'
            WHEN r.too_early THEN 'leg_reversal_of_posted_only'
        END AS rule
        FROM per_entry p JOIN public.entry e ON e.id = p.entry_id
        LEFT JOIN reversing r ON r.id = p.entry_id
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

_ENTRIES_OBEY = """
CREATE FUNCTION entry_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken record;
BEGIN
    -- Whoever seals a day waits for every writer, and is waited for (`ledger.days.seal`).
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('ledger:days', 0));
    SELECT i.id, i.effective_at INTO broken FROM inserted i
    WHERE i.effective_at < (SELECT max(ends_at) FROM public.sealed_day) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% is dated %, in a day that is sealed', broken.id, broken.effective_at
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_in_an_open_day',
                TABLE = 'entry';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "sealed_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_sealed_day")),
        sa.UniqueConstraint("ends_at", name=op.f("uq_sealed_day_ends_at")),
    )
    op.execute("GRANT SELECT, INSERT ON sealed_day TO sbx_app")
    op.add_column("entry", sa.Column("reverses", sa.String(collation="C"), nullable=True))
    op.add_column("entry", sa.Column("dated_from", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(op.f("fk_entry_reverses_entry"), "entry", "entry", ["reverses"], ["id"])
    op.create_unique_constraint(op.f("uq_entry_reverses"), "entry", ["reverses"])
    op.create_index(op.f("ix_entry_effective_at"), "entry", ["effective_at"])
    # Before the rule a block's own time could be ahead by its rounding.
    op.execute("UPDATE entry SET recorded_at = effective_at WHERE recorded_at < effective_at")
    op.create_check_constraint(
        op.f("ck_entry_not_from_the_future"), "entry", "effective_at <= recorded_at"
    )
    op.execute(_LEGS_OBEY)
    op.execute(_ENTRIES_OBEY)
    op.execute(
        "CREATE TRIGGER entry_rules AFTER INSERT ON entry"
        " REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION entry_rules()"
    )
