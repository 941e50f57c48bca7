"""Rows of redemptions and moves that somebody altered: the audit turns red and names them."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sandbox.core.checks import Check
from sandbox.core.db import Database
from sandbox.reserve import intake_checks
from tests.reserve.two_chains import TwoChains

REDEMPTION = "(SELECT min(id) FROM redemption)"
MOVE = "(SELECT min(id) FROM bridge_move)"

ALTERED = [
    # What is altered, by which statement, and which invariant must say so.
    ("an amount", f"UPDATE intake SET amount_tiyn = 999 WHERE id = {REDEMPTION}", "I6"),
    ("a state", f"UPDATE intake SET state = 'received' WHERE id = {REDEMPTION}", "I5"),
    ("a burn's tx", f"UPDATE intake SET tx = 'ff' WHERE id = {MOVE}", "I5"),
    ("swept units", f"UPDATE intake SET swept_units = 5 WHERE id = {REDEMPTION}", "I5"),
    ("an intake removed", f"DELETE FROM intake WHERE id = {REDEMPTION}", "I8"),
    (
        "an IBAN",
        f"UPDATE redemption SET iban = 'KZ41722C000000000001' WHERE id = {REDEMPTION}",
        "I6",
    ),
    ("a payee", f"UPDATE redemption SET payee = 'another' WHERE id = {REDEMPTION}", "I8"),
    ("a tax number", f"UPDATE redemption SET tax_number = '1' WHERE id = {REDEMPTION}", "I8"),
    (
        "a payout's status",
        f"UPDATE redemption SET payout_status = 'returned' WHERE id = {REDEMPTION}",
        "I6",
    ),
    (
        "the number of orders",
        f"UPDATE redemption SET payout_attempt = 2 WHERE id = {REDEMPTION}",
        "I6",
    ),
    ("a redemption removed", f"DELETE FROM redemption WHERE id = {REDEMPTION}", "I6"),
    (
        "a mint's status",
        f"UPDATE bridge_move SET mint_status = 'waiting' WHERE id = {MOVE}",
        "I2",
    ),
    ("who gets a mint", f"UPDATE bridge_move SET recipient = 'them' WHERE id = {MOVE}", "I2"),
    ("a mint's chain", f"UPDATE bridge_move SET to_chain = 'plain' WHERE id = {MOVE}", "I2"),
    ("a move removed", f"DELETE FROM bridge_move WHERE id = {MOVE}", "I8"),
    (
        "what came",
        f"UPDATE unit_receipt SET amount_units = 1 WHERE intake = {REDEMPTION}",
        "I5",
    ),
    ("who sent it", f"UPDATE unit_receipt SET source = 'me' WHERE intake = {REDEMPTION}", "I5"),
    (
        "whose it is",
        f"UPDATE unit_receipt SET intake = {MOVE} WHERE intake = {REDEMPTION}",
        "I5",
    ),
    ("a receipt removed", f"DELETE FROM unit_receipt WHERE intake = {MOVE}", "I5"),
    ("who gets units back", "UPDATE send_back SET recipient = 'me'", "I5"),
    ("how much goes back", "UPDATE send_back SET amount_units = 1", "I5"),
    ("what was set to NULL", f"UPDATE redemption SET paid_at = NULL WHERE id = {REDEMPTION}", "I6"),
]


async def found(world: TwoChains) -> list[Check]:
    checks = (
        intake_checks.units_are_explained,
        intake_checks.receipts_match,
        intake_checks.claims_match,
        intake_checks.intakes_as_told,
    )
    results: list[Check] = []
    for check in checks:
        async with world.database.transaction() as db:
            results += await check(db)
    return [one for one in results if not one.ok]


async def played(database: Database) -> TwoChains:
    """A redemption that is paid with a remainder sent back, and a move that is minted."""
    world = TwoChains(database)
    await world.begin()
    paid, moved = await world.redeem("plain"), await world.move("plain")
    world.send(paid, 1_100)
    world.send(moved)
    await world.finalize()
    await world.carry_out()
    await world.done(f"redemptions/{paid['id']}/send_back", {}, 201)
    await world.carry_out()
    await world.bank()
    await world.set_clock("2026-11-20T10:00")
    await world.bank()
    assert [(await world.read(one))["status"] for one in (paid, moved)] == ["paid", "minted"]
    await world.audit()
    return world


async def test_each_altered_row_turns_the_audit_red_and_is_named(
    database: Database, owner_url: str
) -> None:
    world = await played(database)
    owner = await asyncpg.connect(owner_url)
    silent = []
    try:
        ids = [await owner.fetchval(f"SELECT {one}") for one in (REDEMPTION, MOVE)]
        rows = ids + [
            r["id"]
            for r in await owner.fetch(
                "SELECT id FROM unit_receipt UNION ALL SELECT id FROM send_back"
            )
        ]
        await owner.execute("SET session_replication_role = replica")
        tables = ("intake", "redemption", "bridge_move", "unit_receipt", "send_back")
        for table in tables:
            await owner.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")
        for name, statement, invariant in ALTERED:
            await owner.execute(statement)
            red = await found(world)
            if not any(
                one.id == invariant and any(id_ in one.detail for id_ in rows) for one in red
            ):
                silent.append((name, [(one.id, one.detail) for one in red]))
            for table in tables:
                await owner.execute(f"DELETE FROM {table}")
                await owner.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    finally:
        await owner.close()
    assert silent == []
    assert await found(world) == []
    await world.end()


def test_every_table_of_intakes_is_aimed_at() -> None:
    tables = {"intake", "redemption", "bridge_move", "unit_receipt", "send_back"}
    aimed = {table for table in tables if any(f" {table} " in s for _, s, _ in ALTERED)}
    assert aimed == tables


@pytest.mark.parametrize("table", ["intake", "redemption", "bridge_move", "unit_receipt"])
async def test_the_application_itself_cannot_change_what_was_asked_for(
    database: Database, table: str
) -> None:
    column = {"intake": "amount_tiyn", "redemption": "payee", "bridge_move": "recipient"}
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction() as db:
            await db.execute(text(f"UPDATE {table} SET {column.get(table, 'intake')} = NULL"))
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction() as db:
            await db.execute(text(f"DELETE FROM {table}"))
