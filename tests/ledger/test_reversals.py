"""What was posted is taken back by a new entry that names the old one, whole and once."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from sandbox.core.db import Database
from sandbox.ledger import accounts, checks, service
from sandbox.ledger.errors import AlreadyReversed, InsufficientFunds, NotReversible
from sandbox.ledger.journal import credit, debit
from sandbox.ledger.service import Entry
from tests.ledger.books import AT, BANK, Ends, deposit, entry, paid, posted, record, red


async def found(database: Database, ref: str) -> Entry:
    async with database.transaction() as db:
        [one] = [e for e in await service.entries_for(db, ref) if e.ref == ref]
    return one


async def reverse(database: Database, ref: str) -> None:
    back = service.reversal(await found(database, ref), at=AT, cause="test")
    await record(database, back)


@pytest.mark.parametrize("ends", [None, "voided"])
async def test_what_does_not_count_is_not_reversed(database: Database, ends: str | None) -> None:
    out = (debit(accounts.operating(), 60), credit(BANK, 60))
    await record(database, deposit("dep_1", 100), entry("fee", *out, kind="pending"))
    if ends:
        await record(database, Ends("fee", "voided"))
    with pytest.raises(NotReversible, match="voided" if ends else "pending"):
        await reverse(database, "fee")


async def test_what_moved_units_on_a_chain_is_not_reversed_by_the_books(
    database: Database,
) -> None:
    await record(database, paid("pay_1:1", "cs_1", 7))
    await record(database, Ends("pay_1:1"))
    with pytest.raises(NotReversible, match="moved units on a chain"):
        await reverse(database, "pay_1:1")


async def test_what_was_spent_since_is_not_taken_back(database: Database) -> None:
    await record(database, deposit("dep_1", 100))
    spent = (debit(accounts.unminted("dep_1"), 40), credit(accounts.unidentified("x"), 40))
    await record(database, entry("spent", *spent))
    with pytest.raises(InsufficientFunds):
        await reverse(database, "dep_1")
    assert await posted(database, BANK) == 100


async def test_a_reversal_undoes_every_leg_and_names_what_it_undoes(database: Database) -> None:
    await record(database, deposit("dep_1", 100), deposit("dep_2", 5))
    await reverse(database, "dep_1")
    assert await posted(database, BANK) == 5
    assert await posted(database, accounts.unminted("dep_1")) == 0
    back = await found(database, "dep_1:reversal")
    assert back.reverses == (await found(database, "dep_1")).id
    assert await red(database) == {}


async def test_an_entry_is_reversed_once_however_many_try(database: Database) -> None:
    await record(database, deposit("dep_1", 100), deposit("dep_2", 900))
    old = await found(database, "dep_1")

    async def attempt(number: int) -> bool:
        back = service.reversal(old, at=AT, cause=f"try {number}")
        # Also under another reference: the old entry itself is what counts.
        back = replace(back, ref=f"dep_1:reversal:{number}")
        try:
            await record(database, back)
        except (AlreadyReversed, InsufficientFunds):
            return False
        return True

    assert sum(await asyncio.gather(*(attempt(number) for number in range(4)))) == 1
    assert await posted(database, BANK) == 900


async def test_taking_back_the_same_entry_again_is_refused_by_name(database: Database) -> None:
    out = (debit(accounts.operating(), 1), credit(accounts.fees(), 1))
    await record(database, entry("income", *out), entry("more", *out))
    old = await found(database, "income")
    await reverse(database, "income")
    again = replace(service.reversal(old, at=AT, cause="test"), ref="other")
    with pytest.raises(AlreadyReversed, match="other"):
        await record(database, again)


ATTACK = (
    "INSERT INTO entry (id, kind, reason, ref, effective_at, recorded_at, cause, reverses)"
    " SELECT 'ent_attack', 'posted', 'attack', 'attack', now(), now(), 'attack', id FROM entry"
    " WHERE ref = $1"
)
LEGS = (
    "INSERT INTO leg (entry_id, line, account_id, side, amount) SELECT 'ent_attack', l.line, a.id,"
    " l.side, l.amount FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[])"
    " AS l(line, code, side, amount) JOIN account a USING (code)"
)


@pytest.mark.parametrize(
    ("of", "rule", "lines"),
    [
        ("dep_1", "leg_reversal_mirrors_what_it_reverses",
         [("l:unminted:dep_1", "D", 99), (BANK.code, "C", 99)]),
        ("dep_1", "leg_reversal_mirrors_what_it_reverses",
         [(BANK.code, "D", 100), ("l:unminted:dep_1", "C", 100)]),
        ("dep_1", "leg_reversal_mirrors_what_it_reverses",
         [("l:unminted:dep_2", "D", 100), (BANK.code, "C", 100)]),
        ("out", "leg_reversal_of_posted_only",
         [("a:own:operating", "C", 5), (BANK.code, "D", 5)]),
    ],
)  # fmt: skip
async def test_the_database_itself_refuses_a_reversal_that_is_none(
    database: Database, db_url: str, of: str, rule: str, lines: list[tuple[str, str, int]]
) -> None:
    out = (debit(accounts.operating(), 5), credit(BANK, 5))
    await record(database, deposit("dep_1", 100), deposit("dep_2", 100))
    await record(database, entry("out", *out, kind="pending"))
    attacker = await asyncpg.connect(db_url)
    codes, sides, amounts = (list(column) for column in zip(*lines, strict=True))
    try:
        await attacker.execute(ATTACK, of)
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await attacker.execute(LEGS, [1, 2], codes, sides, amounts)
        assert refused.value.constraint_name == rule
    finally:
        await attacker.close()


async def test_a_reversal_that_somebody_with_every_right_altered_is_named(
    database: Database, owner_url: str
) -> None:
    await record(database, deposit("dep_1", 100), deposit("dep_2", 5))
    await reverse(database, "dep_1")
    back = await found(database, "dep_1:reversal")
    owner = await asyncpg.connect(owner_url)
    await owner.execute("UPDATE leg SET amount = 99 WHERE entry_id = $1", back.id)
    await owner.close()
    async with database.transaction() as db:
        [check] = await checks.entries_balance(db)
    assert check.detail == f"entry {back.id}: is not the mirror of what it reverses"
