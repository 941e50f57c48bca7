"""The offline verifier: a whole log against one public key, byte by byte.

It trusts nothing but the key: every entry is hashed anew, every tile compared with what the
entries give, the root with the signed checkpoint, and an older checkpoint with the same entries.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sandbox.eventlog import leaf as leaves
from sandbox.eventlog.checkpoint import Checkpoint, open_checkpoint
from sandbox.eventlog.merkle import HASH_SIZE, Tree, leaf_hash
from sandbox.eventlog.note import BadNote, Verifier
from sandbox.eventlog.sources import Folder, Refused, Running, Source, Unreadable
from sandbox.eventlog.tiles import MalformedTile, Tile, decode_bundle, decode_hashes, tiles_of

MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be: a stable code, where, and what."""

    code: str
    where: str
    detail: str


@dataclass(slots=True)
class Report:
    """What a verification found. `ok` is the whole answer; a log that cannot be read is not ok.

    `entries` is how many entries were read and hashed: 0 when only the public hash tiles of a
    running sandbox were checked, for want of a regulator's key.
    """

    origin: str = ""
    size: int = 0
    root: str = ""
    entries: int = 0
    since_size: int | None = None
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0

    @property
    def ok(self) -> bool:
        return not self.findings

    def add(self, code: str, where: str, detail: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(code, where, detail))
        else:
            self.more_findings += 1

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ok": self.ok}


def verify_export(path: Path, vkey: str, since: Path | None = None) -> Report:
    """Verify a folder that `export.write_export` wrote."""
    report = Report()
    try:
        source = Folder(path)
        stated = source.read("vkey")
    except Unreadable as error:
        report.add("unreadable", str(path), str(error))
        return report
    if stated is not None and stated != f"{vkey.strip()}\n".encode():
        report.add("vkey_differs", "vkey", "the export names another key than the one given")
    return _verify(source, vkey, since, report, with_entries=True)


def verify_url(
    url: str,
    vkey: str,
    api_key: str | None = None,
    since: Path | None = None,
    *,
    epoch: int | None = None,
) -> Report:
    """Verify a running sandbox; without a regulator's key its hash tiles only.

    The epoch that lives, or another, then `vkey` is that one's (`keys.of_epoch`).
    """
    source = Running(url, api_key, epoch=epoch)
    try:
        return _verify(source, vkey, since, Report(), with_entries=api_key is not None)
    finally:
        source.close()


def verify_source(source: Source, vkey: str, since: Path | None = None) -> Report:
    """Verify any source with all its entries."""
    return _verify(source, vkey, since, Report(), with_entries=True)


def _verify(
    source: Source, vkey: str, since: Path | None, report: Report, *, with_entries: bool
) -> Report:
    try:
        verifier = Verifier.parse(vkey.strip())
    except BadNote as error:
        report.add("bad_vkey", "vkey", str(error))
        return report
    try:
        checkpoint = _checkpoint(source.read("checkpoint"), verifier, "checkpoint", report)
        if checkpoint is None:
            return report
        report.origin, report.size = checkpoint.origin, checkpoint.size
        report.root = checkpoint.root.hex()
        old = None if since is None else _old_checkpoint(since, verifier, checkpoint, report)
        _check_tree(source, checkpoint, old, report, with_entries)
    except Refused as error:
        report.add("refused", "log", str(error))
    except Unreadable as error:
        report.add("unreadable", "log", str(error))
    return report


def _checkpoint(
    note: bytes | None, verifier: Verifier, where: str, report: Report
) -> Checkpoint | None:
    if note is None:
        report.add("checkpoint_missing", where, "there is no checkpoint")
        return None
    try:
        return open_checkpoint(note, verifier)
    except BadNote as error:
        report.add("checkpoint_bad", where, str(error))
        return None


