"""The books: one way to write them together with their events, and the ways to read them."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.canonical import canonical_exact, sha256_hex
from sandbox.core.ids import new_id
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import EntryHash
from sandbox.ledger import balances as rows
from sandbox.ledger import writing
from sandbox.ledger.balances import Balance, Moves
from sandbox.ledger.errors import (
    AlreadyResolved,
    AlreadyReversed,
    DuplicateReference,
    InsufficientFunds,
    NotReversible,
)
from sandbox.ledger.journal import Account, Changes, Leg, NewEntry, Resolution, State

__all__ = [
    "AlreadyResolved",
    "AlreadyReversed",
    "Balance",
    "DuplicateReference",
    "Entry",
    "InsufficientFunds",
    "NotReversible",
    "balance",
    "balances",
    "entries_by_id",
    "entries_for",
    "entry_hash",
    "lock",
    "outstanding",
    "record",
    "reversal",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it stands in the books; `height` is the chain height it became final at."""

    id: str
    key: int
    state: State
    kind: Literal["pending", "posted"]
    reason: str
    ref: str
    chain: str | None
    effective_at: datetime
    recorded_at: datetime
    cause: str
    event_id: str | None
    height: int | None
    reverses: str | None
    dated_from: datetime | None
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


def reversal(of: Entry, *, at: datetime, cause: str) -> NewEntry:
    """The entry that takes `of` back: its legs with the sides changed. Once for each entry.

    Raises `NotReversible` for what is not posted, or moved units: a chain undoes nothing.
    """
    if of.state != "posted":
        raise NotReversible(of.ref, f"it is {of.state}")
    if any(leg.account.book == "token" for leg in of.legs):
        raise NotReversible(of.ref, "it moved units on a chain")
    return NewEntry(
        id=new_id("ent", at),
        kind="posted",
        reason="reversal",
        ref=f"{of.ref}:reversal",
        chain=of.chain,
        effective_at=at,
        cause=cause,
        legs=tuple(
            Leg(leg.account, "C" if leg.side == "D" else "D", leg.amount) for leg in of.legs
        ),
        reverses=of.id,
    )


async def record(db: AsyncSession, changes: Changes) -> dict[str, EntryHash]:
    """Write entries, resolutions and events together; the only way to do so.

    Returns the hashes of the entries that count from now on or were resolved, by ref. Each of
    them stands in exactly one of the events. An entry dated into a sealed day gets the first open
    instant, and keeps the date it came with. Raises `InsufficientFunds` before anything is
    written; `DuplicateReference`, `AlreadyResolved` and `AlreadyReversed` end the transaction. A
    resolution names an entry of this call or an earlier one. Calls never deadlock with each other
    as long as a transaction makes one, and `lock`s before it only with all of its accounts.
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
    ids = {resolution.ref: settled[resolution.ref].id for resolution in resolutions}
    redated = await writing.write(db, entries, resolutions, ids, moves, locked)
    for ref in redated.keys() & settled.keys():
        settled[ref] = replace(settled[ref], effective_at=redated[ref])
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


_ENTRIES = """
SELECT e.id, e.key, coalesce(r.outcome, e.kind) AS state, e.kind, e.reason, e.ref, e.chain,
    e.effective_at, e.recorded_at, e.cause, e.reverses, e.dated_from, r.event_id, r.height,
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


async def entries_by_id(db: AsyncSession, ids: Collection[str]) -> list[Entry]:
    """The entries with these ids, in the order they were written."""
    return await _entries(db, "e.id = ANY(CAST(:ids AS text[]))", {"ids": list(ids)})


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
        reverses=first.reverses,
        dated_from=first.dated_from,
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
