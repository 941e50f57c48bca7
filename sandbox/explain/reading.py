"""Reads what is stored about ids: events, entries, orders to chains, transfers, deliveries.

However many ids, each function is one statement. Of a long list the first and the last are read,
because a story is told by its beginning and its end; what is left out between them is said.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import TextClause, text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.eventlog.leaf import api_data
from sandbox.explain.facts import Booked, Cut, Facts, Halt, Inclusion, Moved, State, Told

MOST_EVENTS = 200
MOST_ENTRIES = 150
MOST_DELIVERIES = 200
MOST_TRANSFERS = 60

_EVENTS = """
    SELECT e.id, e.type, e.created, e.merchant, e.leaf, e.private, e.request_id,
        e.object_id, l.epoch, l.position, l.sequence
    FROM event e LEFT JOIN log_entry l ON l.event_id = e.id
    WHERE {which} AND (CAST(:viewer AS text) IS NULL OR e.merchant = :viewer)
"""
_IN_THE_LOG = "epoch, position, id"


def _ends_of(query: str, order: str) -> TextClause:
    """The first `head` and the last `tail` rows of a query, each with the `total` of all."""
    return text(
        f"SELECT * FROM (SELECT *, row_number() OVER (ORDER BY {order}) AS place,"  # noqa: S608 - SQL of our own, no input
        f" count(*) OVER () AS total FROM ({query}) AS every) AS placed"
        " WHERE place <= :head OR place > total - :tail ORDER BY place"
    )


_ABOUT = _ends_of(_EVENTS.format(which="e.object_id = ANY(CAST(:ids AS text[]))"), _IN_THE_LOG)
_NAMED = _ends_of(_EVENTS.format(which="e.id = ANY(CAST(:ids AS text[]))"), _IN_THE_LOG)
_ENTRIES = """
    SELECT e.key, e.id, e.ref, e.kind, e.reason, e.chain, e.recorded_at,
        r.outcome, r.event_id, r.height, r.recorded_at AS resolved_at, (
            SELECT json_agg(json_build_array(a.book, a.asset, a.code, l.side, l.amount::text)
                ORDER BY l.line)
            FROM leg l JOIN account a ON a.id = l.account_id WHERE l.entry_id = e.id
        ) AS legs
    FROM {which} LEFT JOIN resolution r ON r.entry_id = e.id
