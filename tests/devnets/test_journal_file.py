"""A journal gives way to a shorter one that another thread wrote while it went on growing."""

import os
import threading
from pathlib import Path

import pytest

from sandbox.devnets.journal_file import JournalFile, Place, Successor


def payloads(path: Path) -> list[bytes]:
    with JournalFile(path) as journal:
        return [payload for payload, _ in journal.payloads()]


def grown(path: Path, frames: int) -> tuple[JournalFile, list[Place]]:
    journal = JournalFile(path)
    return journal, journal.append([b"frame %d" % n * (n + 1) for n in range(frames)])


def test_frames_that_came_while_its_successor_was_written_go_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.bin"
    journal, places = grown(path, 9)
    kept = [places[2], places[3], places[6]]
    successor = Successor(journal, [b"head"], kept, [b"tail"])
    [later] = journal.append([b"while it is written"])
    writer = threading.Thread(target=successor.write)
    writer.start()
    writer.join()
    [last] = journal.append([b"before it takes over"])
    moved = journal.give_way(successor)
    [after] = journal.append([b"after"])
    frames = [b"head", *(b"frame %d" % n * (n + 1) for n in (2, 3, 6)), b"tail"]
    frames += [b"while it is written", b"before it takes over", b"after"]
    with JournalFile(path) as again:
        found = list(again.payloads())
    assert [payload for payload, _ in found] == frames
    at = dict(found)
    assert moved == [at[frame] for frame in frames[1:4]]
    for (offset, length), frame in ((later, frames[5]), (last, frames[6])):
        assert at[frame] == (offset + successor.shift, length)
    assert at[b"after"] == after
    journal.close()


def test_a_successor_that_is_never_taken_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.bin"
    journal, places = grown(path, 4)
    before = path.read_bytes()
    Successor(journal, [b"head"], places[2:], []).write()
    journal.close()
    assert path.read_bytes() == before
    assert len(payloads(path)) == 4


@pytest.mark.parametrize("fails", ["write", "give_way"])
def test_a_successor_without_room_leaves_the_journal_and_nothing_else(
    tmp_path: Path, fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.bin"
    journal, places = grown(path, 4)
    successor = Successor(journal, [b"head"], places[1:], [])
    if fails == "give_way":
        successor.write()
        journal.append([b"one more"])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "sendfile", full)
    with pytest.raises(OSError, match="No space left"):
        successor.write() if fails == "write" else journal.give_way(successor)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["journal.bin"]
    journal.append([b"it goes on"])
    journal.close()
    assert payloads(path)[-1] == b"it goes on"
