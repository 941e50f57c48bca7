"""Reading events over breaks: nothing is left out unnoticed, nothing is read twice."""

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from sandbox.cli.endpoints import ApiError, NotRunning
from sandbox.cli.following import Arrival, Follower, NotAStream, Note, Start
from sandbox.cli.listeners import Place
from tests.cli.servers import FakeSandbox, event, fake_sandbox


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeSandbox]:
    with fake_sandbox(tmp_path / "data") as made:
        yield made


class Reader:
    def __init__(self, data_dir: Path, start: Start, key: str | None = None) -> None:
        self.notes: list[Note] = []
        self.slept: list[float] = []
        self.follower = Follower(
            data_dir, "merchant", key, start, self.notes.append, self.slept.append
        )

    def take(self, count: int) -> list[Arrival]:
        with closing(self.follower.events()) as arrivals:
            return list(islice(arrivals, count))

    @property
    def kinds(self) -> list[str]:
        return [note.kind for note in self.notes]


def numbers(arrivals: list[Arrival]) -> list[int]:
    return [arrival.event["sequence"] for arrival in arrivals]


def test_without_a_sandbox_reading_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        Reader(tmp_path, "now").take(1)


def test_what_is_no_stream_is_refused_by_name(fake: FakeSandbox, tmp_path: Path) -> None:
    fake.html = True
    with pytest.raises(NotAStream, match="text/html"):
        Reader(tmp_path / "data", "now").take(1)


def test_a_wrong_key_is_refused_and_not_tried_again(fake: FakeSandbox, tmp_path: Path) -> None:
    reader = Reader(tmp_path / "data", "now", key="sk_sbx_of_nobody")
    with pytest.raises(ApiError, match="unauthenticated"):
        reader.take(1)
    assert reader.slept == []


def test_a_gap_in_the_stream_is_told_and_filled_in_order(fake: FakeSandbox, tmp_path: Path) -> None:
    fake.not_streamed = set(range(3, 251)) | {252}
    fake.happen(*(event(n) for n in range(1, 254)))
    reader = Reader(tmp_path / "data", "beginning")
    taken = reader.take(253)
    assert numbers(taken) == list(range(1, 254))
    assert [one.event["sequence"] for one in taken if one.filled] == [*range(3, 251), 252]
    assert reader.kinds == ["listening", "gap", "filled", "gap", "filled"]
    assert reader.notes[1].values == {"epoch": 1, "first": 3, "last": 250}
    assert reader.notes[1].text.startswith("GAP: sequences 3 to 250")
    assert reader.follower.lost == 0


def test_events_that_are_nowhere_are_told_as_lost_and_the_rest_comes(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    fake.not_streamed, fake.not_listed = {2, 3, 4}, {3}
    fake.happen(*(event(n) for n in range(1, 6)))
    reader = Reader(tmp_path / "data", "beginning")
    assert numbers(reader.take(4)) == [1, 2, 4, 5]
    assert reader.kinds == ["listening", "gap", "lost"]
    assert reader.notes[-1].values["missing"] == reader.follower.lost == 1


def test_after_a_break_reading_goes_on_behind_the_last_event(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    fake.happen(event(1), event(2))
    reader = Reader(tmp_path / "data", "beginning")
    with closing(reader.follower.events()) as arrivals:
        assert numbers(list(islice(arrivals, 2))) == [1, 2]
        fake.cut()
        fake.happen(event(3))
        assert numbers(list(islice(arrivals, 1))) == [3]
    assert fake.cursors == ["", "1:2"]
    assert reader.kinds == ["listening", "away", "back"]


def test_a_reader_from_now_that_is_cut_off_before_the_first_event_misses_none(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    fake.happen(event(1))
    reader = Reader(tmp_path / "data", "now")
    seen = threading.Event()
    reader.follower._tell = lambda note: (reader.notes.append(note), seen.set())[0]
    taken: list[Arrival] = []
    thread = threading.Thread(target=lambda: taken.extend(reader.take(1)))
    thread.start()
    assert seen.wait(60)
    with fake.changed:  # between one connection and the next
        fake.breaks += 1
        fake.log.append(event(2))
        fake.changed.notify_all()
    thread.join(60)
    assert numbers(taken) == [2]
    assert fake.cursors == ["latest", "1:1"]


def test_a_restored_world_is_told_and_read_from_its_first_event(
    fake: FakeSandbox, tmp_path: Path
) -> None:
    fake.happen(event(1), event(2))
    reader = Reader(tmp_path / "data", Place(1, 1))
    with closing(reader.follower.events()) as arrivals:
        assert numbers(list(islice(arrivals, 1))) == [2]
        fake.restore(2)
        fake.happen(event(1, epoch=2))
        [first] = islice(arrivals, 1)
    assert first.place == Place(2, 1)
    assert reader.kinds == ["listening", "restored"]
    assert reader.notes[-1].values == {"before": "1:2", "epoch": 2}


def test_what_is_sent_again_comes_and_moves_no_place(fake: FakeSandbox, tmp_path: Path) -> None:
    fake.happen(event(1), event(2))
    reader = Reader(tmp_path / "data", "beginning")
    with closing(reader.follower.events()) as arrivals:
        list(islice(arrivals, 2))
        fake.resend(event(1))
        [again] = islice(arrivals, 1)
        assert (again.event["sequence"], again.place) == (1, None)
        assert reader.follower.place == Place(1, 2)
        fake.happen(event(3))
        assert numbers(list(islice(arrivals, 1))) == [3]
    assert reader.kinds == ["listening"]
