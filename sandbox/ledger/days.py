"""Sealed days: what a day of the books held, told once; nothing is dated into it afterwards.

LEDGER L18. A fact of a sealed day that is learned late is dated to the first open instant, and
its entry keeps the date it came from (`ledger.service.record`).
"""

import hashlib
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock, failpoints
from sandbox.core.db import Database
from sandbox.core.ids import new_id
from sandbox.core.zone import ALMATY
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service
from sandbox.ledger.journal import Changes

GRACE: Final = timedelta(minutes=30)
"""After midnight in Almaty: what the chains still have to say of a day has come by then."""

_DUE = """
SELECT effective_at FROM entry
WHERE effective_at >= coalesce((SELECT max(ends_at) FROM sealed_day), '-infinity')
ORDER BY effective_at LIMIT 1
"""

_IDS = "SELECT id FROM entry WHERE effective_at >= :start AND effective_at < :end ORDER BY id"

# By class: an account's code without the part that names one deposit, session or merchant.
_TRIAL_BALANCE = """
SELECT a.book, a.asset,
    substring(a.code FROM '^a:[a-z]+:[a-z-]+|^[a-z]:[a-z-]+|^[a-z-]+') AS class, a.normal,
    sum(CASE WHEN l.side = a.normal THEN l.amount ELSE -l.amount END)::bigint AS amount
FROM entry e LEFT JOIN resolution r ON r.entry_id = e.id
JOIN leg l ON l.entry_id = e.id JOIN account a ON a.id = l.account_id
WHERE e.effective_at < :end AND coalesce(r.outcome, e.kind) = 'posted'
GROUP BY a.book, a.asset, class, a.normal ORDER BY a.book, a.asset, class
"""


def sha256_of(ids: list[str]) -> str:
    """SHA-256 of a day's entry ids in byte order, each followed by a newline."""
    return hashlib.sha256("".join(f"{id_}\n" for id_ in ids).encode()).hexdigest()


async def seal_due(database: Database) -> bool:
    """Seal the oldest open day that has entries and is over; true when one was sealed.

    Any number of workers may ask: the day is sealed once. Every writer that is under way ends
    first, and one that comes meanwhile waits.
    """
    async with database.transaction() as db:
        if await _due(db) is None:
            return False
        await db.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('ledger:days', 0))"))
        day = await _due(db)
        if day is None:
            return False
        await _seal(db, day)
        failpoints.passed("day-sealed.uncommitted")
    failpoints.passed("day-sealed.committed")
    return True


async def _due(db: AsyncSession) -> date | None:
    first: datetime | None = await db.scalar(text(_DUE))
    if first is None:
        return None
    day = first.astimezone(ALMATY).date()
    return day if _end_of(day) + GRACE <= await clock.now(db) else None


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), ALMATY)


async def _seal(db: AsyncSession, day: date) -> None:
    at, end = await clock.now(db), _end_of(day)
    values = {"start": datetime.combine(day, time(), ALMATY), "end": end}
    ids = list((await db.scalars(text(_IDS), values)).all())
    sha256 = sha256_of(ids)
    balances = await db.execute(text(_TRIAL_BALANCE), {"end": end})
    data: dict[str, Any] = {
        "object": "sealed_day",
        "day": day.isoformat(),
        "entries": len(ids),
        "sha256": sha256,
        "balances": [
            {
                "book": row.book,
                "asset": row.asset,
                "class": row._mapping["class"],
                "normal": row.normal,
                "amount": row.amount,
            }
            for row in balances
        ],
    }
    event = NewEvent(new_id("evt", at), "ledger.day_sealed", at, data)
    await db.execute(
        text(
            "INSERT INTO sealed_day (day, ends_at, entries, sha256, event_id, sealed_at)"
            " VALUES (:day, :end, :entries, :sha256, :event, :at)"
        ),
        {
            "day": day,
            "end": end,
            "entries": len(ids),
            "sha256": sha256,
            "event": event.id,
            "at": at,
        },
    )
    await service.record(db, Changes(events=[event]))
