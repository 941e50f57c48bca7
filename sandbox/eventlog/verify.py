"""The offline verifier: a world's log against one public key, down to its first epoch.

It trusts nothing but the key: every entry is hashed anew, every tile compared with what the
entries give, the root with the signed checkpoint, an older checkpoint with the same entries, and
each former epoch with what the one that goes on from it says of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.eventlog import line
from sandbox.eventlog.checkpoint import Checkpoint, open_checkpoint
from sandbox.eventlog.keys import of_epoch
from sandbox.eventlog.leaf import MalformedLeaf
from sandbox.eventlog.note import BadNote, Verifier
from sandbox.eventlog.report import Former, Report
from sandbox.eventlog.sources import Folder, Refused, Running, Source, Unreadable
from sandbox.eventlog.tiles import tiles_of
from sandbox.eventlog.verify_tree import Mark, Seen, check_tree, read_entries


@dataclass(frozen=True, slots=True)
class Epoch:
    """One log of a world's line, as it was read; of a former one, `kept` is what counts of it."""

    source: Source
    number: int
    verifier: Verifier
    checkpoint: Checkpoint
    kept: Checkpoint | None
    within: str

    @property
    def kept_size(self) -> int:
        return (self.kept or self.checkpoint).size


def verify_export(path: Path, vkey: str, since: Path | None = None) -> Report:
    """Verify a folder that `export.export_url` wrote, or one of a former epoch."""
    report = Report()
    try:
        source = Folder(path)
        stated = source.read("vkey")
    except Unreadable as error:
        report.add("unreadable", str(path), str(error))
        return report
    if stated is not None and stated != f"{vkey.strip()}\n".encode():
        report.add("vkey_differs", "vkey", _difference(stated, vkey))
    return _verify(source, vkey, since, report, with_entries=True)


def _difference(stated: bytes, vkey: str) -> str:
    try:
        theirs, given = Verifier.parse(stated.decode().strip()), Verifier.parse(vkey.strip())
    except ValueError:
        return "the export names another key than the one given"
    epoch = line.epoch_of(theirs)
    if of_epoch(given.vkey, epoch) != theirs.vkey:
        return "the export names another key than the one given"
    return (
        f"the export is the log of {theirs.name}, the key is given as that of {given.name}:"
        f" a world that was restored goes on in an epoch of its own (--epoch {epoch})"
    )


def verify_url(
    url: str,
    vkey: str,
    api_key: str | None = None,
    since: Path | None = None,
    *,
    epoch: int | None = None,
) -> Report:
    """Verify a running sandbox; without a regulator's key its hash tiles of one epoch only.

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


def line_of(source: Source, vkey: str) -> list[Epoch]:
    """The epochs of a log, the first of all first; their trees are not verified here.

    Raises `Unreadable`, also when the line is broken.
    """
    report = Report()
    epochs = _line(source, Verifier.parse(vkey.strip()), report, with_entries=True)
    for finding in report.findings:
        raise Unreadable(f"{finding.where}: {finding.detail} ({finding.code})")
    return epochs[::-1]


def entries_of(epoch: Epoch) -> Iterator[bytes]:
    """What of a verified epoch is its world's, in the order of the log. Raises `Unreadable`."""
    left = epoch.kept_size
    for tile in tiles_of(epoch.checkpoint.size):
        if tile.level > 0 or left <= 0:
            return
        entries = read_entries(epoch.source, tile, Report())
        if entries is None:
            raise Unreadable(f"{epoch.within}{tile.entries_path}: cannot be read any more")
        yield from entries[:left]
        left -= len(entries)


def _verify(
    source: Source, vkey: str, since: Path | None, report: Report, *, with_entries: bool
) -> Report:
    try:
        verifier = Verifier.parse(vkey.strip())
    except BadNote as error:
        report.add("bad_vkey", "vkey", str(error))
        return report
    try:
        epochs = _line(source, verifier, report, with_entries)
        if not epochs:
            return report
        newest = epochs[0].checkpoint
        report.origin, report.size, report.root = newest.origin, newest.size, newest.root.hex()
        report.former = [
            Former(one.number, one.checkpoint.origin, one.checkpoint.size, one.kept_size)
            for one in epochs[1:]
        ]
        old = None if since is None else _old_checkpoint(since, epochs, report)
        seen = Seen()
        for one in reversed(epochs):
            _check(one, old, seen, report, with_entries)
    except Refused as error:
        report.add("refused", "log", str(error))
    except Unreadable as error:
        report.add("unreadable", "log", str(error))
    return report


