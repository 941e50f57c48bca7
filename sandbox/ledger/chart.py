"""The chart of accounts: normal side and floor follow from the code (CONTRACT 3, LEDGER 2.2)."""

import re
from dataclasses import dataclass
from functools import lru_cache

from sandbox.ledger import accounts
from sandbox.ledger.journal import Account, Side

__all__ = ["CHART", "Rule", "accounts", "rule_of"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of the chart; `pattern` is a regular expression for Python and PostgreSQL alike."""

    book: str
    pattern: str
    normal: Side
    floor: int | None


CHART: tuple[Rule, ...] = (
    # 1090 goes negative between a payout's instruction and its booking.
    Rule("issuer", "^a:reserve:in-transit$", "D", None),
    Rule("issuer", "^a:reserve:(bank:[a-z0-9-]+|nbk|bills(:[A-Z0-9]+)?)$", "D", 0),
    Rule("issuer", "^a:own:(operating|kzte)$", "D", 0),
    Rule("issuer", "^a:(receivable|fees-due):.+$", "D", 0),
    Rule(
        "issuer",
        "^l:(outstanding|bridge|unminted|unidentified|redemption|payout|seized):.+$",
        "C",
        0,
    ),
    Rule("issuer", "^l:vat$", "C", 0),
    Rule("issuer", "^q:(capital|retained)$", "C", None),
    Rule("issuer", "^i:(fees|reserve-income)$", "C", None),
    Rule("issuer", "^x:(network|bank|bad-debt)$", "D", None),
    Rule("token", "^supply:[a-z0-9]+$", "C", 0),
    Rule("token", "^((treasury|escrow|redeem):[a-z0-9]+|dep:[a-z0-9]+:unswept)$", "D", 0),
    # A floor here would stop the watcher at the first transfer it missed (DESIGN 4).
    Rule("token", "^external:[a-z0-9]+$", "D", None),
    Rule("claims", "^custody$", "D", 0),
    Rule("claims", "^(float|(merchant|settling|refund-reserve|suspense):.+)$", "C", 0),
)

_COMPILED = tuple((rule, re.compile(rule.pattern)) for rule in CHART)


@lru_cache(maxsize=65_536)
def rule_of(account: Account) -> Rule:
    """The line of the chart that `account` belongs to; a code without one is our own mistake."""
    found = [
        rule
        for rule, pattern in _COMPILED
        if rule.book == account.book and pattern.fullmatch(account.code)
    ]
    assert len(found) == 1, f"{account} is not in the chart"
    return found[0]
