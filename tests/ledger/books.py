"""Short ways to write entries in tests; every settled entry gets an event of its own."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sandbox.core.db import Database
from sandbox.core.ids import new_id
from sandbox.eventlog.types import EntryHash, NewEvent
from sandbox.ledger import accounts, checks, service
from sandbox.ledger.journal import Account, Changes, Leg, NewEntry, Resolution, credit, debit

AT = datetime(2026, 11, 20, 10, 0, 0, 123000, tzinfo=UTC)
BANK = accounts.reserve_bank()
CHECKS = (
    checks.entries_balance,
    checks.balances_are_sums,
    checks.entries_are_told,
    checks.funds_stay_apart,
)


def entry(
    ref: str,
    *legs: Leg,
    kind: Literal["pending", "posted"] = "posted",
    chain: str | None = None,
    reason: str = "test",
) -> NewEntry:
    return NewEntry(new_id("ent", AT), kind, reason, ref, chain, AT, "test", legs)


def pending(ref: str, *legs: Leg, chain: str | None = None) -> NewEntry:
    return entry(ref, *legs, kind="pending", chain=chain)


def deposit(name: str, amount: int) -> NewEntry:
    """Tenge into the reserve: the simplest entry that needs nothing before it."""
    return entry(name, debit(BANK, amount), credit(accounts.unminted(name), amount))


def paid(ref: str, owner: str, amount: int, chain: str = "solana") -> NewEntry:
    """Units from outside into the treasury, nobody's yet."""
    return pending(
        ref,
        debit(accounts.treasury(chain), amount),
        credit(accounts.external(chain), amount),
        debit(accounts.custody(chain), amount),
        credit(accounts.suspense(chain, owner), amount),
        chain=chain,
    )


@dataclass(frozen=True)
class Ends:
    """How a pending entry ends."""

    ref: str
    outcome: Literal["posted", "voided"] = "posted"
    height: int | None = 7


def changes(*steps: NewEntry | Ends) -> Changes:
    """Entries and resolutions with one event for each that is settled."""
    made = Changes()
    for step in steps:
        if isinstance(step, NewEntry):
            made.entries.append(step)
            if step.kind == "pending":
                continue
        event = NewEvent(new_id("evt", AT), "test.settled", AT, {"object": "x"}, None, (step.ref,))
        made.events.append(event)
        if isinstance(step, Ends):
            made.resolutions.append(Resolution(step.ref, step.outcome, event.id, step.height))
    return made


async def record(database: Database, *steps: NewEntry | Ends) -> dict[str, EntryHash]:
    """The steps in one call and one transaction."""
    async with database.transaction() as db:
        return await service.record(db, changes(*steps))


async def posted(database: Database, account: Account) -> int:
    async with database.transaction() as db:
        return (await service.balance(db, account)).posted


async def available(database: Database, account: Account) -> int:
    async with database.transaction() as db:
        return (await service.balance(db, account)).available


async def red(database: Database) -> dict[str, str]:
    """The details of the ledger's checks that fail."""
    async with database.transaction() as db:
        results = [check for run in CHECKS for check in await run(db)]
    assert sorted(check.id for check in results) == ["I3", "I4", "I8", "I9"]
    return {check.id: check.detail for check in results if not check.ok}
