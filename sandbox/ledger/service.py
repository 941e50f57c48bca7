"""The books: one way to write them together with their events, and the ways to read them."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.canonical import canonical_exact, sha256_hex
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import EntryHash
from sandbox.ledger import balances as rows
from sandbox.ledger.balances import Balance, Locked, Moves
from sandbox.ledger.errors import AlreadyResolved, DuplicateReference, InsufficientFunds
from sandbox.ledger.journal import Account, Changes, Leg, NewEntry, Resolution

__all__ = [
    "AlreadyResolved",
    "Balance",
    "DuplicateReference",
    "Entry",
    "InsufficientFunds",
    "balance",
    "balances",
    "entries_for",
    "entry_hash",
    "lock",
    "outstanding",
    "record",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it stands in the books; `height` is the chain height it became final at."""

    id: str
    key: int
    state: Literal["pending", "posted", "voided"]
    kind: Literal["pending", "posted"]
    reason: str
    ref: str
    chain: str | None
    effective_at: datetime
    recorded_at: datetime
    cause: str
    event_id: str | None
    height: int | None
    legs: tuple[Leg, ...]


def entry_hash(entry: NewEntry | Entry) -> EntryHash:
    """SHA-256 of the RFC 8785 form of an entry with its legs by line (CONTRACT 3)."""
    form = {
        "id": entry.id,
        "reason": entry.reason,
        "ref": entry.ref,
        "chain": entry.chain,
        "effective_at": clock.iso(entry.effective_at),
        "legs": [
            [leg.account.book, leg.account.asset, leg.account.code, leg.side, str(leg.amount)]
            for leg in entry.legs
        ],
    }
    return EntryHash(entry.id, sha256_hex(canonical_exact(form)))


async def record(db: AsyncSession, changes: Changes) -> dict[str, EntryHash]:
    """Write entries, resolutions and events together; the only way to do so.

    Returns the hashes of the entries that count from now on or were resolved, by ref. Each of
    them stands in exactly one of the events. Raises `InsufficientFunds` before anything is
    written; `DuplicateReference` and `AlreadyResolved` end the transaction. A resolution names
    an entry of this call or an earlier one. Calls never deadlock with each other as long as a
    transaction makes one, and `lock`s before it only with all of its accounts.
    """
    settled: dict[str, NewEntry | Entry] = {}
    if changes.entries or changes.resolutions:
        settled = await _book(db, changes.entries, changes.resolutions)
    _check_events(changes, settled)
    hashes = {ref: entry_hash(entry) for ref, entry in settled.items()}
    if changes.events:
        await eventlog.append_many(db, changes.events, hashes)
    return hashes


async def _book(
    db: AsyncSession, entries: Sequence[NewEntry], resolutions: Sequence[Resolution]
) -> dict[str, NewEntry | Entry]:
    """The books' part of `record`; returns what was posted or resolved, by ref."""
    new = {entry.ref: entry for entry in entries}
    if len(new) < len(entries):
        raise DuplicateReference(_repeated(entry.ref for entry in entries))
    if len({resolution.ref for resolution in resolutions}) < len(resolutions):
        raise AlreadyResolved(_repeated(resolution.ref for resolution in resolutions))
    earlier = {
        entry.ref: entry
        for entry in await _read(db, [r.ref for r in resolutions if r.ref not in new])
    }

    moves = Moves()
    settled: dict[str, NewEntry | Entry] = {}
    for entry in entries:
        assert entry.effective_at.tzinfo is not None, f"{entry.ref} has a time without a zone"
        moves.add(entry.legs, entry.kind)
        if entry.kind == "posted":
            settled[entry.ref] = entry
    for resolution in resolutions:
        pending = new.get(resolution.ref) or earlier.get(resolution.ref)
        assert pending is not None, f"no entry {resolution.ref} to resolve"
        assert pending.kind == "pending", f"{resolution.ref} was posted when it was written"
        if isinstance(pending, Entry) and pending.state != "pending":
            raise AlreadyResolved(resolution.ref)
        moves.add(pending.legs, "post" if resolution.outcome == "posted" else "void")
        settled[resolution.ref] = pending

    locked = await rows.lock(db, moves.by_account)
    rows.check_floors(moves, locked)
    if entries:
        await _insert_entries(db, entries)
        await _insert_legs(db, entries, locked)
    if resolutions:
        await _insert_resolutions(db, resolutions, settled)
    await rows.move(db, moves, locked)
    return settled


