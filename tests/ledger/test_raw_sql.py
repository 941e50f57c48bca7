"""Attacks with plain SQL as the role of API and worker: the database itself refuses them."""

from typing import Any

import asyncpg
import pytest

from sandbox.core.db import Database
from sandbox.ledger import accounts
from tests.ledger.books import BANK, Ends, deposit, paid, record, red

ENTRY = (
    "INSERT INTO entry (id, kind, reason, ref, chain, effective_at, recorded_at, cause)"
    " VALUES ($1, $2, 'attack', $1, $3, now(), now(), 'attack')"
)
LEGS = (
    "INSERT INTO leg (entry_id, line, account_id, side, amount) SELECT $1, l.line, a.id, l.side,"
    " l.amount FROM unnest($2::int[], $3::text[], $4::text[], $5::bigint[])"
    " AS l(line, code, side, amount) JOIN account a USING (code)"
)
Line = tuple[str, str, int]


@pytest.fixture
async def attacker(database: Database, db_url: str) -> asyncpg.Connection:
    """A connection as `sbx_app` to books with one settled deposit and one pending payment."""
    await record(database, deposit("dep_1", 100), paid("pay_1:1", "cs_1", 500))
    connection = await asyncpg.connect(db_url)
    yield connection
    await connection.close()


async def _account(attacker: asyncpg.Connection, book: str, asset: str, code: str) -> None:
    await attacker.execute(
        "INSERT INTO account (book, asset, code, normal) VALUES ($1, $2, $3, 'D')",
        book,
        asset,
        code,
    )


async def _write(
    attacker: asyncpg.Connection, kind: str, chain: str | None, *lines: Line, first: int = 1
) -> None:
    async with attacker.transaction():
        await attacker.execute(ENTRY, "ent_attack", kind, chain)
        await _legs(attacker, "ent_attack", *lines, first=first)


async def _legs(attacker: asyncpg.Connection, entry: str, *lines: Line, first: int = 1) -> None:
    numbers = list(range(first, first + len(lines)))
    codes, sides, amounts = (list(column) for column in zip(*lines, strict=True))
    await attacker.execute(LEGS, entry, numbers, codes, sides, amounts)


@pytest.mark.parametrize("table", ["account", "entry", "leg", "resolution"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0} CASCADE"]
)
async def test_history_may_not_be_rewritten(
    attacker: asyncpg.Connection, table: str, statement: str
) -> None:
    column = {"account": "code", "entry": "ref", "leg": "amount", "resolution": "outcome"}[table]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await attacker.execute(statement.format(table, column))


@pytest.mark.parametrize("statement", ["DELETE FROM balance", "TRUNCATE balance"])
async def test_a_balance_may_not_vanish(attacker: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await attacker.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE leg DISABLE TRIGGER leg_rules",
        "DROP TRIGGER leg_rules ON leg",
        "DROP FUNCTION leg_rules CASCADE",
        "ALTER TABLE leg DROP CONSTRAINT ck_leg_amount",
        "SET session_replication_role = replica",
    ],
)
async def test_the_rules_may_not_be_switched_off(
    attacker: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await attacker.execute(statement)


async def _refused(rule: str, attacker: asyncpg.Connection, *arguments: Any) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await _write(attacker, *arguments)
    assert refused.value.constraint_name == rule
    assert await attacker.fetchval("SELECT count(*) FROM entry WHERE id = 'ent_attack'") == 0


async def test_debits_and_credits_must_be_equal(attacker: asyncpg.Connection) -> None:
    lines = ((BANK.code, "D", 2), ("l:unminted:dep_1", "C", 1))
    await _refused("leg_balanced_per_book_and_asset", attacker, "posted", None, *lines)


async def test_books_may_not_balance_each_other(attacker: asyncpg.Connection) -> None:
    lines = ((BANK.code, "D", 1), ("suspense:cs_1", "C", 1))
    await _refused("leg_balanced_per_book_and_asset", attacker, "pending", "solana", *lines)


async def test_assets_may_not_balance_each_other(attacker: asyncpg.Connection) -> None:
    await _account(attacker, "claims", "KZTE.evm", "custody:evm")
    lines = (("custody:evm", "D", 1), ("suspense:cs_1", "C", 1))
    await _refused("leg_balanced_per_book_and_asset", attacker, "pending", "solana", *lines)


async def test_a_temporary_table_does_not_answer_for_the_chart(
    attacker: asyncpg.Connection,
) -> None:
    await attacker.execute(
        "CREATE TEMP TABLE account AS SELECT id, 'issuer' AS book, 'KZT' AS asset, code"
        " FROM public.account"
    )
    lines = ((BANK.code, "D", 1), ("suspense:cs_1", "C", 1))
    await _refused("leg_balanced_per_book_and_asset", attacker, "pending", "solana", *lines)


async def test_one_entry_may_not_move_units_of_two_chains(attacker: asyncpg.Connection) -> None:
    await _account(attacker, "claims", "KZTE.evm", "custody:evm")
    await _account(attacker, "claims", "KZTE.evm", "float:evm")
    lines = (
        ("custody", "D", 1),
        ("suspense:cs_1", "C", 1),
        ("custody:evm", "D", 1),
        ("float:evm", "C", 1),
    )
    await _refused("leg_units_of_one_chain", attacker, "pending", "solana", *lines)


@pytest.mark.parametrize("chain", [None, "evm"])
async def test_an_entry_names_the_chain_whose_units_it_moves(
    attacker: asyncpg.Connection, chain: str | None
) -> None:
    lines = (("custody", "D", 1), ("suspense:cs_1", "C", 1))
    await _refused("leg_units_of_the_chain_of_its_entry", attacker, "pending", chain, *lines)


async def test_an_entry_that_counts_at_once_moves_no_units(attacker: asyncpg.Connection) -> None:
    lines = (("treasury:solana", "D", 1), ("external:solana", "C", 1))
    await _refused("leg_posted_moves_no_units", attacker, "posted", "solana", *lines)


@pytest.mark.parametrize("code", ["a:reserve:bank:eurasian", "custody", "treasury:solana"])
async def test_reserve_and_state_funds_never_mix(attacker: asyncpg.Connection, code: str) -> None:
    await _account(attacker, "fund-units", "KZT", "f:bank:KZT:1")
    lines = ((code, "D", 1), (code, "C", 1), ("f:bank:KZT:1", "D", 1), ("f:bank:KZT:1", "C", 1))
    await _refused("leg_reserve_and_funds_never_mix", attacker, "pending", "solana", *lines)


@pytest.mark.parametrize("first", [0, 2])
async def test_lines_count_from_one(attacker: asyncpg.Connection, first: int) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="leg_all_in_one_insert"):
        await _write(
            attacker, "posted", None, (BANK.code, "D", 1), (BANK.code, "C", 1), first=first
        )


