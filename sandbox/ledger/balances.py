"""Balances under lock: the one place where rows of `balance` are locked, judged and moved.

Accounts are created in the order of their names before any balance is locked, and balances are
locked in the order of account ids, so two transactions can never wait for each other here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.driver import Statement
from sandbox.ledger.chart import rule_of
from sandbox.ledger.errors import InsufficientFunds
from sandbox.ledger.journal import Account, Leg

How = Literal["posted", "pending", "post", "void"]
"""A leg that counts at once, one that waits, and a waiting one that is posted or voided."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Amounts in minor units of the account's asset.

    `posted` and `available` count along the account's normal side; `available` is `posted` less
    the pending legs that lower the account: a pending raise cannot be spent (DESIGN 4).
    """

    posted: int = 0
    pending_debit: int = 0
    pending_credit: int = 0
    available: int = 0


@dataclass(frozen=True, slots=True)
class Locked:
    """The balance of an account whose row this transaction holds."""

    account_id: int
    balance: Balance


@dataclass(slots=True)
class Move:
    """What a transaction changes about one account; `posted` counts debits less credits."""

    posted: int = 0
    pending_debit: int = 0
    pending_credit: int = 0


class Moves:
    """All changes of one transaction, netted per account."""

    def __init__(self) -> None:
        self.by_account: dict[Account, Move] = {}

    def add(self, legs: Collection[Leg], how: How) -> None:
        """Count `legs` in; `post` and `void` take out of pending what `pending` put in."""
        for leg in legs:
            move = self.by_account.get(leg.account)
            if move is None:
                move = self.by_account[leg.account] = Move()
            if how in ("posted", "post"):
                move.posted += leg.amount if leg.side == "D" else -leg.amount
            if how != "posted":
                pending = leg.amount if how == "pending" else -leg.amount
                if leg.side == "D":
                    move.pending_debit += pending
                else:
                    move.pending_credit += pending


def _balance(account: Account, row: Mapping[str, int]) -> Balance:
    posted, debits, credits = row["posted"], row["pending_debit"], row["pending_credit"]
    lowering = credits if rule_of(account).normal == "D" else debits
    return Balance(posted, debits, credits, posted - lowering)


def _names(accounts: Collection[Account]) -> dict[str, list[str]]:
    ordered = sorted(set(accounts), key=lambda account: (account.book, account.asset, account.code))
    return {
        "books": [account.book for account in ordered],
        "assets": [account.asset for account in ordered],
        "codes": [account.code for account in ordered],
    }


# Accounts and their balances come together, and stay: who is not made here has both.
_CREATE = Statement(
    """
WITH made AS (
    INSERT INTO account (book, asset, code, normal, floor)
    SELECT * FROM unnest(CAST(:books AS text[]), CAST(:assets AS text[]), CAST(:codes AS text[]),
        CAST(:normals AS text[]), CAST(:floors AS bigint[]))
    ON CONFLICT DO NOTHING RETURNING id
)
INSERT INTO balance (account_id, posted, pending_debit, pending_credit)
SELECT id, 0, 0, 0 FROM made
"""
)

# Nothing is locked while one of them is missing: it has to be made before.
_LOCK = Statement(
    """
WITH w AS (SELECT * FROM unnest(CAST(:books AS text[]), CAST(:assets AS text[]),
    CAST(:codes AS text[])) AS w(book, asset, code))
SELECT a.book, a.asset, a.code, b.account_id, b.posted, b.pending_debit, b.pending_credit
FROM w JOIN account a USING (book, asset, code) JOIN balance b ON b.account_id = a.id
WHERE cardinality(CAST(:books AS text[])) = (SELECT count(*) FROM w
    JOIN account a USING (book, asset, code) JOIN balance b ON b.account_id = a.id)
ORDER BY b.account_id FOR NO KEY UPDATE OF b
"""
)

_READ = Statement(
    """
SELECT a.book, a.asset, a.code, b.posted, b.pending_debit, b.pending_credit
FROM unnest(CAST(:books AS text[]), CAST(:assets AS text[]), CAST(:codes AS text[]))
    AS w(book, asset, code)
JOIN account a USING (book, asset, code) JOIN balance b ON b.account_id = a.id
"""
)


async def _create(db: AsyncSession, names: dict[str, list[str]]) -> None:
    rules = [rule_of(Account(*name)) for name in zip(*names.values(), strict=True)]
    normals = [rule.normal for rule in rules]
    floors = [rule.floor for rule in rules]
    # Everyone inserts in the order of names; the loser of a race waits, then finds the row.
    await _CREATE.fetch(db, {**names, "normals": normals, "floors": floors})


async def lock(db: AsyncSession, accounts: Collection[Account]) -> dict[Account, Locked]:
    """Lock the balances of all `accounts` in one pass and read them fresh; missing ones are made.

    Give every account of the transaction at once: a second pass could meet another transaction's
    first one in the opposite order.
    """
    if not accounts:
        return {}
    names = _names(accounts)
    rows = await _LOCK.fetch(db, names)
    if not rows:
        await _create(db, names)
        rows = await _LOCK.fetch(db, names)
    found = {}
    for row in rows:
        account = Account(row["book"], row["asset"], row["code"])
        balance = _balance(account, row)
        found[account] = Locked(row["account_id"], balance)
    return found


async def read(db: AsyncSession, accounts: Collection[Account]) -> dict[Account, Balance]:
    """The balances of `accounts` without a lock; an account that does not exist has zeros."""
    found = {account: Balance() for account in accounts}
    for row in await _READ.fetch(db, _names(accounts)):
        account = Account(row["book"], row["asset"], row["code"])
        found[account] = _balance(account, row)
    return found


def check_floors(moves: Moves, locked: Mapping[Account, Locked]) -> None:
    """Raise `InsufficientFunds` for the first account (by id) that would go below its floor.

    What the transaction does to an account is judged as a whole, not leg by leg.
    """
    for account, row in sorted(locked.items(), key=lambda item: item[1].account_id):
        rule, move = rule_of(account), moves.by_account.get(account)
        if move is None or rule.floor is None:
            continue
        if rule.normal == "D":
            change = move.posted - move.pending_credit
        else:
            change = -move.posted - move.pending_debit
        if change < 0 and row.balance.available + change < rule.floor:
            raise InsufficientFunds(account.code, -change, row.balance.available)


def move_values(moves: Moves, locked: Mapping[Account, Locked]) -> dict[str, list[int]]:
    """What `moves` adds to the locked rows, as columns in the order of account ids."""
    changes = sorted(
        (locked[account].account_id, rule_of(account).normal, change)
        for account, change in moves.by_account.items()
    )
    return {
        "moved": [id_ for id_, _, _ in changes],
        "posted": [change.posted if side == "D" else -change.posted for _, side, change in changes],
        "debits": [change.pending_debit for _, _, change in changes],
        "credits": [change.pending_credit for _, _, change in changes],
    }
