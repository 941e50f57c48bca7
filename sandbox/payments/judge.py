"""What the money of a session means: a pure function of the session and its payments.

Payments are judged by chain order, never by arrival (CONTRACT 5), so that a watcher that lags,
restarts or rewinds comes to the same answer.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sandbox.core.money import tiyn_from_units, units_from_tiyn

Status = Literal["open", "complete", "expired", "canceled"]
Reason = Literal["reverted", "duplicate", "overpaid", "late", "underpaid", "none"]
Policy = Literal["detected", "confirmed", "final"]

RANKED: tuple[Reason, ...] = ("reverted", "duplicate", "overpaid", "late", "underpaid")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session asks for. `captured`: its money is the merchant's already."""

    amount_tiyn: int
    expires_at: datetime
    status: Status
    policy: Policy = "confirmed"
    captured: bool = False


@dataclass(frozen=True, slots=True)
class Money:
    """One payment. `first_time` is the block time of its first inclusion, the rest of its
    newest one; `index` is its place in that block.

    `fixed`: captured, or resolved by hand; its `counted_units` and `excess_units` stand.
    """

    id: str
    chain: str
    decimals: int
    amount_units: int
    state: Literal["confirmed", "final", "reverted"]
    first_time: datetime
    block_time: datetime
    height: int
    index: int
    fixed: bool = False
    counted_units: int = 0
    excess_units: int = 0

    @property
    def place(self) -> tuple[bool, datetime, str, int, int, str]:
        """Where it stands in chain order; what is fixed can no longer be overtaken."""
        return (not self.fixed, self.block_time, self.chain, self.height, self.index, self.id)


@dataclass(frozen=True, slots=True)
class Share:
    """What one payment contributes: counted for the session, and beyond that."""

    counted_units: int
    excess_units: int
    why: Literal["counted", "overpaid", "duplicate", "late", "none"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state a session should be in. `completed_by` is the payment that made it whole."""

    status: Status
    reason: Reason
    reasons: tuple[Reason, ...]
    shares: dict[str, Share]
    completed_by: str | None
    received_units: int
    excess_units: int


def judge(terms: Terms, payments: Sequence[Money]) -> Verdict:
    """Judge a session by all of its payments, in any order.

    Counted tiyn of a payment = floor(running total of its session and chain after it) - floor
    (before it), until the amount is reached (CONTRACT 5); what is beyond is excess.
    """
    ordered = sorted(payments, key=lambda money: money.place)
    shares: dict[str, Share] = {}
    received: dict[str, int] = defaultdict(int)
    counted: dict[str, int] = defaultdict(int)
    newest_on: dict[str, str] = {}
    applies: set[Reason] = set()
    total_tiyn, completed_by, waits_for_final = 0, None, False
    for money in ordered:
        if money.state == "reverted":
            shares[money.id] = Share(0, 0, "none")
        elif money.fixed:
            shares[money.id] = Share(money.counted_units, money.excess_units, "counted")
            total_tiyn += tiyn_from_units(money.counted_units, money.decimals)[0]
            if money.counted_units and completed_by is None and total_tiyn >= terms.amount_tiyn:
                completed_by = money.id
                if money.excess_units:
                    applies.add("overpaid")
        elif terms.status == "canceled":
            shares[money.id] = Share(0, money.amount_units, "late")
            applies.add("late")
        elif terms.captured or completed_by is not None:
            shares[money.id] = Share(0, money.amount_units, "duplicate")
            applies.add("duplicate")
        elif money.first_time > terms.expires_at:
            shares[money.id] = Share(0, money.amount_units, "late")
            applies.add("late")
        else:
            chain, decimals = money.chain, money.decimals
            before = tiyn_from_units(received[chain], decimals)[0]
            received[chain] += money.amount_units
            after = tiyn_from_units(received[chain], decimals)[0]
            share_tiyn = min(after - before, terms.amount_tiyn - total_tiyn)
            total_tiyn += share_tiyn
            units = units_from_tiyn(share_tiyn, decimals)
            counted[chain] += units
            newest_on[chain] = money.id
            shares[money.id] = Share(units, 0, "counted")
            waits_for_final |= money.state != "final"
            if total_tiyn == terms.amount_tiyn:
                completed_by = money.id
    # What the floor left over belongs to no single payment; the newest of its chain carries it.
    for chain, id_ in newest_on.items():
        left = received[chain] - counted[chain]
        over = completed_by is not None and left > 0
        shares[id_] = Share(shares[id_].counted_units, left, "overpaid" if over else "counted")
        if over:
            applies.add("overpaid")

    whole = completed_by is not None and not (terms.policy == "final" and waits_for_final)
    status = _status(terms, whole or terms.captured, late="late" in applies)
    if status != "complete":
        completed_by = None
        if any(money.state == "reverted" for money in ordered):
            applies.add("reverted")
        if (total_tiyn or received) and total_tiyn < terms.amount_tiyn:
            applies.add("underpaid")
    reasons = tuple(reason for reason in RANKED if reason in applies)
    return Verdict(
        status=status,
        reason=reasons[0] if reasons else "none",
        reasons=reasons,
        shares=shares,
        completed_by=completed_by,
        received_units=sum(m.amount_units for m in ordered if m.state != "reverted"),
        excess_units=sum(share.excess_units for share in shares.values()),
    )


def _status(terms: Terms, whole: bool, *, late: bool) -> Status:
    if terms.status == "canceled":
        return "canceled"
    if whole:
        return "complete"
    # Chain time never runs ahead of the sandbox clock, so late money proves the expiry.
    return "expired" if terms.status == "expired" or late else "open"
