"""Sweeps: what lies at deposit addresses goes to the treasury, ours or a stranger's doing.

A sweep moves whole balances, so its entry is planned from what is final here, and made true by
what the chain says it moved. Whose the units are does not change.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import insert, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import TREASURY, UNSWEPT, Command, address_key
from sandbox.chains.watching import IntentDone, IntentFailed, SeenBlock
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger.journal import Changes, NewEntry, Resolution
from sandbox.payments import books
from sandbox.payments.models import Sweep, SweepSession
from sandbox.payments.objects import sweep_object

KIND: Final = "sweep"
MAX_ATTEMPTS: Final = 3
STRANGERS_BATCH: Final = 100
"""Addresses in one row of a stranger's sweep: its event names their sessions (CONTRACT 4)."""

log = structlog.get_logger(__name__)

# A line's own row is locked by whoever settles it; others are taken as far as they are free, so
# that nobody waits here. What is locked cannot be swept by a stranger before the plan is written.
_TO_SWEEP = text(
    """
    SELECT p.session, p.amount_units FROM payment p
    WHERE p.merchant = :merchant AND p.chain = :chain AND p.chain_state = 'final'
        AND p.place = 'unswept' AND p.sweep IS NULL
        AND NOT EXISTS (SELECT FROM sweep_session s JOIN sweep w ON w.id = s.sweep
            WHERE s.session = p.session AND s.chain = p.chain
            AND (s.moved_units IS NULL OR w.settlement = :settlement))
    ORDER BY p.id FOR NO KEY UPDATE OF p SKIP LOCKED
    """
)


async def plan(
    db: AsyncSession, *, chain: str, merchant: str, settlement: str, batch: int
) -> list[NewEntry]:
    """Ask for everything of a merchant that lies unswept on a chain, each session once per batch.

    At most `batch` sessions go into one sweep. What another sweep is under way for is left to
    that. Returns the pending entries that reserve the units at the deposit addresses.
    """
    held: Counter[str] = Counter()
    values = {"chain": chain, "merchant": merchant, "settlement": settlement}
    for row in await db.execute(_TO_SWEEP, values):
        held[row.session] += row.amount_units
    at = await clock.now(db)
    entries, intents = [], []
    for sessions in _portions(list(held), batch):
        units = sum(held[session] for session in sessions)
        id_ = new_id("swp", at)
        db.add(
            Sweep(
                id=id_,
                chain=chain,
                merchant=merchant,
                settlement=settlement,
                status="pending",
                attempt=1,
                planned_units=units,
                entry=id_,
                created_at=at,
            )
        )
        await _name_sessions(db, id_, chain, dict.fromkeys(sessions))
        intents.append(_intent(id_, id_, chain, sessions))
        entries.append(books.swept(id_, chain, units, at, at, settlement))
    await chains.request(db, intents)
    return entries


