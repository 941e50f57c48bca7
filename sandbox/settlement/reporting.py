"""The settlement report out of the database: the events it rests on, and their proofs."""

import base64
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.errors import NotFound
from sandbox.core.ids import encode_ulid
from sandbox.eventlog import proofs
from sandbox.settlement import report
from sandbox.settlement.models import Settlement, SettlementLine
from sandbox.settlement.objects import line_object

# Ids of events begin with their moment, so that the primary key finds a merchant's newer ones.
_FACTS = text(
    """
    SELECT e.id, e.leaf, e.private, e.salt, l.epoch, l.position,
        coalesce(q.id, 0) AS queued
    FROM event e LEFT JOIN log_entry l ON l.event_id = e.id
    LEFT JOIN event_queue q ON q.event_id = e.id
    WHERE e.id >= :first AND e.merchant = :merchant AND (e.type = ANY(CAST(:types AS text[]))
        OR e.type LIKE 'settlement.%' OR e.type LIKE 'payout.%')
    """
)
_OLDEST = text(
    """
    SELECT least(s.created_at,
        (SELECT min(p.captured_at) FROM settlement_line l JOIN payment p ON p.id = l.payment
            WHERE l.settlement = s.id),
        (SELECT min(o.created_at) FROM settlement o WHERE o.carried_into = s.id),
        (SELECT min(o.created_at) FROM payout o WHERE o.carried_into = s.id)) AS moment
    FROM settlement s WHERE s.id = :id
    """
)


def _first_id(moment: datetime) -> str:
    return f"evt_{encode_ulid(int(moment.timestamp() * 1000), 0)}"


async def settlement_report(
    db: AsyncSession, settlement_id: str, *, merchant: str | None, with_proofs: bool
) -> dict[str, Any]:
    """The report as of now; `merchant` limits it to its own, None is anyone's.

    The owner's shows the payout's IBAN. With proofs, each event it names comes with its leaf and
    the path to a signed checkpoint, and the IBAN with what the leaf committed to it with. Raises
    `NotFound`, and `NotSequenced` when a proof is asked for a moment too early.
    """
    settlement = await db.get(Settlement, settlement_id, populate_existing=True)
    if settlement is None or merchant not in (None, settlement.merchant):
        raise NotFound("settlement", settlement_id)
    rows = await _rows(db, settlement)
    facts = report.Facts(
        (
            report.Fact.of(orjson.loads(row.leaf), row.epoch, row.position, row.queued)
            for row in rows.values()
        ),
        settlement_id,
    )
    found = select(SettlementLine).where(col(SettlementLine.settlement) == settlement_id)
    lines = await db.exec(found.order_by(col(SettlementLine.payment)))
    made = report.made(facts, settlement_id, [line_object(line) for line in lines])
    told = report.payout_told(facts)
    if told is not None:
        fact, _, path = told
        row = rows[fact.id]
        made["payout"]["iban"] = row.private[path] if merchant is not None else None
    if with_proofs:
        events = sorted(report.events_in(made))
        proven = await proofs.inclusions(db, events, merchant)
        made["proofs"] = {id_: proven[id_].as_json() for id_ in events}
        continued = await proofs.links(db, min(one.epoch for one in proven.values()))
        if continued:
            made["continued"] = continued
        if told is not None and merchant is not None:
            made["payout"]["iban_salt"] = base64.b64encode(row.salt).decode()
    return made


async def _rows(db: AsyncSession, settlement: Settlement) -> dict[str, Any]:
    oldest: datetime = await db.scalar(_OLDEST, {"id": settlement.id})
    values = {
        # Milliseconds of an id are cut off, those of a moment need not be.
        "first": _first_id(oldest - timedelta(milliseconds=2)),
        "merchant": settlement.merchant,
        "types": [*report.CAPTURES, "refund.completed"],
    }
    return {row.id: row for row in await db.execute(_FACTS, values)}
