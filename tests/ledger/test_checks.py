"""The ledger's checks see what somebody with every right has altered, and name the row."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from sandbox.core.checks import SHOWN
from sandbox.core.db import Database
from sandbox.ledger import accounts, checks, service
from sandbox.ledger.journal import credit, debit
from tests.ledger.books import CHECKS, Ends, changes, deposit, entry, paid, record, red


@pytest.fixture
async def owner(database: Database, owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the owner of the tables, over sound books."""
    await record(database, deposit("dep_1", 100), paid("pay_1:1", "cs_1", 500))
    await record(
        database,
        Ends("pay_1:1"),
        paid("pay_2:1", "cs_2", 7),
        entry(
            "pay_1:capture",
            debit(accounts.suspense("solana", "cs_1"), 500),
            credit(accounts.merchant("solana", "mch_1"), 500),
            chain="solana",
        ),
    )
    assert await red(database) == {}
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


async def _id(owner: asyncpg.Connection, ref: str) -> str:
    found: str = await owner.fetchval("SELECT id FROM entry WHERE ref = $1", ref)
    return found


async def test_empty_books_are_sound(database: Database) -> None:
    async with database.transaction() as db:
        results = [check for run in CHECKS for check in await run(db)]
    assert all(check.ok for check in results)
    assert [(check.left, check.right) for check in results] == [(0, 0)] * 4


async def test_one_altered_leg_is_found_three_times(
    database: Database, owner: asyncpg.Connection
) -> None:
    dep_1 = await _id(owner, "dep_1")
    await owner.execute("UPDATE leg SET amount = 99 WHERE entry_id = $1 AND line = 2", dep_1)
    found = await red(database)
    assert found["I3"] == f"entry {dep_1}: issuer KZT differs by 1"
    assert "(l:unminted:dep_1): balance 100/0/0, sum of legs 99/0/0" in found["I4"]
    assert f"entry {dep_1}: hash in evt_" in found["I8"]


async def test_two_legs_altered_alike_are_found_by_the_hash_and_the_balance(
    database: Database, owner: asyncpg.Connection
) -> None:
    dep_1 = await _id(owner, "dep_1")
    await owner.execute("UPDATE leg SET amount = 99 WHERE entry_id = $1", dep_1)
    found = await red(database)
    assert found.keys() == {"I4", "I8"}
    await owner.execute("UPDATE balance SET posted = 99 WHERE posted = 100")
    assert (await red(database)).keys() == {"I8"}


async def test_a_leg_moved_to_another_account_is_found(
    database: Database, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "UPDATE leg SET account_id = (SELECT id FROM account WHERE code = 'suspense:cs_2')"
        " WHERE entry_id = $1 AND line = 2",
        await _id(owner, "pay_1:capture"),
    )
    assert (await red(database)).keys() == {"I4", "I8"}


async def test_an_altered_fact_of_an_entry_is_found(
    database: Database, owner: asyncpg.Connection
) -> None:
    for change in ("reason = 'other'", "effective_at = effective_at + interval '1 ms'"):
        await owner.execute(f"UPDATE entry SET {change} WHERE ref = 'dep_1'")
    assert (await red(database)).keys() == {"I8"}


async def test_a_deleted_leg_is_found(database: Database, owner: asyncpg.Connection) -> None:
    dep_1 = await _id(owner, "dep_1")
    await owner.execute("DELETE FROM leg WHERE entry_id = $1 AND line = 1", dep_1)
    assert (await red(database))["I3"] == f"entry {dep_1}: fewer than two legs"


async def test_a_deleted_resolution_is_found(database: Database, owner: asyncpg.Connection) -> None:
    await owner.execute("DELETE FROM resolution")
    found = await red(database)
    assert found.keys() == {"I4", "I8"}
    assert "is not posted or resolved" in found["I8"]


