"""The single runner that gives events their positions and signs what the log then holds."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import failpoints
from sandbox.core.db import Database, Leader
from sandbox.core.driver import Statement
from sandbox.eventlog.checkpoint import Checkpoint
from sandbox.eventlog.errors import WrongLogKey
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.merkle import TILE_WIDTH, Tree

LEADER = "sequencer"
CHANNEL = "log"
BATCH = 2_000

DUE = "EXISTS (SELECT FROM event_queue)"
"""SQL: events wait for their positions."""

# What a turn begins with; `size` and `root` are of the newest checkpoint.
_STATE = Statement(
    f"""
    SELECT c.epoch, e.vkey, n.size, n.root, {DUE} AS waiting
    FROM clock c LEFT JOIN log_epoch e ON e.epoch = c.epoch
    LEFT JOIN LATERAL (
        SELECT size, root FROM checkpoint WHERE epoch = c.epoch ORDER BY size DESC LIMIT 1
    ) AS n ON true
    """  # noqa: S608 - SQL of our own, no input
)

# The hashes of the open tile of every level, which is all that the tree's next hashes need.
_EDGE = Statement(
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
_PLACE = Statement(
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

_PUBLISH = Statement(
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


class Sequencer:
    """The job of one process: it leads if nobody else does, and then places what waits.

    It keeps the edge of the tree as it left it, and reads it anew where the newest checkpoint is
    another one.
    """

    def __init__(self, database: Database, leader: Leader, key: LogKey) -> None:
        self._database, self._leader, self._key = database, leader, key
        self._kept: tuple[int, bytes, Tree] | None = None

    async def turn(self) -> int:
        """One turn of the worker's loop: lead if nobody else does, then `step` if events wait."""
        # The first turn opens the log even when there is nothing to put into it.
        first = self._leader.term == 0
        if not await self._leader.acquire():
            return 0
        return await self.step(opening=first)

    async def step(self, batch: int = BATCH, *, opening: bool = True) -> int:
        """Give up to `batch` events their positions and sign one checkpoint over them.

        Returns how many there were. One transaction; raises `LostLead` when another process leads,
        `WrongLogKey` when the log was opened with another key.
        """
        async with self._database.transaction() as db:
            [state] = await _STATE.fetch(db, {})
            if not (state["waiting"] or opening):
                return 0
            # Who leads since before that look, and still does, was the only one to write.
            await self._leader.check(db)
            epoch = state["epoch"]
            if state["vkey"] != self._key.vkey(epoch):
                await open_epoch(db, self._key)
            if not state["waiting"]:
                return 0
            tree = await self._edge(db, state)
            rows = await _PLACE.fetch(db, {"epoch": epoch, "size": tree.size, "batch": batch})
            assert rows
            assert len(rows) == rows[0]["taken"]
            nodes = tree.extend(row["leaf_hash"] for row in rows)
            root = await _publish(db, epoch, tree, nodes, self._key)
            failpoints.passed("sequence.uncommitted")
        self._kept = epoch, root, tree
        failpoints.passed("sequence.committed")
        return len(rows)

    async def _edge(self, db: AsyncSession, state: Mapping[str, Any]) -> Tree:
        kept, self._kept = self._kept, None  # what it becomes now counts only when it is committed
        if kept is not None:
            epoch, root, tree = kept
            if (epoch, tree.size, root) == (state["epoch"], state["size"], state["root"]):
                return tree
        return await read_edge(db, state["epoch"])


async def read_edge(db: AsyncSession, epoch: int) -> Tree:
    """The tree of the newest checkpoint, ready to grow: at most 255 hashes of each level."""
    rows = await _EDGE.fetch(db, {"epoch": epoch})
    assert rows
    edge: list[list[bytes]] = []
    rest = size = rows[0]["size"]
    while rest or not edge:
        edge.append([])
        rest //= TILE_WIDTH
    for row in rows[1:]:
        edge[row["level"]].append(row["hash"])
    return Tree(size, edge)


async def _publish(
    db: AsyncSession, epoch: int, tree: Tree, nodes: list[tuple[int, int, bytes]], key: LogKey
) -> bytes:
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
    await _PUBLISH.fetch(db, values)
    return root