def _check(
    one: Epoch, old: tuple[Epoch, Checkpoint] | None, seen: Seen, report: Report, with_entries: bool
) -> None:
    marks = []
    if one.kept is not None:
        marks.append(Mark(one.kept, "epoch_forked", "the epoch that goes on from there"))
    if old is not None and old[0] is one:
        marks.append(Mark(old[1], "log_forked", "the older checkpoint"))
    found = Report()
    try:
        check_tree(
            one.source,
            one.checkpoint,
            marks,
            found,
            seen,
            with_entries=with_entries,
            kept_size=one.kept_size,
        )
    finally:
        report.take(found, one.within)
    if one.kept is None:
        report.entries = found.entries


def _line(source: Source, verifier: Verifier, report: Report, with_entries: bool) -> list[Epoch]:
    """The epochs down to the first as they say themselves, the newest first; verifies no tree."""
    epochs: list[Epoch] = []
    kept: line.Kept | None = None
    beside: Source | None = source
    while True:
        within = "" if kept is None else f"e{kept.epoch}/"
        if kept is not None:
            verifier, beside = kept.verifier, source.epoch(kept.epoch)
        note = None if beside is None else beside.read("checkpoint")
        if kept is not None and (beside is None or note is None):
            report.add(
                "epoch_missing",
                within,
                f"the log goes on from {kept.checkpoint.size} entries of {verifier.name},"
                " which is not there: export it anew",
            )
            return epochs
        checkpoint = _checkpoint(note, verifier, f"{within}checkpoint", report)
        if checkpoint is None or beside is None:
            return epochs
        if kept is not None and checkpoint.size < kept.checkpoint.size:
            report.add(
                "epoch_shortened",
                f"{within}checkpoint",
                f"{kept.checkpoint.size} entries of it were kept, now it has {checkpoint.size}",
            )
        number = line.epoch_of(verifier)
        of_it = None if kept is None else kept.checkpoint
        epochs.append(Epoch(beside, number, verifier, checkpoint, of_it, within))
        if not with_entries:
            return epochs
        kept = _kept_by(epochs[-1], report)
        if kept is None:
            return epochs


def _kept_by(epoch: Epoch, report: Report) -> line.Kept | None:
    tile = next((tile for tile in tiles_of(epoch.checkpoint.size) if tile.level == 0), None)
    if tile is None:
        return None
    # What cannot be read or parsed is found, and named, in the check of its tree.
    entries = read_entries(epoch.source, tile, Report())
    try:
        return line.kept_by(entries[0], epoch.verifier) if entries else None
    except MalformedLeaf:
        return None
    except line.BrokenLine as error:
        report.add("epoch_unfounded", f"{epoch.within}position 0", str(error))
        return None


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
    path: Path, epochs: Sequence[Epoch], report: Report
) -> tuple[Epoch, Checkpoint] | None:
    """The older checkpoint and the epoch that it is of."""
    try:
        note = path.read_bytes()
    except OSError as error:
        report.add("since_unreadable", str(path), str(error))
        return None
    origin = note.split(b"\n")[0].decode(errors="replace")
    epoch = next((one for one in epochs if one.verifier.name == origin), epochs[0])
    old = _checkpoint(note, epoch.verifier, str(path), report)
    if old is None:
        return None
    report.since_size = old.size
    if old.size > epoch.checkpoint.size:
        report.add(
            "log_shortened",
            f"{epoch.within}checkpoint",
            f"it had {old.size} entries, now it has {epoch.checkpoint.size}",
        )
        return None
    if old.size > epoch.kept_size:
        report.add(
            "world_restored",
            str(path),
            f"the world went back to the first {epoch.kept_size} of the {old.size} entries of"
            f" {origin}; that log still has them: verify it by itself (--epoch {epoch.number})",
        )
    return epoch, old