def _old_checkpoint(
    path: Path, verifier: Verifier, newest: Checkpoint, report: Report
) -> Checkpoint | None:
    try:
        note = path.read_bytes()
    except OSError as error:
        report.add("since_unreadable", str(path), str(error))
        return None
    old = _checkpoint(note, verifier, str(path), report)
    if old is None:
        return None
    report.since_size = old.size
    if old.size > newest.size:
        report.add(
            "log_shortened", "checkpoint", f"it had {old.size} entries, now it has {newest.size}"
        )
        return None
    return old


def _check_tree(
    source: Source,
    checkpoint: Checkpoint,
    old: Checkpoint | None,
    report: Report,
    with_entries: bool,
) -> None:
    tree = Tree()
    nodes: dict[int, list[bytes]] = {}
    seen = _Seen()
    for tile in tiles_of(checkpoint.size):
        if tile.level > 0:
            _compare(source, tile, nodes[tile.level][tile.start : tile.start + tile.width], report)
            continue
        hashes = _leaf_hashes(source, tile, report, seen, with_entries)
        if hashes is None:
            # Whatever stands above a gap cannot be recomputed.
            return
        for level, index, hash_ in _extend(tree, hashes, old, report):
            assert index == len(nodes.setdefault(level, []))
            nodes[level].append(hash_)
    if old is not None and old.size == 0:
        _check_old(tree if checkpoint.size == 0 else Tree(), old, report)
    if tree.root() != checkpoint.root:
        report.add(
            "root_differs",
            "checkpoint",
            f"the tiles give {tree.root().hex()}, the checkpoint says {checkpoint.root.hex()}",
        )


def _extend(
    tree: Tree, hashes: list[bytes], old: Checkpoint | None, report: Report
) -> Iterator[tuple[int, int, bytes]]:
    """Grow the tree, stopping where the old checkpoint stood to compare the roots."""
    if old is not None and tree.size < old.size <= tree.size + len(hashes):
        before = old.size - tree.size
        yield from tree.extend(hashes[:before])
        _check_old(tree, old, report)
        hashes = hashes[before:]
    yield from tree.extend(hashes)


def _check_old(tree: Tree, old: Checkpoint, report: Report) -> None:
    if tree.root() != old.root:
        report.add(
            "log_forked",
            f"position {old.size}",
            f"its first {old.size} entries have the root {tree.root().hex()},"
            f" the older checkpoint says {old.root.hex()}",
        )


@dataclass(slots=True)
class _Seen:
    events: set[str] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)


def _leaf_hashes(
    source: Source, tile: Tile, report: Report, seen: _Seen, with_entries: bool
) -> list[bytes] | None:
    if not with_entries:
        return _tile(source, tile, report)
    where = tile.entries_path
    data = _read(source, where, tile.full_entries_path)
    if data is None:
        report.add("entries_missing", where, "there is no such bundle")
        return None
    try:
        if data[0] == tile.full_entries_path and where != data[0]:
            entries = decode_bundle(data[1], 256)[: tile.width]
        else:
            entries = decode_bundle(data[1], tile.width)
    except MalformedTile as error:
        report.add("bundle_malformed", where, str(error))
        return None
    report.entries += len(entries)
    for position, entry in enumerate(entries, tile.start):
        _check_leaf(entry, position, report, seen)
    hashes = [leaf_hash(entry) for entry in entries]
    _compare(source, tile, hashes, report)
    return hashes


def _check_leaf(entry: bytes, position: int, report: Report, seen: _Seen) -> None:
    where = f"position {position}"
    try:
        found = leaves.parse(entry)
    except leaves.MalformedLeaf as error:
        report.add("leaf_malformed", where, str(error))
        return
    if found["id"] in seen.events:
        report.add("event_twice", where, f"{found['id']} stands in the log before")
    seen.events.add(found["id"])
    for named in found["entries"]:
        if named["id"] in seen.entries:
            report.add("entry_twice", where, f"{named['id']} is named by an event before")
        seen.entries.add(named["id"])


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
