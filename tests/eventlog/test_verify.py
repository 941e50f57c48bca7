from pathlib import Path

import pytest

from sandbox.eventlog.report import Report
from sandbox.eventlog.sources import Unreadable
from sandbox.eventlog.verify import verify_export, verify_source
from tests.eventlog.logs import Files, MemoryLog, entry


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_every_flipped_byte_of_a_small_export_is_found(tmp_path: Path) -> None:
    log = MemoryLog([entry(i) for i in range(3)])
    folder = log.export(tmp_path / "export")
    names = {str(path.relative_to(folder)) for path in all_files(folder)}
    assert names == {"checkpoint", "vkey", "tile/0/000.p/3", "tile/entries/000.p/3"}
    flipped = 0
    for path in all_files(folder):
        good = path.read_bytes()
        for at in range(len(good)):
            path.write_bytes(good[:at] + bytes([good[at] ^ (1 << at % 8)]) + good[at + 1 :])
            report = verify_export(folder, log.vkey)
            assert not report.ok, f"byte {at} of {path.name}"
            assert all(finding.code and finding.where for finding in report.findings)
            flipped += 1
        path.write_bytes(good)
    assert flipped > 900
    assert verify_export(folder, log.vkey).ok


def test_a_changed_hash_of_any_level_is_found_and_named(tmp_path: Path) -> None:
    log = MemoryLog([entry(i) for i in range(300)])
    folder = log.export(tmp_path)
    for name, at in (("tile/0/000", 8000), ("tile/0/001.p/44", 0), ("tile/1/000.p/1", 31)):
        good = (folder / name).read_bytes()
        changed = bytearray(good)
        changed[at] ^= 1
        (folder / name).write_bytes(changed)
        report = verify_export(folder, log.vkey)
        assert [(finding.code, finding.where) for finding in report.findings] == [
            ("hash_differs", name)
        ]
        (folder / name).write_bytes(good)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("checkpoint", "checkpoint_missing"),
        ("tile/0/000.p/3", "tile_missing"),
        ("tile/entries/000.p/3", "entries_missing"),
    ],
)
def test_a_missing_file_is_found(tmp_path: Path, name: str, code: str) -> None:
    log = MemoryLog([entry(i) for i in range(3)])
    folder = log.export(tmp_path)
    (folder / name).unlink()
    assert code in codes(verify_export(folder, log.vkey))


def test_an_altered_entry_is_named_by_its_position_even_with_tiles_made_to_fit() -> None:
    log = MemoryLog([entry(i) for i in range(300)])
    forged = MemoryLog([*log.entries[:7], entry(7, "forged"), *log.entries[8:]])
    files = forged.files() | {"checkpoint": log.checkpoint()}
    assert codes(verify_source(Files(files), log.vkey)) == {"root_differs"}
    files |= {name: data for name, data in log.files().items() if name.startswith("tile/0/")}
    report = verify_source(Files(files), log.vkey)
    assert any("position 7" in finding.detail for finding in report.findings)


def test_another_key_is_refused(tmp_path: Path) -> None:
    log = MemoryLog([entry(0)])
    other = MemoryLog([entry(0)], "log.example/e2")
    folder = log.export(tmp_path)
    assert codes(verify_export(folder, other.vkey)) == {"vkey_differs", "checkpoint_bad"}
    assert codes(verify_export(folder, "nonsense")) == {"vkey_differs", "bad_vkey"}


def test_a_folder_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    assert codes(verify_export(tmp_path / "none", "x")) == {"unreadable"}


def test_signed_entries_that_are_no_leaves_are_found() -> None:
    log = MemoryLog([entry(0), b"{}", entry(2)])
    report = verify_source(Files(log.files()), log.vkey)
    assert [(f.code, f.where) for f in report.findings] == [("leaf_malformed", "position 1")]


def test_an_event_that_stands_twice_in_a_signed_log_is_found() -> None:
    log = MemoryLog([entry(0), entry(1), entry(0)])
    assert codes(verify_source(Files(log.files()), log.vkey)) == {"event_twice", "entry_twice"}


def test_a_shortened_log_is_found(tmp_path: Path) -> None:
    log = MemoryLog([entry(i) for i in range(300)])
    old = tmp_path / "old"
    old.write_bytes(log.checkpoint())
    shorter = MemoryLog(log.entries[:299])
    report = verify_source(Files(shorter.files()), log.vkey, since=old)
    assert codes(report) == {"log_shortened"}


@pytest.mark.parametrize("old_size", [1, 2, 255, 256, 257, 300])
def test_a_forked_log_is_found_though_every_signature_is_good(
    tmp_path: Path, old_size: int
) -> None:
    log = MemoryLog([entry(i) for i in range(300)])
    old = tmp_path / "old"
    old.write_bytes(log.checkpoint(old_size))
    forked = MemoryLog([entry(0, "forked"), *log.entries[1:], entry(300)])
    assert verify_source(Files(forked.files()), log.vkey).ok
    assert codes(verify_source(Files(forked.files()), log.vkey, since=old)) == {"log_forked"}


def test_an_old_checkpoint_that_is_forged_or_missing_is_found(tmp_path: Path) -> None:
    log = MemoryLog([entry(i) for i in range(3)])
    old = tmp_path / "old"
    old.write_bytes(log.checkpoint(2).replace(b"\n2\n", b"\n1\n"))
    assert codes(verify_source(Files(log.files()), log.vkey, since=old)) == {"checkpoint_bad"}
    missing = verify_source(Files(log.files()), log.vkey, since=tmp_path / "none")
    assert codes(missing) == {"since_unreadable"}


def test_an_export_of_an_incomplete_log_is_refused_and_leaves_no_checkpoint(
    tmp_path: Path,
) -> None:
    log = MemoryLog([entry(i) for i in range(300)])
    log.export(tmp_path)
    files = log.files()
    del files["tile/1/000.p/1"]
    broken = MemoryLog(log.entries)
    broken.files = lambda: files  # type: ignore[method-assign]  # a log without one of its tiles
    with pytest.raises(Unreadable, match="tile/1/000"):
        broken.export(tmp_path)
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_a_good_export_of_any_size_verifies_since_every_older_checkpoint(
    tmp_path: Path, size: int
) -> None:
    log = MemoryLog([entry(i) for i in range(size)])
    folder = log.export(tmp_path / "export")
    for old_size in {0, size // 2, max(0, size - 1), size}:
        old = tmp_path / "old"
        old.write_bytes(log.checkpoint(old_size))
        report = verify_export(folder, log.vkey, since=old)
        assert report.findings == []
        assert (report.size, report.entries, report.since_size) == (size, size, old_size)
        assert report.root == log.checkpoint_root()


def test_a_partial_tile_that_gave_way_to_the_full_one_is_read_from_it() -> None:
    grown = MemoryLog([entry(i) for i in range(256)])
    files = grown.files() | {"checkpoint": grown.checkpoint(200)}
    report = verify_source(Files(files), grown.vkey)
    assert report.ok
    assert report.entries == 200
