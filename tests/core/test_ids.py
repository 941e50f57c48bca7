"""Ids sort by sandbox time and fit ISO 20022 references."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sandbox.core import ids

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_an_id_fits_a_reference_of_35_characters() -> None:
    made = ids.new_id("case", AT)
    assert len(made) <= 35
    assert made.startswith("case_")
    assert made == made.lower()


def test_ids_of_one_millisecond_sort_by_order_of_making() -> None:
    made = [ids.new_id("evt", AT) for _ in range(100)]
    assert made == sorted(made)
    assert len(set(made)) == 100


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_later_ids_sort_after_earlier_ones(start_ms: int, gap_ms: int) -> None:
    first = ids.new_id("cs", AT + timedelta(milliseconds=start_ms))
    second = ids.new_id("cs", AT + timedelta(milliseconds=start_ms + gap_ms))
    assert first < second


def test_the_ulid_specifications_example_time_encodes_as_published() -> None:
    assert ids.encode_ulid(1469918176385, 0).startswith("01aryz6s41")
