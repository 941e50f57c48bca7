"""A log as static files in the layout of C2SP tlog-tiles, for anyone to verify without us."""

import os
from collections.abc import Callable
from pathlib import Path

from sandbox.eventlog.checkpoint import Checkpoint, open_checkpoint
from sandbox.eventlog.note import Verifier
from sandbox.eventlog.sources import Running, Unreadable
from sandbox.eventlog.tiles import tiles_of
from sandbox.eventlog.verify import line_of

Fetch = Callable[[str], bytes | None]


def export_url(url: str, api_key: str, path: Path) -> Checkpoint:
    """Write the log of a running sandbox, and beside it as `e<N>` each epoch that it goes on from.

    `api_key` is a regulator's. The epoch that lives is written last. Raises `Unreadable`,
    `BadNote`.
    """
    source = Running(url, api_key)
    try:
        vkey = _fetch(source.read, "vkey").decode()
        (path / "checkpoint").unlink(missing_ok=True)
        for former in line_of(source, vkey)[:-1]:
            write_export(former.source.read, path / f"e{former.number}")
        return write_export(source.read, path)
    finally:
        source.close()


def write_export(fetch: Fetch, path: Path) -> Checkpoint:
    """Write checkpoint, key, entries and tiles of a log into the folder `path`.

    The checkpoint is read first and written last (the specification's order of publishing), so
    that a folder with a checkpoint is whole. Raises `Unreadable` when a part is missing and
    `BadNote` when the log's own key does not fit its checkpoint.
    """
    vkey = _fetch(fetch, "vkey")
    note = _fetch(fetch, "checkpoint")
    checkpoint = open_checkpoint(note, Verifier.parse(vkey.decode().strip()))
    (path / "checkpoint").unlink(missing_ok=True)
    for tile in tiles_of(checkpoint.size):
        if tile.level == 0:
            _write(path / tile.entries_path, _fetch(fetch, tile.entries_path))
        _write(path / tile.path, _fetch(fetch, tile.path))
    _write(path / "vkey", vkey)
    _write(path / "checkpoint", note)
    return checkpoint


def _fetch(fetch: Fetch, path: str) -> bytes:
    data = fetch(path)
    if data is None:
        raise Unreadable(f"the log has no {path}")
    return data


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
