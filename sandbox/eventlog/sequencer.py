"""The single runner that gives events their positions and signs what the log then holds."""

from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import failpoints
from sandbox.core.db import Database, Leader
from sandbox.eventlog.checkpoint import Checkpoint
from sandbox.eventlog.errors import WrongLogKey
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.merkle import TILE_WIDTH, Tree

LEADER = "sequencer"
CHANNEL = "log"
BATCH = 2_000

DUE = "EXISTS (SELECT FROM event_queue)"
"""SQL: events wait for their positions."""

_ANY = text(f"SELECT {DUE}")

# The hashes of the open tile of every level, which is all that the tree's next hashes need.
_EDGE = text(
    """
    WITH newest AS (
        SELECT size FROM checkpoint WHERE epoch = :epoch ORDER BY size DESC LIMIT 1
    )
    SELECT size, -1 AS level, 0 AS index, NULL AS hash FROM newest
    UNION ALL
    SELECT size, 0, position, leaf_hash FROM newest JOIN log_entry
        ON epoch = :epoch AND position >= size / 256 * 256
    UNION ALL
    SELECT size, n.level, n.index, n.hash FROM newest
        CROSS JOIN generate_series(1, 7) AS height
        CROSS JOIN LATERAL (
            SELECT level, index, hash FROM log_node
            WHERE epoch = :epoch AND level = height
                AND index >= ((size >> (8 * (height + 1))) << 8)
        ) AS n
    ORDER BY level, index
    """
)

# Leaves never leave the database here: it hashes them (RFC 9162: SHA-256 of 0x00 and the entry).
_PLACE = text(
    r"""
    WITH taken AS (
        DELETE FROM event_queue WHERE id IN (
            SELECT id FROM event_queue ORDER BY id LIMIT :batch
        ) RETURNING id, event_id
    ), facts AS (
        SELECT taken.id AS line, event.id, event.merchant, event.leaf
        FROM taken JOIN event ON event.id = taken.event_id
    ), counters AS (
        SELECT merchant, (
            SELECT coalesce(max(sequence), 0) FROM log_entry
            WHERE epoch = :epoch AND log_entry.merchant = merchants.merchant
        ) AS last
        FROM (SELECT DISTINCT merchant FROM facts WHERE merchant IS NOT NULL) AS merchants
    ), placed AS (
        INSERT INTO log_entry (epoch, position, event_id, merchant, sequence, leaf_hash)
        SELECT :epoch, :size + row_number() OVER (ORDER BY line) - 1, facts.id, facts.merchant,
            last + row_number() OVER (PARTITION BY facts.merchant ORDER BY line),
            sha256(CAST('\x00' AS bytea) || leaf)
        FROM facts LEFT JOIN counters ON counters.merchant = facts.merchant
        RETURNING position, leaf_hash
    )
    SELECT leaf_hash, (SELECT count(*) FROM taken) AS taken FROM placed ORDER BY position
    """
)

_PUBLISH = text(
    """
    WITH nodes AS (
        INSERT INTO log_node (epoch, level, index, hash)
        SELECT :epoch, * FROM unnest(
            CAST(:levels AS smallint[]), CAST(:indexes AS bigint[]), CAST(:hashes AS bytea[])
        )
    ), signed AS (
        INSERT INTO checkpoint (epoch, size, root, note, created)
        VALUES (:epoch, :size, :root, :note, sandbox_now())
    )
    SELECT pg_notify(:channel, CAST(CAST(:size AS bigint) AS text))
    """
)


async def open_epoch(db: AsyncSession, key: LogKey) -> int:
    """Open the log of the current epoch with an empty, signed checkpoint, unless it is open.

    Raises `WrongLogKey` when it was opened with another key: nobody may fork it.
    """
    epoch: int = await db.scalar(text("SELECT epoch FROM clock"))
    known = await db.scalar(text("SELECT vkey FROM log_epoch WHERE epoch = :e"), {"e": epoch})
    if known is not None:
        if known != key.vkey(epoch):
            raise WrongLogKey(f"epoch {epoch} was opened with {known}, not {key.vkey(epoch)}")
        return epoch
    signer = key.signer(epoch)
    await db.execute(
        text(
            "INSERT INTO log_epoch (epoch, origin, vkey, opened_at)"
            " VALUES (:epoch, :origin, :vkey, sandbox_now())"
        ),
        {"epoch": epoch, "origin": signer.name, "vkey": signer.verifier.vkey},
    )
    await _publish(db, epoch, Tree(), [], key)
    return epoch


async def step(database: Database, leader: Leader, key: LogKey, batch: int = BATCH) -> int:
    """Give up to `batch` events their positions and sign one checkpoint over them.

    Returns how many there were. One transaction; raises `LostLead` when another process leads.
    """
    async with database.transaction() as db:
        await leader.check(db)
        epoch = await open_epoch(db, key)
        if not await db.scalar(_ANY):
            return 0
        tree = await read_edge(db, epoch)
        placed = await db.execute(_PLACE, {"epoch": epoch, "size": tree.size, "batch": batch})
        rows = placed.all()
        assert rows
        assert len(rows) == rows[0].taken
        nodes = tree.extend(row.leaf_hash for row in rows)
        await _publish(db, epoch, tree, nodes, key)
        failpoints.passed("sequence.uncommitted")
    failpoints.passed("sequence.committed")
    return len(rows)


async def read_edge(db: AsyncSession, epoch: int) -> Tree:
    """The tree of the newest checkpoint, ready to grow: at most 255 hashes of each level."""
    rows = (await db.execute(_EDGE, {"epoch": epoch})).all()
    assert rows
    edge: list[list[bytes]] = []
    rest = size = rows[0].size
    while rest or not edge:
        edge.append([])
        rest //= TILE_WIDTH
    for row in rows[1:]:
        edge[row.level].append(row.hash)
    return Tree(size, edge)


async def _publish(
    db: AsyncSession, epoch: int, tree: Tree, nodes: list[tuple[int, int, bytes]], key: LogKey
) -> None:
    signer = key.signer(epoch)
    root = tree.root()
    values: dict[str, Any] = {
        "epoch": epoch,
        "levels": [level for level, _, _ in nodes],
        "indexes": [index for _, index, _ in nodes],
        "hashes": [hash_ for _, _, hash_ in nodes],
        "size": tree.size,
        "root": root,
        "note": Checkpoint(signer.name, tree.size, root).sign(signer),
        "channel": CHANNEL,
    }
    await db.execute(_PUBLISH, values)


async def turn(database: Database, leader: Leader, key: LogKey) -> int:
    """One turn of the worker's loop: lead if nobody else does, then `step` if events wait."""
    first = leader.term == 0
    if not await leader.acquire():
        return 0
    async with database.transaction() as db:
        waiting = await db.scalar(_ANY)
    # The first turn opens the log even when there is nothing to put into it.
    return await step(database, leader, key) if waiting or first else 0
