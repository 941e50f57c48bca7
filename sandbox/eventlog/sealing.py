"""The log of an epoch that was left, as static files: the same layout as an export's."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text

from sandbox.core.db import Database
from sandbox.core.errors import NotFound, Unavailable
from sandbox.eventlog.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH
from sandbox.eventlog.tiles import Tile, decode_bundle, encode_bundle, tiles_of

PENDING = ".sealing"
"""Behind the name of an epoch's folder: its log was left, and the files are not whole yet."""

_HEAD = text(
    "SELECT c.size, c.note, e.vkey FROM checkpoint c JOIN log_epoch e ON e.epoch = c.epoch"
    " WHERE c.epoch = :epoch ORDER BY c.size DESC LIMIT 1"
)
_LEAVES = text(
    "SELECT e.leaf, l.leaf_hash AS hash FROM log_entry l JOIN event e ON e.id = l.event_id"
    " WHERE l.epoch = :epoch AND l.position >= :first AND l.position < :first + :width"
    " ORDER BY l.position"
)
_NODES = text(
    "SELECT hash FROM log_node WHERE epoch = :epoch AND level = :level"
    " AND index >= :first AND index < :first + :width ORDER BY index"
)


class EpochBeingSealed(Unavailable):
    """The epoch was left a moment ago; its files are being written."""

    code = "epoch_being_sealed"

    def __init__(self) -> None:
        super().__init__("the log of this epoch")


class LogIncomplete(Exception):
    """The database has fewer rows than the checkpoint was signed over."""


async def seal(database: Database, epoch: int, logs: Path) -> int:
    """Write `<logs>/e<epoch>` from the rows of `database`; answers the log's size.

    The folder appears whole; one that is there stays as it is. Raises `LogIncomplete`, OSError.
    """
    folder = folder_of(logs, epoch)
    async with database.transaction() as db:
        head = (await db.execute(_HEAD, {"epoch": epoch})).one()
    if not folder.exists():
        making = folder.with_name(f".{folder.name}.making")
        await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        for tile in tiles_of(head.size):
            await asyncio.to_thread(_write, making, await _files(database, epoch, tile))
        last = {"vkey": f"{head.vkey}\n".encode(), "checkpoint": head.note.encode()}
        await asyncio.to_thread(_write, making, last)
        await asyncio.to_thread(_finish, making, folder)
    pending(logs, epoch).unlink(missing_ok=True)
    return int(head.size)


async def epochs(database: Database) -> list[int]:
    """The epochs that a world knows, its own the last."""
    async with database.transaction() as db:
        found = await db.scalars(text("SELECT epoch FROM log_epoch ORDER BY epoch"))
    return list(found)


async def _files(database: Database, epoch: int, tile: Tile) -> dict[str, bytes]:
    values = {"epoch": epoch, "first": tile.start, "width": tile.width}
    async with database.transaction() as db:
        if tile.level == 0:
            rows: list[Any] = list((await db.execute(_LEAVES, values)).all())
        else:
            rows = list((await db.execute(_NODES, {**values, "level": tile.level})).all())
    if len(rows) != tile.width:
        raise LogIncomplete(f"epoch {epoch}: {len(rows)} rows of {tile.path}")
    files = {tile.path: b"".join(row.hash for row in rows)}
    if tile.level == 0:
        files[tile.entries_path] = encode_bundle([row.leaf for row in rows])
    return files


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _finish(making: Path, folder: Path) -> None:
    for path in _folders(making):
        _sync(path)
    making.rename(folder)
    _sync(folder.parent)


def _folders(root: Path) -> Iterator[Path]:
    yield root
    yield from (path for path in root.rglob("*") if path.is_dir())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def folder_of(logs: Path, epoch: int) -> Path:
    return logs / f"e{epoch}"


def pending(logs: Path, epoch: int) -> Path:
    return logs / f"e{epoch}{PENDING}"


def read(logs: Path, epoch: int, name: str) -> bytes:
    """A file of a sealed epoch. Raises `NotFound`, `EpochBeingSealed`."""
    folder = folder_of(logs, epoch)
    if not folder.is_dir():
        if pending(logs, epoch).exists():
            raise EpochBeingSealed
        raise NotFound("epoch", str(epoch))
    try:
        return (folder / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotFound("file", name[:80]) from None


def read_hashes(logs: Path, epoch: int, tile: Tile) -> bytes:
    """A hash tile, also a narrower one than was sealed: it was published once."""
    widest = _widest(logs, epoch, tile)
    hashes = read(logs, epoch, Tile(tile.level, tile.index, widest).path)
    return hashes[: tile.width * HASH_SIZE]


def read_entries(logs: Path, epoch: int, tile: Tile) -> bytes:
    """A bundle of entries, also a narrower one than was sealed."""
    widest = _widest(logs, epoch, tile)
    bundle = read(logs, epoch, Tile(0, tile.index, widest).entries_path)
    if widest == tile.width:
        return bundle
    return encode_bundle(decode_bundle(bundle, widest)[: tile.width])


def _widest(logs: Path, epoch: int, tile: Tile) -> int:
    """How wide the tile was at the end. Raises `NotFound` when it never was as wide as asked."""
    size = int(read(logs, epoch, "checkpoint").split(b"\n")[1])
    at_level = size >> (TILE_HEIGHT * tile.level)
    widest = min(TILE_WIDTH, at_level - tile.start)
    if widest < tile.width:
        raise NotFound("tile", tile.path)
    return widest
