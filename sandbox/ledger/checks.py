"""The ledger's invariants I3, I4, I8 (entries) and I9, recomputed from raw rows (DESIGN 5).

Each check is one statement over one snapshot, so it may run while others write.
"""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.checks import Check, find_faults, no_faults
from sandbox.core.zone import ALMATY
from sandbox.eventlog.told import LEAF
from sandbox.ledger.chart import CHART

_APPEND_ONLY = ("account", "entry", "leg", "resolution", "sealed_day")

_I3 = """
WITH per_asset AS (
    SELECT l.entry_id, a.book, a.asset, count(*) AS legs, min(l.line) AS first, max(l.line) AS last,
        sum(CASE l.side WHEN 'D' THEN l.amount ELSE -l.amount END) AS difference
    FROM leg l LEFT JOIN account a ON a.id = l.account_id
    GROUP BY l.entry_id, a.book, a.asset
), per_entry AS (
    SELECT entry_id, sum(legs) AS legs, min(first) AS first, max(last) AS last,
        bool_or(book IS NULL) AS nowhere, bool_or(book = 'token') AS moves_units,
        min(asset) FILTER (WHERE book IN ('token', 'claims')) AS units,
        max(asset) FILTER (WHERE book IN ('token', 'claims')) AS other_units,
        string_agg(format('%s %s differs by %s', book, asset, difference), ', ')
            FILTER (WHERE difference <> 0) AS unbalanced
    FROM per_asset GROUP BY entry_id
), judged AS (
    SELECT coalesce(e.id, p.entry_id) AS id, CASE
        WHEN e.id IS NULL THEN 'legs without an entry'
        WHEN p.entry_id IS NULL OR p.legs < 2 THEN 'fewer than two legs'
        WHEN p.nowhere THEN 'a leg without an account'
        WHEN p.unbalanced IS NOT NULL THEN p.unbalanced
        WHEN p.first <> 1 OR p.last <> p.legs THEN 'a line is missing'
        WHEN p.units <> p.other_units THEN 'units of two chains'
        WHEN p.units IS NOT NULL AND p.units IS DISTINCT FROM 'KZTE.' || e.chain
            THEN 'units of another chain than its own'
        WHEN p.moves_units AND e.kind = 'posted' THEN 'moves units without a chain''s word'
    END AS fault
    FROM entry e FULL JOIN per_entry p ON p.entry_id = e.id
)
SELECT 'entry ' || id AS name, fault FROM judged
"""

_REVERSALS = """
WITH sides AS (
    SELECT e.id, e.reverses AS other, l.account_id, l.side, l.amount
    FROM entry e JOIN leg l ON l.entry_id = e.id WHERE e.reverses IS NOT NULL
    UNION ALL
    SELECT e.id, NULL, l.account_id, CASE l.side WHEN 'D' THEN 'C' ELSE 'D' END, -l.amount
    FROM entry e JOIN leg l ON l.entry_id = e.reverses
), judged AS (
    SELECT id, sum(amount) AS rest FROM sides GROUP BY id, account_id, side
)
SELECT DISTINCT 'entry ' || id AS name, 'is not the mirror of what it reverses' AS fault
FROM judged WHERE rest <> 0
"""

# The ids as `ledger.days` hashes them.
_DAYS = """
WITH held AS (
    SELECT (effective_at AT TIME ZONE :zone)::date AS day, count(*) AS entries,
        encode(sha256(convert_to(string_agg(id || chr(10), '' ORDER BY id), 'UTF8')), 'hex')
            AS sha256
    FROM entry WHERE effective_at < (SELECT max(ends_at) FROM sealed_day)
    GROUP BY 1
)
SELECT 'sealed_day ' || coalesce(s.day, h.day) AS name, CASE
    WHEN s.day IS NULL THEN format('is not sealed and holds %s entries', h.entries)
    WHEN (s.entries, s.sha256) IS DISTINCT FROM (coalesce(h.entries, 0), h.sha256)
        THEN format('was sealed with %s entries, holds %s', s.entries, coalesce(h.entries, 0))
    WHEN t.event_id IS NULL THEN 'no event tells of it'
    WHEN (t.data ->> 'day', t.data ->> 'entries', t.data ->> 'sha256')
        IS DISTINCT FROM (s.day::text, s.entries::text, s.sha256)
        THEN t.event_id || ' tells otherwise'
END AS fault
FROM sealed_day s FULL JOIN held h ON h.day = s.day
LEFT JOIN (SELECT e.id AS event_id, ({leaf}) -> 'data' AS data FROM event e
    LEFT JOIN log_entry l ON l.event_id = e.id WHERE e.type = 'ledger.day_sealed') t
    ON t.event_id = s.event_id
"""