"""
# The column is in byte order, in which ';' follows ':'.
_REFERRED = _ends_of(
    _ENTRIES.format(
        which="""unnest(CAST(:ids AS text[])) AS i (id)
    JOIN LATERAL (
        SELECT * FROM entry
        WHERE ref >= i.id COLLATE "C" AND ref < (i.id || ';') COLLATE "C"
    ) e ON true"""
    ),
    "key",
)
_BY_ID = _ends_of(
    _ENTRIES.format(which="(SELECT * FROM entry WHERE id = ANY(CAST(:ids AS text[]))) e"), "key"
)
_DELIVERIES = _ends_of(
    """
    SELECT d.id, d.event_id, d.endpoint, d.status, d.attempts, d.next_attempt_at,
        d.last_attempt_at, d.last_status, d.last_error, d.created_at,
        w.status AS endpoint_status, w.status_reason, (
            SELECT json_agg(json_build_object('number', number, 'status', status, 'error', error,
                'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
                ORDER BY number)
            FROM webhook_attempt WHERE delivery = d.id
        ) AS attempts_made
    FROM webhook_delivery d JOIN webhook_endpoint w ON w.id = d.endpoint
    WHERE d.event_id = ANY(CAST(:ids AS text[]))
        AND (CAST(:viewer AS text) IS NULL OR d.merchant = :viewer)
    """,
    # Those that did not get through come first, and are not what is left out.
    "status IN ('delivered', 'canceled'), id",
)
_ORDERS = text(
    """
    SELECT i.id, i.kind, i.chain, i.state, i.command ->> 'action' AS action, i.created_at,
        i.reason, i.resolved_at, a.n, a.tx_id, a.valid_until_height, a.state AS attempt_state,
        a.reason AS attempt_reason, a.signed_at, a.broadcast_at
    FROM chain_intent i LEFT JOIN chain_attempt a ON a.intent_id = i.id
    WHERE i.id = ANY(CAST(:ids AS text[])) ORDER BY i.created_at, i.id, a.n
    """
)
_TRANSFERS = _ends_of(
    """
    SELECT t.id, t.chain, t.tx, t.ordinal, t.kind, t.source, t.destination, t.amount_units, t.keys,
        t.intent, n.n, n.height, n.block_hash, n.block_time, n.state
    FROM chain_transfer t JOIN chain_inclusion n ON n.transfer_id = t.id
    WHERE t.id = ANY(CAST(:ids AS text[])) OR (t.chain, t.tx) IN (
        SELECT * FROM unnest(CAST(:chains AS text[]), CAST(:txs AS text[])))
    """,
    "id, n",
)
_STATE = text(
    """
    SELECT sandbox_now() AS now, (
        SELECT json_object_agg(chain, height) FROM chain_cursor WHERE view = 'final') AS final, (
        SELECT json_object_agg(chain, height) FROM chain_cursor WHERE view = 'confirmed')
            AS confirmed, (
        SELECT json_agg(json_build_array(chain, reason, height,
            to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
        FROM chain_halt) AS halts
    """
)
_BANK = text(
    """
    SELECT direction, kind, ref, end_to_end_id, created_at, read_at, body ->> 'reason' AS reason,
        (body ->> 'amount_tiyn')::bigint AS amount_tiyn,
        ARRAY(SELECT at FROM bank_resend r WHERE r.message = bank_message.id ORDER BY r.id)
            AS sent_again
    FROM bank_message WHERE end_to_end_id = ANY(CAST(:ids AS text[])) ORDER BY id LIMIT 60
    """
)


# What a party asked is its own business; who sees everything sees that too.
_REQUESTS = text(
    """
    SELECT id, method, path, status, idempotency_key, replayed, duration_ms FROM request_log
    WHERE id = ANY(CAST(:ids AS text[]))
        AND (CAST(:viewer AS text) IS NULL OR tenant = :viewer)
    """
)


async def read(
    db: AsyncSession,
    viewer: str | None,
    ids: Collection[str],
    *,
    transfers: Collection[str] = (),
    txs: Collection[tuple[str, str]] = (),
    orders: Collection[str] = (),
    bank: Collection[str] = (),
) -> Facts:
    """Everything that is stored about objects, and of these transfers, (chain, tx) and orders.

    Orders to chains are also found by the references of the entries that reserve for them.
    """
    facts = Facts(viewer, await _state(db))
    wanted = sorted(set(ids))
    await _events(db, facts, wanted)
    await _entries(db, facts, wanted)
    await _deliveries(db, facts)
    await _requests(db, facts)
    refs = {entry.ref for entry in facts.entries} | set(orders) | set(wanted)
    facts.orders = list(await db.execute(_ORDERS, {"ids": sorted(refs)}))
    pairs = {*txs, *((row.chain, row.tx_id) for row in facts.orders if row.tx_id)}
    await _moved(db, facts, transfers, pairs)
    if bank:
        facts.bank = list(await db.execute(_BANK, {"ids": sorted(set(bank))}))
    return facts


async def read_event(db: AsyncSession, viewer: str | None, event_id: str) -> Facts:
    """One event, the entries that it posts or resolves, and its deliveries."""
    facts = Facts(viewer, await _state(db))
    await _events(db, facts, [event_id], _NAMED)
    for event in facts.events:
        await _entries(db, facts, event.entries, _BY_ID)
    await _deliveries(db, facts)
    await _requests(db, facts)
    return facts


async def _state(db: AsyncSession) -> State:
    row = (await db.execute(_STATE)).one()
    halts = {
        chain: Halt(reason, height, datetime.fromisoformat(since))
        for chain, reason, height, since in row.halts or ()
    }
    return State(row.now.astimezone(UTC), row.final or {}, row.confirmed or {}, halts)


_LISTS: Mapping[str, str] = {
    "events": "/v1/events?object={id}",
    "deliveries": "/v1/webhook_deliveries?event={id}",
    "entries": "/v1/ledger/entries?ref={id}",
}
"""Where the whole list of an object is read, or of an event; the books are no merchant's."""


async def _ends(
    db: AsyncSession,
    facts: Facts,
    what: str,
    statement: TextClause,
    values: Mapping[str, Any],
    most: int,
) -> Sequence[Any]:
    """What the statement finds, cut in its middle."""
    wanted = Cut.of(0, most)
    asked = {**values, "head": wanted.first, "tail": wanted.last}
    found = (await db.execute(statement, asked)).all()
    if found and found[0].total > most:
        is_hidden = what == "entries" and facts.viewer is not None
        where = "" if is_hidden else _LISTS.get(what, "")
        facts.cut[what] = Cut.of(found[0].total, most, where)
    return found


async def _events(
    db: AsyncSession, facts: Facts, ids: Sequence[str], statement: TextClause = _ABOUT
) -> None:
    values = {"ids": ids, "viewer": facts.viewer}
    found = await _ends(db, facts, "events", statement, values, MOST_EVENTS)
    for index, row in enumerate(found):
        leaf = orjson.loads(row.leaf)
        owner = facts.viewer is not None and facts.viewer == row.merchant
        facts.events.append(
            Told(
                row.id, row.type, row.created, row.object_id, row.merchant, row.request_id,
                row.epoch, row.position, row.sequence,
                api_data(leaf["data"], row.private if owner else None),
                tuple(entry["id"] for entry in leaf["entries"]), index,
            )
        )  # fmt: skip


async def _entries(
    db: AsyncSession, facts: Facts, ids: Sequence[str], statement: TextClause = _REFERRED
) -> None:
    found = await _ends(db, facts, "entries", statement, {"ids": list(ids)}, MOST_ENTRIES)
    facts.entries = [
        Booked(
            row.id, row.ref, row.kind, row.reason, row.chain, row.recorded_at, row.outcome,
            row.event_id, row.height, row.resolved_at, row.legs,
        )
        for row in found
    ]  # fmt: skip


async def _deliveries(db: AsyncSession, facts: Facts) -> None:
    values = {"ids": [event.id for event in facts.events], "viewer": facts.viewer}
    found = await _ends(db, facts, "deliveries", _DELIVERIES, values, MOST_DELIVERIES)
    facts.deliveries = list(found)


async def _requests(db: AsyncSession, facts: Facts) -> None:
    ids = sorted({event.request_id for event in facts.events if event.request_id is not None})
    found = await db.execute(_REQUESTS, {"ids": ids, "viewer": facts.viewer})
    facts.requests = {row.id: dict(row._mapping) for row in found}


async def _moved(
    db: AsyncSession, facts: Facts, ids: Collection[str], txs: Collection[tuple[str, str]]
) -> None:
    if not ids and not txs:
        return
    values = {
        "ids": sorted(ids),
        "chains": [chain for chain, _ in sorted(txs)],
        "txs": [tx for _, tx in sorted(txs)],
    }
    for row in await _ends(db, facts, "transfers", _TRANSFERS, values, MOST_TRANSFERS):
        moved = facts.moved.get(row.id)
        if moved is None:
            moved = facts.moved[row.id] = Moved(
                row.id, row.chain, row.tx, row.ordinal, row.kind, row.source, row.destination,
                row.amount_units, tuple(row.keys), row.intent,
            )  # fmt: skip
        moved.inclusions.append(
            Inclusion(row.n, row.height, row.block_hash, row.block_time, row.state)
        )