async def test_a_resolution_that_names_another_event_is_found(
    database: Database, owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE resolution SET event_id = 'evt_other'")
    found = await red(database)
    assert found.keys() == {"I8"}
    assert "its resolution names evt_other, it stands in evt_" in found["I8"]


async def test_an_entry_told_twice_is_found(database: Database, owner: asyncpg.Connection) -> None:
    await owner.execute(
        "INSERT INTO event (id, type, created, leaf, private, salt)"
        " SELECT 'evt_again', type, created, leaf, private, salt FROM event LIMIT 1"
    )
    assert "evt_again" in (await red(database))["I8"]


async def test_a_deleted_event_is_found(database: Database, owner: asyncpg.Connection) -> None:
    await owner.execute("DELETE FROM event")
    assert (await red(database))["I8"].count("stands in no event") == 3


async def test_an_account_below_its_floor_is_found_with_pending_counted(
    database: Database, owner: asyncpg.Connection
) -> None:
    # Written by hand, since `record` refuses it: 501 of merchant's 500 reserved.
    await owner.execute(
        "INSERT INTO entry (id, kind, reason, ref, chain, effective_at, recorded_at, cause)"
        " VALUES ('ent_x', 'pending', 'x', 'x', 'solana', now(), now(), 'x')"
    )
    await owner.execute(
        "INSERT INTO leg SELECT 'ent_x', row_number() OVER (ORDER BY id DESC), id,"
        " CASE code WHEN 'custody' THEN 'C' ELSE 'D' END, 501"
        " FROM account WHERE code IN ('custody', 'merchant:mch_1')"
    )
    await owner.execute(
        "UPDATE balance SET pending_credit = pending_credit + 501 FROM account"
        " WHERE id = account_id AND code = 'custody'"
    )
    await owner.execute(
        "UPDATE balance SET pending_debit = 501 FROM account"
        " WHERE id = account_id AND code = 'merchant:mch_1'"
    )
    found = await red(database)
    assert found.keys() == {"I4"}
    assert "(merchant:mch_1): posted 500 with 501 pending against it is below 0" in found["I4"]


@pytest.mark.parametrize("change", ["floor = NULL", "normal = 'C'"])
async def test_an_account_that_left_the_chart_is_found(
    database: Database, owner: asyncpg.Connection, change: str
) -> None:
    await owner.execute(f"UPDATE account SET {change} WHERE code = 'a:reserve:bank:eurasian'")
    assert "normal side or floor is not the chart's" in (await red(database))["I4"]


async def test_an_account_outside_the_chart_is_found(
    database: Database, owner: asyncpg.Connection
) -> None:
    await owner.execute(
        "INSERT INTO account (book, asset, code, normal) VALUES ('issuer', 'KZT', 'l:typo', 'C')"
    )
    assert "(l:typo): is not in the chart" in (await red(database))["I4"]


async def test_reserve_money_in_a_fund_is_found(
    database: Database, owner: asyncpg.Connection
) -> None:
    await owner.execute("ALTER TABLE leg DISABLE TRIGGER leg_rules")
    fund = await owner.fetchval(
        "INSERT INTO account (book, asset, code, normal)"
        " VALUES ('fund-units', 'KZT', 'f:bank:KZT:1', 'D') RETURNING id"
    )
    dep_1 = await _id(owner, "dep_1")
    await owner.execute("INSERT INTO leg VALUES ($1, 3, $2, 'D', 5)", dep_1, fund)
    found = await red(database)
    assert found["I9"] == f"entry {dep_1}: touches fund-units and issuer"
    assert "table leg without its trigger leg_rules" in found["I3"]


@pytest.mark.parametrize("right", ["UPDATE", "DELETE", "TRUNCATE", "UPDATE (amount)"])
async def test_a_right_to_rewrite_history_is_found(
    database: Database, owner: asyncpg.Connection, right: str
) -> None:
    await owner.execute(f"GRANT {right} ON leg TO sbx_app")
    assert f"sbx_app holds {right.split()[0]} on table leg" in (await red(database))["I3"]


async def test_details_name_the_first_faults_and_count_the_others(
    database: Database, owner: asyncpg.Connection
) -> None:
    async with database.transaction() as db:
        await service.record(db, changes(*(deposit(f"dep_{n}", 1) for n in range(10, 20))))
    await owner.execute("DELETE FROM leg")
    async with database.transaction() as db:
        (check,) = await checks.entries_balance(db)
    assert (check.left, check.right, check.ok) == (14, 0, False)
    assert check.detail.count("fewer than two legs") == SHOWN
    assert check.detail.endswith("; and 9 more")