_I3_GRANTS = """
SELECT format('%s on table %s', privilege, name) AS held
FROM unnest(CAST(:tables AS text[])) AS t(name),
    unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS p(privilege)
WHERE has_table_privilege('sbx_app', name, privilege)
    OR (privilege = 'UPDATE' AND has_any_column_privilege('sbx_app', name, privilege))
UNION ALL
SELECT format('table %s without its trigger %s', name, name || '_rules')
FROM unnest(ARRAY['entry', 'leg', 'resolution']) AS t(name)
WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = name::regclass
    AND tgname = name || '_rules' AND tgenabled IN ('O', 'A'))
"""

_I4 = """
WITH chart AS (
    SELECT * FROM unnest(CAST(:books AS text[]), CAST(:patterns AS text[]),
        CAST(:normals AS text[]), CAST(:floors AS bigint[])) AS c(book, pattern, normal, floor)
), ruled AS (
    -- The chart of the state funds comes with their slice; till then their rows speak themselves.
    SELECT a.id, a.book, a.asset, a.code,
        coalesce(c.normal, a.normal) AS normal, CASE WHEN c.book IS NULL THEN a.floor
            ELSE c.floor END AS floor,
        c.book IS NULL AND NOT starts_with(a.book, 'fund-') AS uncharted,
        c.book IS NOT NULL AND (c.normal, c.floor) IS DISTINCT FROM (a.normal, a.floor)
            AS altered
    FROM account a LEFT JOIN chart c ON c.book = a.book AND a.code ~ c.pattern
), standing AS (
    SELECT e.id, CASE e.kind WHEN 'posted' THEN 'posted'
        ELSE coalesce(r.outcome, 'pending') END AS state
    FROM entry e LEFT JOIN resolution r ON r.entry_id = e.id
), sums AS (
    SELECT l.account_id,
        sum(CASE l.side WHEN 'D' THEN l.amount ELSE -l.amount END)
            FILTER (WHERE s.state = 'posted') AS debits,
        sum(l.amount) FILTER (WHERE s.state = 'pending' AND l.side = 'D') AS pending_debit,
        sum(l.amount) FILTER (WHERE s.state = 'pending' AND l.side = 'C') AS pending_credit
    FROM leg l JOIN standing s ON s.id = l.entry_id GROUP BY l.account_id
), recomputed AS (
    SELECT a.*, coalesce(CASE a.normal WHEN 'D' THEN s.debits ELSE -s.debits END, 0) AS posted,
        coalesce(s.pending_debit, 0) AS pending_debit,
        coalesce(s.pending_credit, 0) AS pending_credit,
        b.account_id IS NULL AS missing, b.posted AS cached_posted,
        b.pending_debit AS cached_debit, b.pending_credit AS cached_credit
    FROM ruled a LEFT JOIN sums s ON s.account_id = a.id LEFT JOIN balance b ON b.account_id = a.id
), judged AS (
    SELECT id, code, CASE
        WHEN uncharted THEN 'is not in the chart'
        WHEN altered THEN 'normal side or floor is not the chart''s'
        WHEN missing AND (posted, pending_debit, pending_credit) <> (0, 0, 0)
            THEN 'has legs and no balance'
        WHEN NOT missing AND (posted, pending_debit, pending_credit)
            IS DISTINCT FROM (cached_posted, cached_debit, cached_credit)
            THEN format('balance %s/%s/%s, sum of legs %s/%s/%s', cached_posted, cached_debit,
                cached_credit, posted, pending_debit, pending_credit)
        WHEN posted - CASE normal WHEN 'D' THEN pending_credit ELSE pending_debit END < floor
            THEN format('posted %s with %s pending against it is below %s', posted,
                CASE normal WHEN 'D' THEN pending_credit ELSE pending_debit END, floor)
    END AS fault
    FROM recomputed
)
SELECT format('account %s (%s)', id, code) AS name, fault FROM judged
"""

# RFC 8785 written out for this one form: keys in order, strings escaped as `to_json` does.
_HASHED = """
SELECT e.id, r.event_id, encode(sha256(convert_to(
    '{"chain":' || coalesce(to_json(e.chain)::text, 'null')
    || ',"effective_at":"'
    || to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    || '","id":' || to_json(e.id)::text
    || ',"legs":[' || string_agg(format('["%s","%s",%s,"%s","%s"]',
        a.book, a.asset, to_json(a.code)::text, l.side, l.amount), ',' ORDER BY l.line)
    || '],"reason":' || to_json(e.reason)::text || ',"ref":' || to_json(e.ref)::text || '}',
    'UTF8')), 'hex') AS sha256
FROM entry e JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
LEFT JOIN resolution r ON r.entry_id = e.id
WHERE e.kind = 'posted' OR r.entry_id IS NOT NULL
GROUP BY e.id, r.entry_id
"""