def _repeated(refs: Iterable[str]) -> str:
    return Counter(refs).most_common(1)[0][0]


def _check_events(changes: Changes, settled: Collection[str]) -> None:
    """Our own mistakes: a settled entry in no event, or in two, would turn I8 red for ever."""
    named = {ref: event.id for event in changes.events for ref in event.refs}
    told = sum(len(event.refs) for event in changes.events)
    once = named.keys() == set(settled) and told == len(named)
    assert once, (
        "each posted or resolved entry stands in exactly one event: "
        f"events name {sorted(ref for event in changes.events for ref in event.refs)}, "
        f"settled are {sorted(settled)}"
    )
    for resolution in changes.resolutions:
        assert named[resolution.ref] == resolution.event_id, (
            f"{resolution.ref} names event {resolution.event_id}, which does not name it"
        )


async def _insert_entries(db: AsyncSession, entries: Sequence[NewEntry]) -> None:
    # By ref: two transactions that repeat each other's refs must meet in one order.
    ordered = sorted(entries, key=lambda entry: entry.ref)
    try:
        await db.execute(
            text(
                "INSERT INTO entry"
                " (id, kind, reason, ref, chain, cause, effective_at, recorded_at)"
                " SELECT id, kind, reason, ref, chain, cause,"
                " date_trunc('milliseconds', effective_at), (SELECT sandbox_now())"
                " FROM unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]),"
                " CAST(:reasons AS text[]), CAST(:refs AS text[]), CAST(:chains AS text[]),"
                " CAST(:causes AS text[]), CAST(:times AS timestamptz[]))"
                " AS e(id, kind, reason, ref, chain, cause, effective_at)"
            ),
            {
                "ids": [entry.id for entry in ordered],
                "kinds": [entry.kind for entry in ordered],
                "reasons": [entry.reason for entry in ordered],
                "refs": [entry.ref for entry in ordered],
                "chains": [entry.chain for entry in ordered],
                "causes": [entry.cause for entry in ordered],
                "times": [entry.effective_at for entry in ordered],
            },
        )
    except IntegrityError as error:
        if _constraint(error) != "uq_entry_ref":
            raise
        raise DuplicateReference(_violating(error, [entry.ref for entry in ordered])) from error


async def _insert_legs(
    db: AsyncSession, entries: Sequence[NewEntry], locked: dict[Account, Locked]
) -> None:
    legs = [
        (entry.id, line, locked[leg.account].account_id, leg.side, leg.amount)
        for entry in entries
        for line, leg in enumerate(entry.legs, start=1)
    ]
    columns = list(zip(*legs, strict=True)) or [()] * 5
    await db.execute(
        text(
            "INSERT INTO leg (entry_id, line, account_id, side, amount) SELECT * FROM"
            " unnest(CAST(:entries AS text[]), CAST(:lines AS int[]),"
            " CAST(:accounts AS bigint[]), CAST(:sides AS text[]), CAST(:amounts AS bigint[]))"
        ),
        dict(
            zip(
                ("entries", "lines", "accounts", "sides", "amounts"),
                map(list, columns),
                strict=True,
            )
        ),
    )


async def _insert_resolutions(
    db: AsyncSession, resolutions: Sequence[Resolution], settled: dict[str, NewEntry | Entry]
) -> None:
    ordered = sorted(resolutions, key=lambda resolution: settled[resolution.ref].id)
    ids = [settled[resolution.ref].id for resolution in ordered]
    try:
        await db.execute(
            text(
                "INSERT INTO resolution (entry_id, outcome, event_id, height, recorded_at)"
                " SELECT r.*, (SELECT sandbox_now()) FROM unnest(CAST(:ids AS text[]),"
                " CAST(:outcomes AS text[]), CAST(:events AS text[]),"
                " CAST(:heights AS bigint[])) AS r"
            ),
            {
                "ids": ids,
                "outcomes": [resolution.outcome for resolution in ordered],
                "events": [resolution.event_id for resolution in ordered],
                "heights": [resolution.height for resolution in ordered],
            },
        )
    except IntegrityError as error:
        if _constraint(error) != "pk_resolution":
            raise
        twice = _violating(error, ids)
        refs = [ref for ref, entry in settled.items() if entry.id == twice]
        raise AlreadyResolved(refs[0]) from error


