"""Durations as people type them: what is read, and what is refused."""

import pytest

from sandbox.cli.duration import NotADuration, milliseconds, seconds


@pytest.mark.parametrize(
    ("text", "read_s"), [("0s", 0), ("90s", 90), ("15m", 900), ("1d12h", 129_600)]
)
def test_a_duration_is_read_in_seconds(text: str, read_s: int) -> None:
    assert seconds(text) == read_s
    assert milliseconds(text) == read_s * 1000


def test_milliseconds_are_read_where_they_matter() -> None:
    assert milliseconds("500ms") == 500
    with pytest.raises(NotADuration):
        seconds("500ms")


@pytest.mark.parametrize("text", ["", "5", "s", "-5m", "1.5h", "5 m", "٥m", "५ms", "9" * 10 + "s"])
def test_what_is_no_duration_is_refused_also_in_digits_of_another_script(text: str) -> None:
    for read in (seconds, milliseconds):
        with pytest.raises(NotADuration, match="write 90s"):
            read(text)