_I8 = f"""
WITH settled AS ({_HASHED}), named AS (
    SELECT e.id AS event_id, n ->> 'id' AS entry_id, n ->> 'sha256' AS sha256
    FROM event e LEFT JOIN log_entry l ON l.event_id = e.id,
        json_array_elements(({LEAF}) -> 'entries') AS n
), told AS (
    SELECT entry_id, count(*) AS times, min(sha256) AS sha256, min(event_id) AS event_id,
        string_agg(event_id, ', ' ORDER BY event_id) AS events
    FROM named GROUP BY entry_id
), judged AS (
    SELECT coalesce(s.id, t.entry_id) AS id, CASE
        WHEN s.id IS NULL THEN 'stands in ' || t.events || ' and is not posted or resolved'
        WHEN t.entry_id IS NULL THEN 'stands in no event'
        WHEN t.times > 1 THEN 'stands in ' || t.events
        WHEN t.sha256 IS DISTINCT FROM s.sha256
            THEN 'hash in ' || t.event_id || ' is not that of its rows'
        WHEN s.event_id <> t.event_id
            THEN 'its resolution names ' || s.event_id || ', it stands in ' || t.event_id
    END AS fault
    FROM settled s FULL JOIN told t ON t.entry_id = s.id
)
SELECT 'entry ' || id AS name, fault FROM judged
"""  # noqa: S608 - SQL of this file

# A log cut back to an older valid state is sound in itself; the books know of what is gone.
_CUT_OFF = """
WITH ends AS (SELECT coalesce(max(epoch), 1) AS epoch FROM log_epoch)
SELECT count(*) AS events, min(r.event_id) AS first, (SELECT epoch FROM ends) AS epoch,
    (SELECT coalesce(max(position), -1) + 1 FROM log_entry JOIN ends USING (epoch)) AS position
FROM resolution r
WHERE NOT EXISTS (SELECT FROM event e WHERE e.id = r.event_id)
    AND NOT EXISTS (SELECT FROM log_entry l WHERE l.event_id = r.event_id)
"""

_I9 = """
SELECT 'entry ' || l.entry_id AS name, 'touches ' || string_agg(DISTINCT a.book, ' and ') AS fault
FROM leg l JOIN account a ON a.id = l.account_id GROUP BY l.entry_id
HAVING bool_or(starts_with(a.book, 'fund-')) AND NOT bool_and(starts_with(a.book, 'fund-'))
"""


async def _count(db: AsyncSession, statement: str) -> int:
    counted: int = await db.scalar(text(statement))
    return counted


def _check(id_: str, total: int, faults: int, detail: str, sound: str) -> list[Check]:
    return [Check(id_, faults == 0 and not detail, total, total - faults, detail or sound)]


async def entries_balance(db: AsyncSession) -> list[Check]:
    """I3: entries against entries that balance; nobody may rewrite them."""
    faults = await find_faults(db, f"({_I3}) UNION ALL ({_REVERSALS})")
    detail = faults.said
    held = await db.scalars(text(_I3_GRANTS), {"tables": list(_APPEND_ONLY)})
    rights = ", ".join(held.all())
    if rights:
        detail = f"{detail}; sbx_app holds {rights}".removeprefix("; ")
    total = await _count(db, "SELECT count(*) FROM entry")
    return _check("I3", total, faults.count, detail, "entries = entries that balance; append-only")


async def days_stay_sealed(db: AsyncSession) -> list[Check]:
    """I3: nothing was dated into a day that was sealed, or taken out of it (LEDGER L18)."""
    return await no_faults(
        db,
        "I3",
        "sealed days = days that hold what was sealed",
        _DAYS.replace("{leaf}", LEAF),
        {"zone": ALMATY.key},
    )


async def balances_are_sums(db: AsyncSession) -> list[Check]:
    """I4: accounts against those whose balance is the sum of their legs and above the floor."""
    faults = await find_faults(
        db,
        _I4,
        {
            "books": [rule.book for rule in CHART],
            "patterns": [rule.pattern for rule in CHART],
            "normals": [rule.normal for rule in CHART],
            "floors": [rule.floor for rule in CHART],
        },
    )
    total = await _count(db, "SELECT count(*) FROM account")
    sound = "accounts = accounts whose balance is their legs'"
    return _check("I4", total, faults.count, faults.said, sound)


async def entries_are_told(db: AsyncSession) -> list[Check]:
    """I8, the ledger's part: posted and resolved entries against those that one event proves."""
    faults = await find_faults(db, _I8)
    detail = faults.said
    cut = (await db.execute(text(_CUT_OFF))).one()
    if cut.events:
        detail = (
            f"log_entry {cut.epoch} {cut.position}: position {cut.position} is missing,"
            f" the log ends before {cut.events} events that resolutions name,"
            f" the first {cut.first}; {detail}"
        )
    total = await _count(
        db,
        "SELECT (SELECT count(*) FROM entry WHERE kind = 'posted')"
        " + (SELECT count(*) FROM resolution)",
    )
    return _check("I8", total, faults.count, detail, "settled entries = entries in one event each")


async def funds_stay_apart(db: AsyncSession) -> list[Check]:
    """I9: entries that touch the reserve and the state funds, against none."""
    return await no_faults(db, "I9", "no entry touches both", _I9)