def _portions(sessions: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    assert size > 0 or not sessions, "a chain without deposit addresses has nothing to sweep"
    for first in range(0, len(sessions), size):
        yield sessions[first : first + size]


def _intent(id_: str, sweep: str, chain: str, sessions: Sequence[str]) -> chains.Intent:
    return chains.Intent(id_, KIND, chain, Command(KIND, reference=sweep, sessions=sessions))


def _intent_id(sweep: Sweep) -> str:
    return sweep.id if sweep.attempt == 1 else f"{sweep.id}:{sweep.attempt}"


async def _name_sessions(
    db: AsyncSession, sweep: str, chain: str, moved: Mapping[str, int | None]
) -> None:
    await db.flush()
    rows = [
        {"sweep": sweep, "session": session, "chain": chain, "moved_units": units}
        for session, units in moved.items()
    ]
    if rows:
        await db.execute(insert(SweepSession), rows)


class Sweeps:
    """The `IntentHandler` of sweeps."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        """Book what it moved, at its height: never more than payments explain."""
        sweep = await _of_intent(db, done.id)
        at = await clock.now(db)
        moved: Counter[str] = Counter()
        for one in await chains.moved_by(db, done.id):
            moved[one.source] += one.amount_units
        by_session = await _sessions_at(db, sweep.chain, moved)
        explained = await _take(db, sweep.id, sweep.chain, by_session, done.height)
        units = sum(explained.values())
        sweep.status, sweep.tx, sweep.ended_at = "final", done.tx, at
        sweep.moved_units = moved.total()
        sessions = await _end(db, sweep, by_session)
        event_id, changes = new_id("evt", at), Changes()
        if sweep.entry is not None and units != sweep.planned_units:
            changes.resolutions.append(Resolution(sweep.entry, "voided", event_id))
        elif sweep.entry is not None:
            changes.resolutions.append(Resolution(sweep.entry, "posted", event_id, done.height))
        if units and (sweep.entry is None or units != sweep.planned_units):
            entry = books.swept(f"{sweep.id}:moved", sweep.chain, units, done.time, at, done.id)
            changes.entries.append(entry)
            changes.resolutions.append(Resolution(entry.ref, "posted", event_id, done.height))
        changes.events.append(_event(event_id, sweep, sessions, at, changes))
        return changes

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        """Ask again, a bounded number of times; the units stay reserved meanwhile."""
        sweep = await _of_intent(db, failed.id)
        sweep.tx, sweep.reason = failed.tx, failed.reason
        if sweep.attempt < MAX_ATTEMPTS:
            sweep.attempt += 1
            sessions = await _sessions_of(db, sweep.id)
            intent = _intent(_intent_id(sweep), sweep.id, sweep.chain, sessions)
            await chains.request(db, [intent])
            db.add(sweep)
            return Changes()
        at = await clock.now(db)
        sweep.status, sweep.moved_units, sweep.ended_at = "failed", 0, at
        sessions = await _end(db, sweep, {})
        log.error("a sweep failed", sweep=sweep.id, chain=sweep.chain, reason=failed.reason)
        event_id, changes = new_id("evt", at), Changes()
        if sweep.entry is not None:
            changes.resolutions.append(Resolution(sweep.entry, "voided", event_id))
        changes.events.append(_event(event_id, sweep, sessions, at, changes))
        return changes


async def by_others(db: AsyncSession, block: SeenBlock) -> Changes:
    """A final block: what strangers swept, who may. Our own plans follow what is left."""
    changes = Changes()
    for tx, moved in _strangers(block):
        at = await clock.now(db)
        sessions_at = await _sessions_at(db, block.chain, moved)
        sweep = Sweep(
            id=new_id("swp", at),
            chain=block.chain,
            status="final",
            attempt=0,
            planned_units=0,
            moved_units=sum(moved.values()),
            tx=tx,
            created_at=at,
            ended_at=at,
        )
        explained = await _take(db, sweep.id, block.chain, sessions_at, block.height)
        if not explained:
            continue  # nothing of it was booked as coming in
        db.add(sweep)
        await _name_sessions(db, sweep.id, block.chain, sessions_at)
        units, event_id = sum(explained.values()), new_id("evt", at)
        entry = books.swept(f"{sweep.id}:moved", block.chain, units, block.time, at, tx)
        told = Changes([entry], [Resolution(entry.ref, "posted", event_id, block.height)])
        told.extend(await _plan_anew(db, block.chain, explained.keys(), event_id))
        told.events.append(_event(event_id, sweep, sorted(sessions_at), at, told))
        changes.extend(told)
    return changes


def _strangers(block: SeenBlock) -> Iterator[tuple[str, dict[str, int]]]:
    """(tx, deposit address → units) of sweeps that are not ours, in portions."""
    by_tx: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for seen in block.transfers:
        is_sweep = (seen.outgoing_place, seen.incoming_place) == (UNSWEPT, TREASURY)
        if is_sweep and seen.intent is None and seen.transfer.amount_units:
            by_tx[seen.transfer.tx][seen.transfer.source] += seen.transfer.amount_units
    for tx, moved in by_tx.items():
        for sources in _portions(list(moved), STRANGERS_BATCH):
            yield tx, {source: moved[source] for source in sources}


async def _sessions_at(db: AsyncSession, chain: str, moved: Mapping[str, int]) -> dict[str, int]:
    """Session → units, of deposit address → units."""
    if not moved:
        return {}
    by_key = {address_key(address): units for address, units in moved.items()}
    found = await db.execute(
        text("SELECT key, session_id FROM session_match WHERE chain = :chain AND key = ANY(:keys)"),
        {"chain": chain, "keys": sorted(by_key)},
    )
    return {row.session_id: by_key[row.key] for row in found}


async def _take(
    db: AsyncSession, sweep: str, chain: str, moved: Mapping[str, int], height: int
) -> dict[str, int]:
    """Mark the payments that these units explain, oldest first: session → their units.

    Payments of the sweep's own block are not final yet; they become so in this transaction. Units
    that no payment brought (an unasked mint) explain none.
    """
    if not moved:
        return {}
    found = await db.execute(
        text(
            "SELECT p.id, p.session, p.amount_units FROM (SELECT * FROM payment"
            " WHERE session = ANY(CAST(:sessions AS text[])) AND chain = :chain"
            " AND place = 'unswept' AND sweep IS NULL AND height <= :height"
            " AND chain_state IN ('confirmed', 'final') ORDER BY id FOR NO KEY UPDATE) p"
            " ORDER BY p.height, p.block_index"
        ),
        {"sessions": sorted(moved), "chain": chain, "height": height},
    )
    left, explained, ids = dict(moved), Counter[str](), []
    for row in found:
        if row.amount_units > left[row.session]:
            left[row.session] = 0
            continue
        left[row.session] -= row.amount_units
        explained[row.session] += row.amount_units
        ids.append(row.id)
    await db.execute(
        text("UPDATE payment SET sweep = :sweep WHERE id = ANY(CAST(:ids AS text[]))"),
        {"sweep": sweep, "ids": ids},
    )
    return dict(explained)


async def _plan_anew(
    db: AsyncSession, chain: str, sessions: Collection[str], event_id: str
) -> Changes:
    """Bring the plans of pending sweeps of these sessions to what still lies there for them."""
    pending = await db.scalars(
        text(
            "SELECT DISTINCT sweep FROM sweep_session WHERE chain = :chain"
            " AND session = ANY(CAST(:sessions AS text[])) AND moved_units IS NULL ORDER BY sweep"
        ),
        {"chain": chain, "sessions": sorted(sessions)},
    )
    changes, at = Changes(), await clock.now(db)
    for id_ in list(pending):
        sweep = await _locked(db, id_)
        units = await _lying(db, id_)
        if sweep.entry is None or units == sweep.planned_units:
            continue
        changes.resolutions.append(Resolution(sweep.entry, "voided", event_id))
        before = int(sweep.entry.partition(":plan:")[2] or 1)
        sweep.planned_units = units
        sweep.entry = f"{id_}:plan:{before + 1}" if units else None
        if sweep.entry is not None:
            changes.entries.append(books.swept(sweep.entry, chain, units, at, at, event_id))
        db.add(sweep)
    return changes


async def _lying(db: AsyncSession, sweep: str) -> int:
    """Units that are final at the deposit addresses of a pending sweep."""
    found: int = await db.scalar(
        text(
            "SELECT coalesce(sum(p.amount_units), 0)::bigint FROM sweep_session s"
            " JOIN payment p ON p.session = s.session AND p.chain = s.chain"
            " WHERE s.sweep = :sweep AND p.chain_state = 'final'"
            " AND p.place = 'unswept' AND p.sweep IS NULL"
        ),
        {"sweep": sweep},
    )
    return found


async def _of_intent(db: AsyncSession, intent_id: str) -> Sweep:
    """The sweep that asked for this, locked and fresh."""
    sweep = await _locked(db, intent_id.partition(":")[0])
    assert sweep.status == "pending", f"{sweep.id} is {sweep.status}"
    assert _intent_id(sweep) == intent_id, f"{intent_id} is not the newest of {sweep.id}"
    return sweep


async def _locked(db: AsyncSession, id_: str) -> Sweep:
    found = select(Sweep).where(col(Sweep.id) == id_).with_for_update(key_share=True)
    return (await db.exec(found.execution_options(populate_existing=True))).one()


async def _sessions_of(db: AsyncSession, sweep: str) -> list[str]:
    found = select(SweepSession.session).where(col(SweepSession.sweep) == sweep)
    return list(await db.exec(found.order_by(col(SweepSession.session))))


async def _end(db: AsyncSession, sweep: Sweep, moved: Mapping[str, int]) -> list[str]:
    """Write the end of a sweep and what each address gave; returns its sessions."""
    db.add(sweep)
    await db.flush()
    sessions = await _sessions_of(db, sweep.id)
    await db.execute(
        text(
            "UPDATE sweep_session s SET moved_units = m.units FROM unnest("
            " CAST(:sessions AS text[]), CAST(:units AS bigint[])) AS m(session, units)"
            " WHERE s.sweep = :sweep AND s.session = m.session"
        ),
        {
            "sweep": sweep.id,
            "sessions": sessions,
            "units": [moved.get(session, 0) for session in sessions],
        },
    )
    return sessions


def _event(
    event_id: str, sweep: Sweep, sessions: Sequence[str], at: datetime, told: Changes
) -> NewEvent:
    refs = tuple(resolution.ref for resolution in told.resolutions)
    data: dict[str, Any] = sweep_object(sweep, sessions)
    return NewEvent(event_id, f"sweep.{sweep.status}", at, data, sweep.merchant, refs)
