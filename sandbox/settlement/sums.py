"""The arithmetic of a batch: what becomes of each chain's money, and of fees nothing is left to
pay. Pure integers in tiyn; the offline verifier computes with the same functions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sandbox.core.money import BPS_PER_WHOLE

RESERVE_PART: Final = 2
"""A batch keeps at most one part in so many of a chain's net for the refund reserve."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One chain's money of a batch: `burned` holds `fee`; `reserved` < 0 was given back."""

    burned: int
    fee: int
    reserved: int
    to_wallet: int

    @property
    def in_tenge(self) -> int:
        """What the burn leaves to be paid out."""
        return self.burned - self.fee


def parts(kept: int, fees: int, *, reserve: int, wallet_bps: int) -> Parts:
    """Divide `kept` (gross less refunds) of one chain, of which `fees` are due.

    `reserve` > 0 is what the refund reserve lacks, < 0 what it gives back. `wallet_bps` of the rest
    goes to the merchant's wallet, rounded down; all else is burned. The fee comes first.
    """
    assert kept >= 0
    assert fees >= 0
    units = kept + max(0, -reserve)
    fee = min(fees, units)
    net = units - fee
    held_back = min(max(0, reserve), net // RESERVE_PART)
    to_wallet = (net - held_back) * wallet_bps // BPS_PER_WHOLE
    return Parts(units - held_back - to_wallet, fee, held_back + min(0, reserve), to_wallet)


@dataclass(frozen=True, slots=True)
class Owed:
    """What a batch has in tenge, and which fees it takes of it.

    `opening`: fees that earlier batches left unpaid; `added`: those of this one that no burn pays;
    `collected`: taken out of `tenge`. `net` is what is left, below zero what is still owed.
    """

    opening: int
    added: int
    tenge: int

    @property
    def collected(self) -> int:
        return min(self.opening + self.added, self.tenge)

    @property
    def net(self) -> int:
        return self.tenge - self.opening - self.added


def owed(openings: Iterable[int], fees: int, burns: Iterable[tuple[int, int]]) -> Owed:
    """Of the openings (below zero: fees owed), the lines' fees, and (amount, fee) of each burn."""
    openings, burns = list(openings), list(burns)
    paid = sum(fee for _, fee in burns)
    assert paid <= fees
    return Owed(
        opening=-sum(one for one in openings if one < 0),
        added=fees - paid,
        tenge=sum(one for one in openings if one > 0) + sum(amount for amount, _ in burns) - paid,
    )
