"""Money is whole tiyn, and its conversions lose nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core import money


@pytest.mark.parametrize(
    ("gross", "rate", "vat"),
    [
        (125050, 16, 17248),
        (125050, 12, 13398),
        (125050, 5, 5955),
        (11600, 16, 1600),
        (999, 16, 138),
        (1, 16, 0),
    ],
)
def test_vat_contained_in_a_price_follows_the_published_vectors(
    gross: int, rate: int, vat: int
) -> None:
    assert money.vat_included_tiyn(gross, rate) == vat


@given(st.integers(0, 10**14), st.integers(2, 9))
def test_tiyn_survive_the_way_to_units_and_back(amount: int, decimals: int) -> None:
    assert money.tiyn_from_units(money.units_from_tiyn(amount, decimals), decimals) == (amount, 0)


@given(st.integers(0, 10**15), st.integers(2, 9))
def test_a_remainder_below_one_tiyn_is_shown_and_not_rounded_away(
    units: int, decimals: int
) -> None:
    tiyn, rest = money.tiyn_from_units(units, decimals)
    assert money.units_from_tiyn(tiyn, decimals) + rest == units
    assert 0 <= rest < money.units_per_tiyn(decimals)


@given(st.integers(0, 10**13), st.integers(0, 10_000))
def test_a_fee_is_rounded_down_and_never_above_the_amount(amount: int, bps: int) -> None:
    fee = money.fee_tiyn(amount, bps)
    assert 0 <= fee <= amount
    assert fee * 10_000 <= amount * bps < (fee + 1) * 10_000


def test_amounts_read_as_people_write_them() -> None:
    assert money.format_units(250000, 2) == "2500"
    assert money.format_units(250050, 2) == "2500.5"
    assert money.format_units(5, 2) == "0.05"
    assert money.format_units(1_500_000, 6) == "1.5"
    assert money.format_tenge(125050) == "1\u00a0250,50\u00a0₸"
    assert money.format_tenge(-100) == "-1\u00a0₸"
