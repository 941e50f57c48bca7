"""What the log serves as files (C2SP tlog-tiles), made from its rows on demand.

So nothing has to be kept in step, and the partial tiles of every published size are there for ever.
"""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.errors import NotFound
from sandbox.eventlog.errors import LogNotOpen
from sandbox.eventlog.tiles import (
    MAX_LEVEL,
    MalformedTile,
    Tile,
    encode_bundle,
    parse_index,
)

_LEAF_HASHES = text(
    "SELECT leaf_hash AS hash FROM log_entry WHERE epoch = (SELECT epoch FROM clock)"
    " AND position >= :first AND position < :first + :width ORDER BY position"
)
_NODES = text(
    "SELECT hash FROM log_node WHERE epoch = (SELECT epoch FROM clock) AND level = :level"
    " AND index >= :first AND index < :first + :width ORDER BY index"
)


async def newest_checkpoint(db: AsyncSession) -> str:
    """The newest signed note of the current epoch. Raises `LogNotOpen`."""
    note: str | None = await db.scalar(
        text(
            "SELECT note FROM checkpoint WHERE epoch = (SELECT epoch FROM clock)"
            " ORDER BY size DESC LIMIT 1"
        )
    )
    if note is None:
        raise LogNotOpen
    return note


async def verifier_key(db: AsyncSession) -> str:
    """The verifier key of the current epoch. Raises `LogNotOpen`."""
    vkey: str | None = await db.scalar(
        text("SELECT vkey FROM log_epoch WHERE epoch = (SELECT epoch FROM clock)")
    )
    if vkey is None:
        raise LogNotOpen
    return vkey


def tile_at(level: str, path: str) -> Tile:
    """The tile that a URL names. Raises `NotFound` for anything but the shortest spelling."""
    try:
        index, width = parse_index(path)
    except MalformedTile:
        raise NotFound("tile", f"{level}/{path}"[:80]) from None
    if not (level.isascii() and level.isdigit()) or str(int(level)) != level:
        raise NotFound("tile", f"{level}/{path}"[:80])
    if int(level) > MAX_LEVEL:
        raise NotFound("tile", f"{level}/{path}"[:80])
    return Tile(int(level), index, width)


async def hash_tile(db: AsyncSession, tile: Tile) -> bytes:
    """The hashes of a tile. Raises `NotFound` when the log is not that long yet."""
    values = {"first": tile.start, "width": tile.width}
    if tile.level == 0:
        rows = await db.execute(_LEAF_HASHES, values)
    else:
        rows = await db.execute(_NODES, {**values, "level": tile.level})
    hashes = [row.hash for row in rows]
    if len(hashes) < tile.width:
        raise NotFound("tile", tile.path)
    return b"".join(hashes)


async def entry_bundle(db: AsyncSession, tile: Tile) -> bytes:
    """The entries of a level-0 tile. Raises `NotFound` when the log is not that long yet."""
    assert tile.level == 0
    rows = await db.execute(
        text(
            "SELECT e.leaf FROM log_entry l JOIN event e ON e.id = l.event_id"
            " WHERE l.epoch = (SELECT epoch FROM clock)"
            " AND l.position >= :first AND l.position < :first + :width ORDER BY l.position"
        ),
        {"first": tile.start, "width": tile.width},
    )
    entries = [row.leaf for row in rows]
    if len(entries) < tile.width:
        raise NotFound("tile", tile.entries_path)
    return encode_bundle(entries)
