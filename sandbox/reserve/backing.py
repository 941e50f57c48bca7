"""What stands behind the tokens and what is owed: the two sides of I2 (DESIGN 5, LEDGER 2.4 L5)."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Account

ASSETS = {
    "a:reserve:bank": "bank_tiyn",
    "a:reserve:nbk": "central_bank_tiyn",
    "a:reserve:bills": "bills_tiyn",
    "a:reserve:in-transit": "in_transit_tiyn",
}
DEBTS = {
    "l:outstanding": "outstanding_tiyn",
    "l:bridge": "bridge_tiyn",
    "l:unminted": "unminted_tiyn",
    "l:unidentified": "unidentified_tiyn",
    "l:redemption": "redemptions_tiyn",
    "l:payout": "payouts_tiyn",
    "l:seized": "seized_tiyn",
}
_SUMS = (
    "SELECT CASE WHEN starts_with(a.code, 'a:reserve:') THEN 'a:reserve:' ||"
    " split_part(a.code, ':', 3) ELSE 'l:' || split_part(a.code, ':', 2) END AS line,"
    " sum({amount})::bigint AS tiyn FROM {source} WHERE a.book = 'issuer'"
    " AND (starts_with(a.code, 'a:reserve:') OR starts_with(a.code, 'l:')) GROUP BY 1"
)


@dataclass(frozen=True, slots=True)
class Backing:
    """Both sides in tiyn, line by line; only posted money counts."""

    assets: dict[str, int]
    debts: dict[str, int]

    @property
    def reserve_tiyn(self) -> int:
        """1010 + 1020 + 1030 + 1090."""
        return sum(self.assets.values())

    @property
    def owed_tiyn(self) -> int:
        """2010 + 2015 + 2020 + 2025 + 2030 + 2040 + 2060; own money (2070, 4xxx) is not in it."""
        return sum(self.debts.values())

    @property
    def is_enough(self) -> bool:
        """I2: the reserve covers everything owed."""
        return self.reserve_tiyn >= self.owed_tiyn

    @property
    def ratio(self) -> str | None:
        """Reserve / owed with four decimals, rounded down; None when nothing is owed."""
        if self.owed_tiyn <= 0:
            return None
        whole, rest = divmod(abs(self.reserve_tiyn) * 10_000 // self.owed_tiyn, 10_000)
        return f"{'-' if self.reserve_tiyn < 0 else ''}{whole}.{rest:04d}"


def _backing(lines: dict[str, int]) -> Backing:
    return Backing(
        {name: lines.get(line, 0) for line, name in ASSETS.items()},
        {name: lines.get(line, 0) for line, name in DEBTS.items()},
    )


async def read(db: AsyncSession) -> Backing:
    """Both sides from the balances, in one statement and so at one moment."""
    rows = await db.execute(
        text(
            _SUMS.format(
                amount="b.posted", source="account a JOIN balance b ON b.account_id = a.id"
            )
        )
    )
    return _backing({row.line: row.tiyn for row in rows})


async def recompute(db: AsyncSession) -> Backing:
    """Both sides from the legs of everything posted, without the cached balances."""
    signed = "CASE WHEN l.side = a.normal THEN l.amount ELSE -l.amount END"
    source = (
        "leg l JOIN account a ON a.id = l.account_id JOIN entry e ON e.id = l.entry_id"
        " LEFT JOIN resolution r ON r.entry_id = e.id"
    )
    counted = " AND coalesce(r.outcome, e.kind) = 'posted' GROUP BY"
    rows = await db.execute(
        text(_SUMS.format(amount=signed, source=source).replace(" GROUP BY", counted))
    )
    return _backing({row.line: row.tiyn for row in rows})


def guarded_accounts() -> list[Account]:
    """The accounts to lock so that I2, once read, holds until the commit.

    What is owed only ever grows together with one of these (a deposit), or at the cost of
    another debt (a mint, a burn); so nobody can make the reserve short while they are held.
    """
    return [
        accounts.reserve_bank(),
        accounts.reserve_central_bank(),
        accounts.reserve_bills(),
        accounts.in_transit(),
    ]
