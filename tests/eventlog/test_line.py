"""The line of epochs of a restored world, verified offline: forged, missing, shortened, whole."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.eventlog.errors import BadReceipt
from sandbox.eventlog.keys import of_epoch
from sandbox.eventlog.merkle import carry_out, complete_root, inclusion_plan, leaf_hash
from sandbox.eventlog.proofs import verify_receipt
from sandbox.eventlog.report import Report
from sandbox.eventlog.verify import entries_of, line_of, verify_export, verify_source
from tests.eventlog.logs import Files, MemoryLog, entry, restored

KEPT = 300


def e(number: int) -> str:
    return f"log.example/e{number}"


FIRST = MemoryLog([entry(i) for i in range(310)])
# Of the first, 300 entries were kept; what it had behind them happens again in the second.
SECOND = MemoryLog([restored(2, FIRST, KEPT), *(entry(i) for i in range(KEPT, 320))], e(2))
THIRD = MemoryLog([restored(7, SECOND, 11), entry(900)], e(7))
ALL = {1: FIRST.files(), 2: SECOND.files()}


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.code, finding.where) for finding in report.findings]


def resigned(log: MemoryLog, number: int, forge: Callable[[list[bytes]], list[bytes]]) -> MemoryLog:
    """Another history under the right key."""
    return MemoryLog(forge(list(log.entries)), e(number))


def test_a_former_epoch_that_is_not_there_is_named() -> None:
    report = verify_source(Files(THIRD.files(), {2: SECOND.files()}), THIRD.vkey)
    assert found(report) == [("epoch_missing", "e1/")]
    assert "300 entries of log.example/e1" in report.findings[0].detail
    assert found(verify_source(Files(THIRD.files()), THIRD.vkey)) == [("epoch_missing", "e2/")]


@pytest.mark.parametrize("altered", [0, 150, KEPT - 1])
def test_a_former_epoch_rewritten_under_the_right_key_is_found(altered: int) -> None:
    forged = resigned(
        FIRST, 1, lambda all_: [*all_[:altered], entry(altered, "x"), *all_[altered + 1 :]]
    )
    assert verify_source(Files(forged.files()), FIRST.vkey).ok
    report = verify_source(Files(THIRD.files(), ALL | {1: forged.files()}), THIRD.vkey)
    assert found(report) == [("epoch_forked", f"e1/position {KEPT}")]


def test_what_was_left_behind_does_not_count_and_is_checked_all_the_same() -> None:
    other = resigned(FIRST, 1, lambda all_: [*all_[:KEPT], entry(999)])
    assert verify_source(Files(THIRD.files(), ALL | {1: other.files()}), THIRD.vkey).ok
    twice = resigned(FIRST, 1, lambda all_: [*all_[:KEPT], entry(7)])
    report = verify_source(Files(THIRD.files(), ALL | {1: twice.files()}), THIRD.vkey)
    assert {code for code, _ in found(report)} == {"event_twice", "entry_twice"}


def test_a_former_epoch_with_less_than_was_kept_is_found() -> None:
    shorter = MemoryLog(FIRST.entries[: KEPT - 1])
    report = verify_source(Files(THIRD.files(), ALL | {1: shorter.files()}), THIRD.vkey)
    assert found(report) == [("epoch_shortened", "e1/checkpoint")]


def test_a_former_epoch_signed_by_another_key_or_for_another_epoch_is_found() -> None:
    for files in (FIRST.files() | {"checkpoint": SECOND.checkpoint()}, SECOND.files()):
        report = verify_source(Files(THIRD.files(), ALL | {1: files}), THIRD.vkey)
        assert found(report) == [("checkpoint_bad", "e1/checkpoint")]


@pytest.mark.parametrize("part", ["tile/entries/000", "tile/0/001.p/54", "tile/1/000.p/1"])
def test_a_changed_byte_of_a_former_epoch_is_found_where_it_is(part: str) -> None:
    files = FIRST.files()
    files[part] = files[part][:-1] + bytes([files[part][-1] ^ 1])
    report = verify_source(Files(THIRD.files(), ALL | {1: files}), THIRD.vkey)
    assert not report.ok
    assert all(finding.where.startswith("e1/") for finding in report.findings)


@pytest.mark.parametrize(
    "changed",
    [
        {"epoch": 7, "origin": e(7)},
        {"epoch": 9, "origin": e(9)},
        {"epoch": 0},
        {"origin": e(3)},
        {"origin": "another.example/e2"},
        {"size": 0},
        {"size": "11"},
        {"root": "AAAA"},
        {"root": None},
    ],
)
def test_an_epoch_that_names_no_former_one_is_refused(changed: dict[str, Any]) -> None:
    log = MemoryLog([restored(7, SECOND, 11, changed)], e(7))
    report = verify_source(Files(log.files(), ALL), log.vkey)
    assert found(report) == [("epoch_unfounded", "position 0")]


def test_an_epoch_that_hides_where_it_comes_from_is_refused() -> None:
    log = MemoryLog([entry(1), entry(2)], e(7))
    assert found(verify_source(Files(log.files(), ALL), log.vkey)) == [
        ("epoch_unfounded", "position 0")
    ]
    first = MemoryLog([restored(1, SECOND, 11)])
    assert found(verify_source(Files(first.files(), ALL), first.vkey)) == [
        ("epoch_unfounded", "position 0")
    ]


def test_an_event_of_a_former_epoch_stands_in_no_later_one() -> None:
    log = MemoryLog([restored(7, SECOND, 11), entry(KEPT + 3)], e(7))
    report = verify_source(Files(log.files(), ALL), log.vkey)
    assert found(report) == [("event_twice", "position 1"), ("entry_twice", "position 1")]
    again = MemoryLog([restored(7, SECOND, 11), entry(KEPT + 15)], e(7))
    assert verify_source(Files(again.files(), ALL), again.vkey).ok


def test_a_whole_line_verifies_and_tells_what_counts_of_each(tmp_path: Path) -> None:
    report = verify_source(Files(THIRD.files(), ALL), THIRD.vkey)
    assert (report.findings, report.size, report.entries) == ([], 2, 2)
    assert [(one.epoch, one.size, one.kept_size) for one in report.former] == [
        (2, 21, 11),
        (1, 310, KEPT),
    ]
    entries = [
        leaf
        for epoch in line_of(Files(THIRD.files(), ALL), THIRD.vkey)
        for leaf in entries_of(epoch)
    ]
    assert entries == [*FIRST.entries[:KEPT], *SECOND.entries[:11], *THIRD.entries]
    # As folders: an export with its former epochs within, and each of those beside the other.
    THIRD.export(tmp_path)
    for number, log in ((1, FIRST), (2, SECOND)):
        log.export(tmp_path / f"e{number}")
    assert verify_export(tmp_path, THIRD.vkey) == report
    assert verify_export(tmp_path / "e2", SECOND.vkey).ok
    assert verify_export(tmp_path / "e1", FIRST.vkey).ok


@pytest.mark.parametrize(
    ("log", "size", "codes"),
    [
        (FIRST, KEPT - 1, []),
        (FIRST, KEPT, []),
        (FIRST, KEPT + 1, ["world_restored"]),
        (SECOND, 11, []),
        (SECOND, 12, ["world_restored"]),
        (THIRD, 1, []),
    ],
)
def test_an_older_checkpoint_of_a_former_epoch_is_found_again(
    tmp_path: Path, log: MemoryLog, size: int, codes: list[str]
) -> None:
    (tmp_path / "monday").write_bytes(log.checkpoint(size))
    report = verify_source(Files(THIRD.files(), ALL), THIRD.vkey, tmp_path / "monday")
    assert ([code for code, _ in found(report)], report.since_size) == (codes, size)
    forged = MemoryLog([entry(0, "forged"), *log.entries[1:]], log.signer.name)
    (tmp_path / "monday").write_bytes(forged.checkpoint(size))
    report = verify_source(Files(THIRD.files(), ALL), THIRD.vkey, tmp_path / "monday")
    assert "log_forked" in [code for code, _ in found(report)]


def receipt(log: MemoryLog, epoch: int, position: int, size: int, **more: Any) -> dict[str, Any]:
    hashes = [leaf_hash(one) for one in log.entries[:size]]
    proof = carry_out(
        inclusion_plan(position, size),
        lambda place: complete_root(hashes[place[1] << place[0] : (place[1] + 1) << place[0]]),
    )
    return {
        "epoch": epoch,
        "position": position,
        "leaf": base64.b64encode(log.entries[position]).decode(),
        "proof": [base64.b64encode(one).decode() for one in proof],
        "checkpoint": log.checkpoint(size).decode(),
        **more,
    }


LINKS = [receipt(THIRD, 7, 0, 2), receipt(SECOND, 2, 0, 11)]


def test_a_receipt_of_a_former_epoch_is_proven_to_be_of_this_world() -> None:
    assert verify_receipt(receipt(FIRST, 1, 299, KEPT, continued=LINKS), THIRD.vkey) == 299
    assert verify_receipt(receipt(SECOND, 2, 10, 11, continued=LINKS[:1]), THIRD.vkey) == 10
    assert verify_receipt(receipt(SECOND, 2, 10, 11, continued=LINKS), THIRD.vkey) == 10
    assert verify_receipt(receipt(THIRD, 7, 1, 2), THIRD.vkey) == 1
    # By itself it is one of its own epoch, as it was before.
    assert verify_receipt(receipt(FIRST, 1, 305, 310), of_epoch(THIRD.vkey, 1)) == 305


FAR = resigned(SECOND, 2, lambda all_: [restored(2, FIRST, 309), *all_[1:]])


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (receipt(FIRST, 1, 299, KEPT), "nothing in it shows that epoch 7 goes on from there"),
        (receipt(FIRST, 1, 299, KEPT, continued=LINKS[:1]), "nothing in it shows"),
        (receipt(FIRST, 1, 299, KEPT, continued=LINKS[1:]), "no signature of a known key"),
        # It never happened in this world, though its log was signed.
        (receipt(FIRST, 1, 305, 310, continued=LINKS), "take the receipt anew"),
        (receipt(FIRST, 1, 299, KEPT + 1, continued=LINKS), "take the receipt anew"),
        (
            receipt(FIRST, 1, 305, 309, continued=[LINKS[0], receipt(FAR, 2, 0, 21)]),
            "take the receipt anew",
        ),
        (receipt(FIRST, 1, 299, KEPT, continued=[LINKS[0], receipt(SECOND, 2, 1, 11)]), "leaf 0"),
        (receipt(FIRST, 1, 299, KEPT, continued=[*LINKS, LINKS[1]]), "no signature"),
        (receipt(FIRST, 1, 299, KEPT, continued=[*LINKS, receipt(FIRST, 1, 0, KEPT)]), "no other"),
        (receipt(FIRST, 1, 299, KEPT, continued=[{}]), "checkpoint"),
        (receipt(FIRST, 1, 299, KEPT, continued="x"), "str"),
        (receipt(FIRST, 1, 299, KEPT, continued=None), "NoneType"),
    ],
)
def test_a_receipt_that_shows_no_way_to_its_epoch_is_refused(
    shown: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(BadReceipt, match=reason):
        verify_receipt(shown, THIRD.vkey)
