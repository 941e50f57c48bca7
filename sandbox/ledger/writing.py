"""The one statement that writes the books: entries, legs, resolutions and balances together."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.driver import Statement
from sandbox.ledger.balances import Locked, Moves, move_values
from sandbox.ledger.errors import AlreadyResolved, AlreadyReversed, DuplicateReference
from sandbox.ledger.journal import Account, NewEntry, Resolution

_WRITE = Statement(
    """
WITH opened AS (SELECT max(ends_at) AS at FROM sealed_day), clocked AS (
    SELECT sandbox_now() AS at
), given AS (
    SELECT e.*, date_trunc('milliseconds', e.time) AS dated
    FROM unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]), CAST(:reasons AS text[]),
        CAST(:refs AS text[]), CAST(:chains AS text[]), CAST(:causes AS text[]),
        CAST(:times AS timestamptz[]), CAST(:reversed AS text[]))
        AS e(id, kind, reason, ref, chain, cause, time, reverses)
), entries AS (
    INSERT INTO entry (id, kind, reason, ref, chain, cause, effective_at, recorded_at, reverses,
        dated_from)
    SELECT id, kind, reason, ref, chain, cause, greatest(dated, opened.at),
        greatest(clocked.at, dated, opened.at), reverses,
        CASE WHEN dated < opened.at THEN dated END
    FROM given, opened, clocked
    RETURNING ref, effective_at, dated_from
), legs AS (
    INSERT INTO leg (entry_id, line, account_id, side, amount) SELECT * FROM
        unnest(CAST(:entries AS text[]), CAST(:lines AS int[]), CAST(:accounts AS bigint[]),
            CAST(:sides AS text[]), CAST(:amounts AS bigint[]))
), resolutions AS (
    INSERT INTO resolution (entry_id, outcome, event_id, height, recorded_at)
    SELECT r.*, clocked.at FROM unnest(CAST(:ended AS text[]), CAST(:outcomes AS text[]),
        CAST(:events AS text[]), CAST(:heights AS bigint[])) AS r, clocked
    RETURNING entry_id
), balances AS (
    -- After the rows it counts, so that of two who end one entry the loser hears just that.
    UPDATE balance b SET posted = b.posted + m.posted,
        pending_debit = b.pending_debit + m.pending_debit,
        pending_credit = b.pending_credit + m.pending_credit
    FROM unnest(CAST(:moved AS bigint[]), CAST(:posted AS bigint[]), CAST(:debits AS bigint[]),
        CAST(:credits AS bigint[])) AS m(account_id, posted, pending_debit, pending_credit),
        (SELECT count(*) FROM entries) AS made, (SELECT count(*) FROM resolutions) AS ended
    WHERE b.account_id = m.account_id
)
SELECT ref, effective_at FROM entries WHERE dated_from IS NOT NULL
"""
)


async def write(
    db: AsyncSession,
    entries: Sequence[NewEntry],
    resolutions: Sequence[Resolution],
    ids: Mapping[str, str],
    moves: Moves,
    locked: Mapping[Account, Locked],
) -> dict[str, datetime]:
    """Write it all; returns the dates of those entries whose own day is sealed, by ref.

    `ids` gives the entry of each resolution, by ref. Raises `DuplicateReference`,
    `AlreadyResolved`, `AlreadyReversed`; after them the transaction cannot go on.
    """
    # By ref: two transactions that repeat each other's refs must meet in one order.
    ordered = sorted(entries, key=lambda entry: entry.ref)
    ends = sorted(resolutions, key=lambda resolution: ids[resolution.ref])
    legs = [
        (entry.id, line, locked[leg.account].account_id, leg.side, leg.amount)
        for entry in entries
        for line, leg in enumerate(entry.legs, start=1)
    ]
    columns = list(zip(*legs, strict=True)) or [()] * 5
    values = {
        "ids": [entry.id for entry in ordered],
        "kinds": [entry.kind for entry in ordered],
        "reasons": [entry.reason for entry in ordered],
        "refs": [entry.ref for entry in ordered],
        "chains": [entry.chain for entry in ordered],
        "causes": [entry.cause for entry in ordered],
        "times": [entry.effective_at for entry in ordered],
        "reversed": [entry.reverses for entry in ordered],
        **dict(
            zip(
                ("entries", "lines", "accounts", "sides", "amounts"),
                map(list, columns),
                strict=True,
            )
        ),
        "ended": [ids[resolution.ref] for resolution in ends],
        "outcomes": [resolution.outcome for resolution in ends],
        "events": [resolution.event_id for resolution in ends],
        "heights": [resolution.height for resolution in ends],
        **move_values(moves, locked),
    }
    try:
        redated = await _WRITE.fetch(db, values)
    except IntegrityError as error:
        named = _refusal(error, ordered, ids)
        raise error if named is None else named from error
    return {row["ref"]: row["effective_at"].astimezone(UTC) for row in redated}


def _refusal(
    error: IntegrityError, entries: Sequence[NewEntry], ids: Mapping[str, str]
) -> Exception | None:
    """What the database refused, by name; None for what has none."""
    constraint = getattr(error.orig, "constraint_name", None)
    detail: str = getattr(error.orig, "detail", None) or ""
    # PostgreSQL's detail is `Key (column)=(value) already …`.
    if constraint == "uq_entry_ref":
        refs = [entry.ref for entry in entries]
        return DuplicateReference(next((ref for ref in refs if f"=({ref}) " in detail), refs[0]))
    if constraint == "uq_entry_reverses":
        reversing = [entry for entry in entries if entry.reverses]
        found = (entry.ref for entry in reversing if f"=({entry.reverses}) " in detail)
        return AlreadyReversed(next(found, reversing[0].ref))
    if constraint == "pk_resolution":
        ended = (ref for ref, id_ in ids.items() if f"=({id_}) " in detail)
        return AlreadyResolved(next(ended, next(iter(ids))))
    return None