def _constraint(error: IntegrityError) -> str | None:
    cause = getattr(error.orig, "__cause__", None)
    return getattr(cause, "constraint_name", None)


def _violating(error: IntegrityError, candidates: Sequence[str]) -> str:
    """Which of `candidates` PostgreSQL named: its detail is `Key (column)=(value) already …`."""
    detail = getattr(getattr(error.orig, "__cause__", None), "detail", None) or ""
    return next((value for value in candidates if f"=({value}) " in detail), candidates[0])


_ENTRIES = """
SELECT e.id, e.key, coalesce(r.outcome, e.kind) AS state, e.kind, e.reason, e.ref, e.chain,
    e.effective_at, e.recorded_at, e.cause, r.event_id, r.height,
    a.book, a.asset, a.code, l.side, l.amount
FROM entry e JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
LEFT JOIN resolution r ON r.entry_id = e.id
"""


async def _read(db: AsyncSession, refs: Collection[str]) -> list[Entry]:
    if not refs:
        return []
    return await _entries(db, "e.ref = ANY(CAST(:refs AS text[]))", {"refs": list(refs)})


async def entries_for(db: AsyncSession, ref: str) -> list[Entry]:
    """The entry `ref` and those below it (`<ref>:…`), in the order they were written."""
    return await _entries(
        db,
        # ';' follows ':' in byte order, which is the column's collation.
        "e.ref = :ref OR (e.ref > :ref || ':' AND e.ref < :ref || ';')",
        {"ref": ref},
    )


async def _entries(db: AsyncSession, where: str, values: dict[str, object]) -> list[Entry]:
    result = await db.execute(text(f"{_ENTRIES} WHERE {where} ORDER BY e.key, l.line"), values)
    return [_entry(list(lines)) for _, lines in groupby(result, key=lambda row: row.key)]


def _entry(lines: Sequence[Any]) -> Entry:
    first = lines[0]
    return Entry(
        id=first.id,
        key=first.key,
        state=first.state,
        kind=first.kind,
        reason=first.reason,
        ref=first.ref,
        chain=first.chain,
        effective_at=first.effective_at,
        recorded_at=first.recorded_at,
        cause=first.cause,
        event_id=first.event_id,
        height=first.height,
        legs=tuple(
            Leg(Account(line.book, line.asset, line.code), line.side, line.amount) for line in lines
        ),
    )


async def lock(db: AsyncSession, accounts: Collection[Account]) -> dict[Account, Balance]:
    """Lock and read balances before a guard that must hold until the commit (I2 when minting).

    Name every account that the following `record` will touch too, so that all locks of the
    transaction are taken in one order.
    """
    return {name: row.balance for name, row in (await rows.lock(db, accounts)).items()}


async def balance(db: AsyncSession, account: Account) -> Balance:
    """The balance of one account, zeros when it does not exist; no lock."""
    return (await rows.read(db, [account]))[account]


async def balances(db: AsyncSession, accounts: Collection[Account]) -> dict[Account, Balance]:
    """The balances of many accounts in one statement, zeros for those that do not exist."""
    return await rows.read(db, accounts)


async def outstanding(db: AsyncSession) -> dict[str, int]:
    """What holders own per chain, in tiyn: the posted balance of `l:outstanding:<chain>`."""
    result = await db.execute(
        text(
            "SELECT split_part(a.code, ':', 3) AS chain, b.posted"
            " FROM account a JOIN balance b ON b.account_id = a.id"
            " WHERE a.book = 'issuer' AND starts_with(a.code, 'l:outstanding:')"
        )
    )
    return {row.chain: row.posted for row in result}
