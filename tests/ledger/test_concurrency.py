"""Many writers at once: no deadlock whatever the order, no balance lost, no floor passed.

Nobody here tries again, so a deadlock that PostgreSQL had to break fails the test.
"""

import asyncio
import itertools

from sandbox.core.db import Database
from sandbox.ledger import accounts, service
from sandbox.ledger.errors import AlreadyResolved, DuplicateReference, InsufficientFunds
from sandbox.ledger.journal import NewEntry, credit, debit
from tests.ledger.books import BANK, Ends, changes, deposit, entry, paid, posted, record, red

DEPOSITS = [f"dep_{n}" for n in range(6)]


def _move(ref: str, from_: str, to: str) -> NewEntry:
    return entry(ref, debit(accounts.unminted(from_), 1), credit(accounts.unminted(to), 1))


async def test_opposing_orders_over_the_same_accounts_never_deadlock(database: Database) -> None:
    await record(database, *(deposit(name, 1_000) for name in DEPOSITS))
    orders = list(itertools.permutations(DEPOSITS))[::97]

    async def writer(number: int) -> None:
        for turn in range(12):
            order = orders[(number + turn) % len(orders)]
            if number % 2:
                order = order[::-1]
            moves = [
                _move(f"{number}:{turn}:{step}", from_, to)
                for step, (from_, to) in enumerate(itertools.pairwise(order))
            ]
            await record(database, *moves)

    async with asyncio.timeout(60):
        await asyncio.gather(*(writer(number) for number in range(8)))
    totals = [await posted(database, accounts.unminted(name)) for name in DEPOSITS]
    assert sum(totals) == 6_000
    assert await red(database) == {}


async def test_opposing_orders_over_new_accounts_never_deadlock(database: Database) -> None:
    """The accounts exist for nobody yet, so every writer tries to make all of them."""

    async def writer(number: int, turn: int) -> None:
        names = [f"dep_{turn}_{n}" for n in range(400)]
        ordered = names if number % 2 else names[::-1]
        legs = [leg for name in ordered for leg in deposit(name, 1).legs]
        await record(database, entry(f"{number}:{turn}", *legs))

    async with asyncio.timeout(60):
        for turn in range(3):
            await asyncio.gather(*(writer(number, turn) for number in range(8)))
    assert await posted(database, BANK) == 3 * 8 * 400
    assert await red(database) == {}


async def test_locks_taken_first_follow_the_same_order(database: Database) -> None:
    await record(database, *(deposit(name, 100) for name in DEPOSITS))

    async def guarded(number: int) -> None:
        order = DEPOSITS if number % 2 else DEPOSITS[::-1]
        async with database.transaction() as db:
            held = await service.lock(db, [accounts.unminted(name) for name in order])
            assert sum(balance.posted for balance in held.values()) == 600
            await service.record(db, changes(_move(f"{number}", order[0], order[-1])))

    async with asyncio.timeout(60):
        await asyncio.gather(*(guarded(number) for number in range(16)))
    assert await red(database) == {}


async def test_of_many_spenders_only_as_many_as_there_is_money_for_win(database: Database) -> None:
    await record(database, deposit("dep_0", 5))

    async def spend(number: int) -> bool:
        try:
            await record(database, _move(f"{number}", "dep_0", "dep_1"))
        except InsufficientFunds:
            return False
        return True

    won = await asyncio.gather(*(spend(number) for number in range(16)))
    assert sum(won) == 5
    assert await posted(database, accounts.unminted("dep_0")) == 0


async def test_the_same_references_in_opposing_orders_are_written_once(database: Database) -> None:
    refs = [f"ref_{n}" for n in range(1500)]

    async def writer(number: int) -> int:
        order = refs if number % 2 else refs[::-1]
        # Accounts of its own: only the references can bring the writers together.
        steps = [
            entry(
                ref,
                debit(accounts.reserve_bank(f"b{number}"), 1),
                credit(accounts.unidentified(f"{number}"), 1),
            )
            for ref in order
        ]
        try:
            await record(database, *steps)
        except DuplicateReference:
            return 0
        return 1

    async with asyncio.timeout(60):
        assert sum(await asyncio.gather(*(writer(number) for number in range(6)))) == 1


async def test_a_pending_entry_is_posted_or_voided_by_one_of_many(database: Database) -> None:
    await record(database, paid("pay_1:1", "cs_1", 500))

    async def end(number: int) -> int:
        try:
            await record(database, Ends("pay_1:1", "posted" if number % 2 else "voided"))
        except AlreadyResolved:
            return 0
        return 1

    assert sum(await asyncio.gather(*(end(number) for number in range(12)))) == 1
    assert await red(database) == {}
