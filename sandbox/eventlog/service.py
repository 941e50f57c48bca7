"""Writing events and reading them back as the API shows them (CONTRACT 4)."""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import api_version
from sandbox.core.clock import iso
from sandbox.core.driver import Statement
from sandbox.core.errors import NotFound
from sandbox.eventlog import leaf as leaves
from sandbox.eventlog.errors import BadTypePattern, EventTooLong
from sandbox.eventlog.tiles import MAX_ENTRY_BYTES
from sandbox.eventlog.types import EntryHash, NewEvent

API_VERSION = api_version.LATEST
SALT_SIZE = 32

_TYPE = re.compile(r"\*|[a-z_]+(?:\.[a-z_]+)*(?:\.\*)?")

# One statement however many events: the queue's ids follow the order of the events.
_APPEND = Statement(
    """
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:types AS text[]), CAST(:created AS timestamptz[]),
            CAST(:merchants AS text[]), CAST(:leaves AS bytea[]), CAST(:private AS text[]),
            CAST(:salts AS bytea[]), CAST(:request_ids AS text[]), CAST(:objects AS text[])
        ) WITH ORDINALITY
            AS g (id, type, created, merchant, leaf, private, salt, request_id, object_id, line)
    ), written AS (
        INSERT INTO event
            (id, type, created, merchant, leaf, private, salt, request_id, object_id)
        SELECT id, type, created, merchant, leaf, CAST(private AS jsonb), salt, request_id,
            object_id
        FROM given
    )
    INSERT INTO event_queue (event_id) SELECT id FROM given ORDER BY line
    """
)

COLUMNS = "l.epoch, l.position, l.sequence, l.merchant, e.id, e.type, e.created, e.leaf, e.private"
"""What `api_event` needs of `log_entry l JOIN event e ON e.id = l.event_id`."""


async def append_many(
    db: AsyncSession, events: Sequence[NewEvent], hashes: Mapping[str, EntryHash]
) -> None:
    """Write events in the transaction of the change they tell of, in this order.

    `hashes` names the ledger entry of every ref that an event posts or resolves. Raises
    `EventTooLong` when a leaf would pass 65,535 bytes.
    """
    if not events:
        return
    salts = [secrets.token_bytes(SALT_SIZE) for _ in events]
    parts = []
    for event, salt in zip(events, salts, strict=True):
        built = leaves.build(event, [hashes[ref] for ref in event.refs], salt)
        if len(built.leaf) > MAX_ENTRY_BYTES:
            raise EventTooLong(event.type, len(built.leaf))
        parts.append(built)
    await _APPEND.fetch(
        db,
        {
            "ids": [event.id for event in events],
            "types": [event.type for event in events],
            "created": [event.created for event in events],
            "merchants": [event.merchant for event in events],
            "leaves": [built.leaf for built in parts],
            "private": [orjson.dumps(built.private).decode() for built in parts],
            "salts": salts,
            "request_ids": [event.request_id for event in events],
            "objects": [_object_id(event) for event in events],
        },
    )


def _object_id(event: NewEvent) -> str | None:
    own = event.data.get("id")
    return own if isinstance(own, str) else None


def api_event(row: Any, *, viewer: str | None) -> dict[str, Any]:
    """The API event of a row with `COLUMNS`, as `viewer` may see it.

    `viewer` is a merchant's id: it sees the private fields of its own events and `sequence` as the
    only number. None is a regulator or operator: leaf data only, by `position`.
    """
    owner = viewer is not None and viewer == row.merchant
    return {
        "object": "event",
        "id": row.id,
        "type": row.type,
        "created": iso(row.created),
        "epoch": row.epoch,
        "position": row.position if viewer is None else None,
        "sequence": row.sequence,
        "api_version": API_VERSION,
        "data": leaves.api_data(orjson.loads(row.leaf)["data"], row.private if owner else None),
    }


async def current_epoch(db: AsyncSession) -> int:
    """The epoch that new events are sequenced into."""
    epoch: int = await db.scalar(text("SELECT epoch FROM clock"))
    return epoch


async def one(db: AsyncSession, event_id: str, viewer: str | None) -> Any:
    """The row of one sequenced event. Raises `NotFound`, also for another merchant's event."""
    found = await db.execute(
        text(
            f"SELECT {COLUMNS} FROM log_entry l JOIN event e ON e.id = l.event_id"  # noqa: S608 - SQL of our own, no input
            " WHERE l.event_id = :id AND (CAST(:viewer AS text) IS NULL OR l.merchant = :viewer)"
        ),
        {"id": event_id, "viewer": viewer},
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound("event", event_id)
    return row


async def after(
    db: AsyncSession,
    epoch: int,
    number: int,
    limit: int,
    viewer: str | None,
    types: Sequence[str] = (),
) -> list[Any]:
    """Up to `limit` rows of one epoch behind a position (-1: from the start), oldest first.

    For a merchant the number is its own sequence (0: from the start), and the rows are its own.
    `types` are patterns as `like_pattern` makes them.
    """
    by = "position" if viewer is None else "sequence"
    conditions = ["l.epoch = :epoch", f"l.{by} > :number"]
    if viewer is not None:
        conditions.append("l.merchant = :viewer")
    if types:
        conditions.append("e.type LIKE ANY(CAST(:types AS text[]))")
    found = await db.execute(
        text(
            f"SELECT {COLUMNS} FROM log_entry l JOIN event e ON e.id = l.event_id"  # noqa: S608 - SQL of our own, no input
            f" WHERE {' AND '.join(conditions)} ORDER BY l.{by} LIMIT :limit"
        ),
        {
            "epoch": epoch,
            "number": number,
            "limit": limit,
            **({"viewer": viewer} if viewer is not None else {}),
            **({"types": list(types)} if types else {}),
        },
    )
    return list(found.all())


def like_pattern(pattern: str) -> str:
    """An event type, a group like `payment.*` or `*` as a LIKE pattern. Raises `BadTypePattern`."""
    if _TYPE.fullmatch(pattern) is None:
        raise BadTypePattern(pattern)
    return pattern.replace("_", r"\_").replace("*", "%")


async def newest(db: AsyncSession, epoch: int, viewer: str | None) -> int:
    """The last position of an epoch (-1 if none), or a merchant's last sequence (0 if none)."""
    if viewer is None:
        statement = "SELECT coalesce(max(position), -1) FROM log_entry WHERE epoch = :epoch"
        values: dict[str, Any] = {"epoch": epoch}
    else:
        statement = (
            "SELECT coalesce(max(sequence), 0) FROM log_entry"
            " WHERE epoch = :epoch AND merchant = :viewer"
        )
        values = {"epoch": epoch, "viewer": viewer}
    number: int = await db.scalar(text(statement), values)
    return number


async def busy(db: AsyncSession) -> list[str]:
    """What keeps the log from being quiet: events without a position."""
    waiting = await db.scalar(text("SELECT count(*) FROM event_queue"))
    return [f"{waiting} events wait for their position"] if waiting else []
