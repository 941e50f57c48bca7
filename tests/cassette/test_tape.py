"""The file of a recording: damaged ones are refused by name, whole ones come back as written."""

from pathlib import Path

import pytest

from sandbox.cassette import tape
from sandbox.cassette.tape import (
    Cassette,
    CassetteDamaged,
    CassetteOfAnotherVersion,
    CassetteUnreadable,
)
from sandbox.core.canonical import canonical

STEP = {"kind": "exchange", "method": "GET", "path": "/v1/payouts", "status": 200, "answer": None}
EVENT = {"kind": "event", "id": "evt_1", "type": "payment.final", "data": {}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "one.jsonl"
    tape.write(found, Cassette(tape.header(seed=42, api="http://127.0.0.1:1"), [STEP], [EVENT]))
    return found


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CassetteUnreadable, match="No such file"):
        tape.read(tmp_path / "none.jsonl")


@pytest.mark.parametrize("size", [0, 1, 60])
def test_a_file_that_is_something_else_is_refused(size: int, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'{"a":1}\n'[:size] * 2)
    with pytest.raises(CassetteDamaged, match="line 1"):
        tape.read(tmp_path / "x")


def test_a_file_that_is_cut_off_anywhere_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CassetteDamaged):
            tape.read(path)


def test_a_changed_byte_is_found_wherever_it_is(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((CassetteDamaged, CassetteOfAnotherVersion)):
            tape.read(path)


def test_a_line_that_was_taken_out_is_missed(path: Path) -> None:
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"".join(rest))
    assert second
    with pytest.raises(CassetteDamaged, match="lines are missing"):
        tape.read(path)


def test_a_later_version_is_refused_as_such(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    with pytest.raises(CassetteOfAnotherVersion, match="version 2"):
        tape.read(path)


def test_what_was_written_is_read_and_each_line_is_canonical(path: Path) -> None:
    found = tape.read(path)
    assert (found.steps, found.events, found.header["seed"]) == ([STEP], [EVENT], 42)
    for line, value in zip(path.read_bytes().splitlines(), found.lines(), strict=False):
        assert line == canonical(value)
