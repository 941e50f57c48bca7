"""Money as integers: tiyn off chain, base units of the token on chain (DESIGN 2)."""

from typing import Annotated

from pydantic import Field, StrictInt

BPS_PER_WHOLE = 10_000
TIYN_PER_TENGE = 100
MAX_SESSION_TIYN = 10**11
MAX_DEPOSIT_TIYN = 10**13
MAX_SUPPLY_TIYN = 9 * 10**14

SessionTiyn = Annotated[StrictInt, Field(ge=1, le=MAX_SESSION_TIYN, examples=[250000])]
"""An amount in tiyn that one checkout may ask for (CONTRACT 2)."""

DepositTiyn = Annotated[StrictInt, Field(ge=1, le=MAX_DEPOSIT_TIYN, examples=[100000000])]
"""An amount in tiyn of one deposit, mint or grant (CONTRACT 2)."""


def units_per_tiyn(decimals: int) -> int:
    """Base units of a token with `decimals` places in one tiyn."""
    assert 2 <= decimals <= 9
    return int(10 ** (decimals - 2))


def units_from_tiyn(amount_tiyn: int, decimals: int) -> int:
    """Tiyn as base units; exact."""
    return amount_tiyn * units_per_tiyn(decimals)


def tiyn_from_units(amount_units: int, decimals: int) -> tuple[int, int]:
    """Base units as (whole tiyn rounded down, remainder in units)."""
    return divmod(amount_units, units_per_tiyn(decimals))


def fee_tiyn(
    amount_tiyn: int,
    fee_bps: int,
    fixed_tiyn: int = 0,
    minimum_tiyn: int = 0,
    *,
    at_most_tiyn: int | None = None,
) -> int:
    """The merchant fee on `amount_tiyn`, rounded down once (LEDGER 2.3, Rounding).

    A share and a fixed part, at least the minimum, and never more than `at_most_tiyn` (without
    it: the amount itself).
    """
    at_most = amount_tiyn if at_most_tiyn is None else at_most_tiyn
    assert 0 <= amount_tiyn <= at_most
    assert 0 <= fee_bps <= BPS_PER_WHOLE
    assert fixed_tiyn >= 0
    assert minimum_tiyn >= 0
    fee = max(amount_tiyn * fee_bps // BPS_PER_WHOLE + fixed_tiyn, minimum_tiyn)
    return min(fee, at_most)


def vat_included_tiyn(gross_tiyn: int, rate_percent: int) -> int:
    """The VAT contained in a gross amount, half up (KAZAKHSTAN 2.4)."""
    assert gross_tiyn >= 0
    return (2 * gross_tiyn * rate_percent + 100 + rate_percent) // (2 * (100 + rate_percent))


def format_units(amount: int, decimals: int) -> str:
    """Units as a decimal number without trailing zeros, as URLs want it: `2500`, `0.5`."""
    whole, rest = divmod(abs(amount), 10**decimals)
    text = str(whole)
    if rest:
        text += "." + str(rest).zfill(decimals).rstrip("0")
    return ("-" if amount < 0 else "") + text


def format_tenge(amount_tiyn: int) -> str:
    """Tiyn for people, Kazakh and Russian style: `1 250,50 ₸` with no-break spaces."""
    whole, rest = divmod(abs(amount_tiyn), TIYN_PER_TENGE)
    text = f"{whole:,}".replace(",", "\u00a0")
    if rest:
        text += f",{rest:02d}"
    return ("-" if amount_tiyn < 0 else "") + text + "\u00a0₸"
