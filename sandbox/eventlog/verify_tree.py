"""One tree, byte by byte: every entry is hashed anew, every tile compared with what they give."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sandbox.eventlog import leaf as leaves
from sandbox.eventlog.checkpoint import Checkpoint
from sandbox.eventlog.merkle import HASH_SIZE, Tree, leaf_hash
from sandbox.eventlog.report import Report
from sandbox.eventlog.sources import Source
from sandbox.eventlog.tiles import MalformedTile, Tile, decode_bundle, decode_hashes, tiles_of


@dataclass(frozen=True, slots=True)
class Mark:
    """A root that the tree must have had at some size; a finding of `code` if it had another."""

    checkpoint: Checkpoint
    code: str
    who: str


@dataclass(slots=True)
class Seen:
    """Events and ledger entries that a world's log named before; each may be named once."""

    events: set[str] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)


def check_tree(
    source: Source,
    checkpoint: Checkpoint,
    marks: Sequence[Mark],
    report: Report,
    seen: Seen,
    *,
    with_entries: bool = True,
    kept_size: int,
) -> None:
    """Everything under `checkpoint`.

    `seen` is what stands before this tree, and afterwards also what its first `kept_size` entries
    name. Raises `Unreadable`.
    """
    tree = Tree()
    nodes: dict[int, list[bytes]] = {}
    left = Seen()
    for tile in tiles_of(checkpoint.size):
        if tile.level > 0:
            _compare(source, tile, nodes[tile.level][tile.start : tile.start + tile.width], report)
            continue
        if with_entries:
            hashes = _leaf_hashes(source, tile, report, (seen, left), kept_size)
        else:
            hashes = _tile(source, tile, report)
        if hashes is None:
            # Whatever stands above a gap cannot be recomputed.
            return
        for level, index, hash_ in _extend(tree, hashes, marks, report):
            assert index == len(nodes.setdefault(level, []))
            nodes[level].append(hash_)
    for mark in marks:
        if mark.checkpoint.size == 0:
            _check_mark(Tree(), mark, report)
    if tree.root() != checkpoint.root:
        report.add(
            "root_differs",
            "checkpoint",
            f"the tiles give {tree.root().hex()}, the checkpoint says {checkpoint.root.hex()}",
        )


def _extend(
    tree: Tree, hashes: list[bytes], marks: Sequence[Mark], report: Report
) -> Iterator[tuple[int, int, bytes]]:
    """Grow the tree, stopping where a mark stands to compare the roots."""
    start, end = tree.size, tree.size + len(hashes)
    for mark in sorted(marks, key=lambda mark: mark.checkpoint.size):
        if start < mark.checkpoint.size <= end:
            before = mark.checkpoint.size - tree.size
            yield from tree.extend(hashes[:before])
            hashes = hashes[before:]
            _check_mark(tree, mark, report)
    yield from tree.extend(hashes)


def _check_mark(tree: Tree, mark: Mark, report: Report) -> None:
    there = mark.checkpoint
    if tree.root() != there.root:
        report.add(
            mark.code,
            f"position {there.size}",
            f"its first {there.size} entries have the root {tree.root().hex()},"
            f" {mark.who} says {there.root.hex()}",
        )


def _leaf_hashes(
    source: Source, tile: Tile, report: Report, seen: tuple[Seen, Seen], kept_size: int
) -> list[bytes] | None:
    entries = read_entries(source, tile, report)
    if entries is None:
        return None
    report.entries += len(entries)
    for position, entry in enumerate(entries, tile.start):
        _check_leaf(entry, position, report, seen, kept_size)
    hashes = [leaf_hash(entry) for entry in entries]
    _compare(source, tile, hashes, report)
    return hashes


def read_entries(source: Source, tile: Tile, report: Report) -> list[bytes] | None:
    """A bundle, also the full one that may have replaced a partial; what is wrong is reported."""
    where = tile.entries_path
    data = _read(source, where, tile.full_entries_path)
    if data is None:
        report.add("entries_missing", where, "there is no such bundle")
        return None
    try:
        return decode_bundle(data[1], tile.width if data[0] == where else 256)[: tile.width]
    except MalformedTile as error:
        report.add("bundle_malformed", where, str(error))
        return None


def _check_leaf(
    entry: bytes, position: int, report: Report, seen: tuple[Seen, Seen], kept_size: int
) -> None:
    where = f"position {position}"
    try:
        found = leaves.parse(entry)
    except leaves.MalformedLeaf as error:
        report.add("leaf_malformed", where, str(error))
        return
    now = seen[0] if position < kept_size else seen[1]
    if any(found["id"] in one.events for one in seen):
        report.add("event_twice", where, f"{found['id']} stands in the log before")
    now.events.add(found["id"])
    for named in found["entries"]:
        if any(named["id"] in one.entries for one in seen):
            report.add("entry_twice", where, f"{named['id']} is named by an event before")
        now.entries.add(named["id"])


def _read(source: Source, path: str, full_path: str) -> tuple[str, bytes] | None:
    """A resource, or the full one that may have replaced the partial (C2SP tlog-tiles)."""
    for candidate in dict.fromkeys((path, full_path)):
        data = source.read(candidate)
        if data is not None:
            return candidate, data
    return None


def _tile(source: Source, tile: Tile, report: Report) -> list[bytes] | None:
    found = _read(source, tile.path, tile.full_path)
    if found is None:
        report.add("tile_missing", tile.path, "there is no such tile")
        return None
    path, data = found
    try:
        return decode_hashes(data, tile.width if path == tile.path else 256)[: tile.width]
    except MalformedTile as error:
        report.add("tile_malformed", path, str(error))
        return None


def _compare(source: Source, tile: Tile, hashes: list[bytes], report: Report) -> None:
    stated = _tile(source, tile, report)
    if stated is None:
        return
    assert len(stated) == len(hashes) == tile.width
    for index, (theirs, ours) in enumerate(zip(stated, hashes, strict=True), tile.start):
        if theirs != ours:
            what = f"position {index}" if tile.level == 0 else f"hash {index}"
            report.add(
                "hash_differs",
                tile.path,
                f"{what}: the tile says {theirs.hex()[: 2 * HASH_SIZE]}, its content gives"
                f" {ours.hex()}",
            )
