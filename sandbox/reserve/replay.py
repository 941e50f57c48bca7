"""Supply, reserve and debts recomputed from the leaves of a log, with no other source. Pure.

Every event that posts or voids entries has a rule here, be it that it changes none of these
figures; one without a rule is named, because what it moved cannot be known.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Leaf = Mapping[str, Any]


@dataclass(slots=True)
class Figures:
    """What the log up to some position adds up to: units per chain, the rest in tiyn."""

    decimals: Mapping[str, int]
    units: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    assets: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    debts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    unknown: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[str, ...]] = field(default_factory=set)

    def take(self, leaf: Leaf) -> None:
        """Count one leaf in; leaves come in the order of the log."""
        type_ = leaf["type"]
        rule = RULES.get(type_)
        if rule is not None:
            rule(self, leaf["data"])
        elif leaf["entries"] and not type_.startswith(_WITHIN):
            self.unknown.setdefault(type_, leaf["id"])

    def is_first(self, *what: str) -> bool:
        """Whether this was not told before: some events show more than what is new."""
        is_new = what not in self.seen
        self.seen.add(what)
        return is_new

    def minted(self, chain: str, tiyn: int) -> None:
        self.units[chain] += tiyn * 10 ** (self.decimals.get(chain, 2) - 2)
        self.debts["outstanding_tiyn"] += tiyn

    def burned(self, chain: str, units: int) -> int:
        """Units that are gone; returns the whole tiyn that were owed for them."""
        self.units[chain] -= units
        tiyn = units // 10 ** (self.decimals.get(chain, 2) - 2)
        self.debts["outstanding_tiyn"] -= tiyn
        return int(tiyn)


def _deposited(now: Figures, data: Leaf) -> None:
    now.assets["bank_tiyn"] += int(data["amount_tiyn"])
    now.debts["unminted_tiyn"] += int(data["amount_tiyn"])


def _issued(now: Figures, data: Leaf) -> None:
    now.minted(data["chain"], int(data["amount_tiyn"]))
    now.debts["unminted_tiyn"] -= int(data["amount_tiyn"])


def _holder_burned(now: Figures, data: Leaf) -> None:
    if data.get("proposal") == "holder_burn":
        tiyn = now.burned(data["chain"], int(data["amount_units"]))
        now.debts["unidentified_tiyn"] += tiyn


def _settlement_burned(now: Figures, data: Leaf) -> None:
    for burn in data["burns"]:
        if burn["status"] == "burned" and now.is_first("burn", data["id"], burn["chain"]):
            now.burned(burn["chain"], int(burn["units"]))
            now.debts["payouts_tiyn"] += int(burn["amount_tiyn"]) - int(burn["fee_tiyn"])


def _collected(data: Leaf) -> int:
    """Fees that no burn paid, taken out of tenge that is owed; told since there are such."""
    return int(data.get("fee_debt", {}).get("collected_tiyn", 0))


def _settled(now: Figures, data: Leaf) -> None:
    now.debts["payouts_tiyn"] -= _collected(data)


def _fee_paid(now: Figures, data: Leaf) -> None:
    paid = sum(int(burn["fee_tiyn"]) for burn in data["burns"])
    now.assets["bank_tiyn"] -= paid + _collected(data)


def _payout_sent(now: Figures, data: Leaf) -> None:
    now.seen.add(("sent", data["id"]))
    now.assets["in_transit_tiyn"] -= int(data["amount_tiyn"])
    now.debts["payouts_tiyn"] -= int(data["amount_tiyn"])


def _payout_booked(now: Figures, data: Leaf) -> None:
    now.assets["in_transit_tiyn"] += int(data["amount_tiyn"])
    now.assets["bank_tiyn"] -= int(data["amount_tiyn"])


def _payout_rejected(now: Figures, data: Leaf) -> None:
    if ("sent", data["id"]) in now.seen:
        now.assets["in_transit_tiyn"] += int(data["amount_tiyn"])
        now.debts["payouts_tiyn"] += int(data["amount_tiyn"])


def _payout_returned(now: Figures, data: Leaf) -> None:
    now.assets["bank_tiyn"] += int(data["amount_tiyn"])
    now.debts["payouts_tiyn"] += int(data["amount_tiyn"])


def _deposit_reversed(now: Figures, data: Leaf) -> None:
    now.assets["bank_tiyn"] -= int(data["amount_tiyn"])
    now.debts["unminted_tiyn"] -= int(data["taken_back_tiyn"])


def _shortfall_covered(now: Figures, data: Leaf) -> None:
    if data["by"] == "deposit":
        now.debts["unminted_tiyn"] -= int(data["moved_tiyn"])
    else:
        now.assets["bank_tiyn"] += int(data["moved_tiyn"])


def _redemption_burned(now: Figures, data: Leaf) -> None:
    now.burned(data["chain"], int(data["amount_units"]))
    now.debts["redemptions_tiyn"] += int(data["amount_tiyn"])


def _redemption_claimed(now: Figures, data: Leaf) -> None:
    now.debts["unidentified_tiyn"] -= int(data["amount_tiyn"])
    now.debts["redemptions_tiyn"] += int(data["amount_tiyn"])


def _redemption_sent(now: Figures, data: Leaf) -> None:
    now.seen.add(("sent", data["end_to_end_id"]))
    now.assets["in_transit_tiyn"] -= int(data["amount_tiyn"])
    now.debts["redemptions_tiyn"] -= int(data["amount_tiyn"])


def _redemption_rejected(now: Figures, data: Leaf) -> None:
    if ("sent", data["end_to_end_id"]) in now.seen:
        now.assets["in_transit_tiyn"] += int(data["amount_tiyn"])
        now.debts["redemptions_tiyn"] += int(data["amount_tiyn"])


def _redemption_returned(now: Figures, data: Leaf) -> None:
    now.assets["bank_tiyn"] += int(data["amount_tiyn"])
    now.debts["redemptions_tiyn"] += int(data["amount_tiyn"])


def _move_burned(now: Figures, data: Leaf) -> None:
    now.burned(data["from_chain"], int(data["amount_units"]))
    now.debts["bridge_tiyn"] += int(data["amount_tiyn"])


def _move_minted(now: Figures, data: Leaf) -> None:
    now.minted(data["mint_chain"], int(data["amount_tiyn"]))
    now.debts["bridge_tiyn"] -= int(data["amount_tiyn"])


RULES: Final[Mapping[str, Callable[[Figures, Leaf], None]]] = {
    "reserve.deposit_received": _deposited,
    "reserve.issuance_issued": _issued,
    "reserve.deposit_reversed": _deposit_reversed,
    "reserve.shortfall_covered": _shortfall_covered,
    "reserve.redemption_burned": _redemption_burned,
    "reserve.redemption_claimed": _redemption_claimed,
    "reserve.redemption_sent": _redemption_sent,
    "reserve.redemption_paid": _payout_booked,
    "reserve.redemption_rejected": _redemption_rejected,
    "reserve.redemption_returned": _redemption_returned,
    "reserve.move_burned": _move_burned,
    "reserve.move_minted": _move_minted,
    "reserve.move_given_back": _move_minted,
    "stray.final": _holder_burned,
    "settlement.burned": _settlement_burned,
    "settlement.settled": _settled,
    "settlement.fee_paid": _fee_paid,
    "payout.sent": _payout_sent,
    "payout.completed": _payout_booked,
    "payout.rejected": _payout_rejected,
    "payout.returned": _payout_returned,
}

_WITHIN: Final = (
    "payment.",
    "refund.",
    "sweep.",
    "faucet.",
    "stray.",
    "settlement.created",
    "settlement.line_deferred",
    "settlement.burn_failed",
    "settlement.transfer",
    "reserve.issuance_failed",
    "reserve.cover_failed",
    "reserve.receivable_",
    "reserve.units_",
    "reserve.send_back_",
    "reserve.redemption_burn_failed",
    "reserve.move_burn_failed",
    "reserve.move_mint_failed",
)
"""Beginnings of the types that move units between holders, or give a reservation back."""
