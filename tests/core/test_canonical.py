"""RFC 8785 bytes, the slow way and the quick one."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.canonical import canonical, canonical_exact

TEXT = st.text() | st.text(alphabet='\x00\x1f\x7f"\\/\b\t\n\u20ac\ue000\U0001f600.e1:,[-')
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@pytest.mark.parametrize("value", [2**53, -(2**53), {"a": [2**60]}, {1: 2}, {"a": object()}])
def test_what_the_form_cannot_hold_is_refused_by_both(value: Any) -> None:
    for form in (canonical, canonical_exact):
        with pytest.raises(ValueError, match=r".+"):
            form(value)


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r".+"):
        canonical({"a": math.nan})


@given(VALUES)
def test_both_ways_give_the_same_bytes(value: Any) -> None:
    assert canonical_exact(value) == canonical(value)


@pytest.mark.parametrize("value", [1.0, 1e21, 1e-7, 0.1, -0.0, 123456789.5])
def test_a_fraction_goes_the_slow_way_and_keeps_its_form(value: float) -> None:
    for holder in ([value], {"a": value}, [1, value], value):
        assert canonical_exact(holder) == canonical(holder)


def test_keys_are_in_the_order_of_utf_16() -> None:
    keys = {"\U0001f600": 1, "\ue000": 2, "\u20ac": 3, "a": 4}
    assert canonical_exact(keys) == '{"a":4,"€":3,"😀":1,"\ue000":2}'.encode()