@pytest.mark.parametrize("first", [1, 3, 5])
async def test_an_entry_with_legs_gets_no_more(attacker: asyncpg.Connection, first: int) -> None:
    dep_1 = await attacker.fetchval("SELECT id FROM entry WHERE ref = 'dep_1'")
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.UniqueViolationError)):
        await _legs(attacker, dep_1, (BANK.code, "D", 1), (BANK.code, "C", 1), first=first)
    assert await attacker.fetchval("SELECT count(*) FROM leg WHERE entry_id = $1", dep_1) == 2


@pytest.mark.parametrize("amount", [0, -1])
async def test_an_amount_is_positive(attacker: asyncpg.Connection, amount: int) -> None:
    lines = ((BANK.code, "D", amount), (BANK.code, "C", amount))
    await _refused("ck_leg_amount", attacker, "posted", None, *lines)


async def test_a_leg_has_an_entry(attacker: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await _legs(attacker, "ent_none", (BANK.code, "D", 1), (BANK.code, "C", 1))


RESOLVE = (
    "INSERT INTO resolution (entry_id, outcome, event_id, height, recorded_at)"
    " SELECT id, $2, 'evt_attack', $3, now() FROM entry WHERE ref = $1"
)


async def test_what_counts_already_is_not_resolved(attacker: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="resolution_of_pending_only"):
        await attacker.execute(RESOLVE, "dep_1", "voided", 1)


async def test_units_are_not_posted_without_the_height_they_moved_at(
    attacker: asyncpg.Connection,
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="resolution_on_a_chain_has_a_height"):
        await attacker.execute(RESOLVE, "pay_1:1", "posted", None)


async def test_a_pending_entry_ends_once(database: Database, attacker: asyncpg.Connection) -> None:
    await record(database, Ends("pay_1:1"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await attacker.execute(RESOLVE, "pay_1:1", "voided", 1)


async def test_the_order_of_entries_is_not_for_the_writer_to_choose(
    attacker: asyncpg.Connection,
) -> None:
    with pytest.raises(asyncpg.GeneratedAlwaysError):
        await attacker.execute(
            "INSERT INTO entry (id, key, kind, reason, ref, effective_at, recorded_at, cause)"
            " VALUES ('ent_x', 1, 'posted', 'x', 'x', now(), now(), 'x')"
        )


@pytest.mark.parametrize(
    ("book", "asset"),
    [
        ("issuer", "KZTE.solana"),
        ("token", "KZT"),
        ("fund-value", "KZTE.evm"),
        ("other", "KZT"),
        ("issuer", "DKZT"),  # digital tenge
        ("token", "KZT.card"),
        ("claims", "DKZT"),
    ],
)
async def test_a_book_holds_its_own_assets_only(
    attacker: asyncpg.Connection, book: str, asset: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await _account(attacker, book, asset, "a:x")


async def test_the_attacks_that_the_database_lets_through_turn_a_check_red(
    database: Database, attacker: asyncpg.Connection
) -> None:
    assert await red(database) == {}
    await attacker.execute("UPDATE balance SET posted = posted + 1 WHERE posted = 100")
    await _write(attacker, "posted", None, (BANK.code, "D", 1), (BANK.code, "C", 1))
    await attacker.execute(ENTRY, "ent_empty", "posted", None)
    found = await red(database)
    assert "entry ent_empty: fewer than two legs" in found["I3"]
    assert f"({accounts.unminted('dep_1').code}): balance 101/0/0" in found["I4"]
    assert "entry ent_attack: stands in no event" in found["I8"]
