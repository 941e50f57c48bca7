"""Lines of statements against notices and legs: every kind of movement, and every way to lie."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import closing, faults, incoming, simulator
from sandbox.bank import service as bank
from sandbox.bank.accounts import OPERATING_IBAN, RESERVE_IBAN
from sandbox.core import clock
from sandbox.core.checks import Check
from sandbox.core.db import Database
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Account, Changes, NewEntry, credit, debit
from sandbox.reserve import crediting, receivables, reversals
from sandbox.reserve.statement_checks import statement_lines_match
from tests.reserve.test_reconciling import Reconciled, owner, world
from tests.reserve.two_chains import TwoChains

__all__ = ["owner", "world"]

LINE = "(SELECT day FROM bank_statement_line WHERE ref = 'in-plain')"
PAID = "(SELECT min(id) FROM entry WHERE reason = 'redemption paid')"

# What is altered, by which statement, and what the red line must say (a query for the name).
ALTERED = [
    (
        "a line missing on a statement",
        "DELETE FROM bank_statement_line WHERE ref = 'in-plain'",
        "SELECT 'bank_message ' || id FROM bank_message WHERE ref = 'in-plain'",
    ),
    (
        "an extra line",
        "INSERT INTO bank_statement_line SELECT iban, day, 99, 'extra', NULL, side, 5 FROM"
        " bank_statement_line WHERE ref = 'in-plain'",
        f"SELECT format('bank_statement_line %s %s 99', '{RESERVE_IBAN}', {LINE})",
    ),
    (
        "the amount of a line",
        "UPDATE bank_statement_line SET amount_tiyn = amount_tiyn + 1 WHERE ref = 'in-plain'",
        "SELECT format('bank_statement_line %s %s %s', iban, day, line) FROM bank_statement_line"
        " WHERE ref = 'in-plain'",
    ),
    (
        "the side of a line",
        "UPDATE bank_statement_line SET side = 'debit' WHERE ref = 'in-plain'",
        "SELECT format('bank_statement_line %s %s %s', iban, day, line) FROM bank_statement_line"
        " WHERE ref = 'in-plain'",
    ),
    (
        "the payment of a line",
        "UPDATE bank_statement_line SET end_to_end_id = 'po_other' WHERE ref ="
        " (SELECT min(ref) FROM bank_statement_line WHERE end_to_end_id IS NOT NULL)",
        "SELECT format('bank_statement_line %s %s %s', iban, day, line) FROM bank_statement_line"
        " WHERE end_to_end_id = 'po_other'",
    ),
    (
        "the closing balance",
        "UPDATE bank_statement SET closing_tiyn = closing_tiyn + 1 WHERE day ="
        f" (SELECT min(day) FROM bank_statement) AND iban = '{RESERVE_IBAN}'",
        f"SELECT format('bank_statement %s %s', iban, min(day)) FROM bank_statement"
        f" WHERE iban = '{RESERVE_IBAN}' GROUP BY iban",
    ),
    (
        "a day gone",
        f"DELETE FROM bank_statement WHERE day = {LINE} AND iban = '{RESERVE_IBAN}'",
        f"SELECT format('bank_statement %s %s', '{RESERVE_IBAN}', {LINE})",
    ),
    (
        "a notice gone",
        "DELETE FROM bank_message WHERE ref = 'in-plain'",
        "SELECT format('bank_statement_line %s %s %s', iban, day, line) FROM bank_statement_line"
        " WHERE ref = 'in-plain'",
    ),
    (
        "a leg",
        "UPDATE leg SET amount = amount + 1 WHERE entry_id ="
        " (SELECT min(id) FROM entry WHERE cause = 'camt.054:in-plain')",
        "SELECT 'entry ' || id FROM entry WHERE cause = 'camt.054:in-plain'",
    ),
    (
        "an entry gone",
        f"DELETE FROM leg WHERE entry_id = {PAID}",
        "SELECT format('bank_statement_line %s %s %s', iban, day, line) FROM bank_statement_line"
        f" WHERE end_to_end_id = (SELECT cause FROM entry WHERE id = {PAID}) AND side = 'debit'",
    ),
    (
        "an entry that no line explains",
        f"UPDATE entry SET cause = 'nobody' WHERE id = {PAID}",
        f"SELECT 'entry ' || {PAID}",
    ),
    (
        "an entry of an order that was never booked",
        "UPDATE entry SET ref = ref || 'x' WHERE reason = 'shortfall_covered' AND kind = 'pending'",
        "SELECT 'entry ' || id FROM entry WHERE reason = 'shortfall_covered' AND kind = 'pending'",
    ),
    (
        "a payout on one of two own accounts only",
        "DELETE FROM bank_statement_line WHERE starts_with(end_to_end_id, 'rev_') AND iban ="
        f" '{OPERATING_IBAN}'",
        "SELECT 'bank_message ' || id FROM bank_message WHERE starts_with(end_to_end_id, 'rev_')"
        " AND kind = 'camt.054.DBIT'",
    ),
]


@asynccontextmanager
async def as_owner(owner_url: str) -> AsyncIterator[AsyncSession]:
    """Everything allowed, and nothing of it stays."""
    database = Database(owner_url)
    try:
        async with database.transaction() as db:
            await db.execute(text("SET LOCAL session_replication_role = replica"))
            yield db
            await db.rollback()
    finally:
        await database.dispose()


async def judged(database: Database) -> Check:
    async with database.transaction() as db:
        [found] = await statement_lines_match(db)
    return found


async def own_money(world: TwoChains, amount_tiyn: int) -> None:
    async with world.database.transaction() as db:
        paid = await incoming.credit(
            db, iban=OPERATING_IBAN, amount_tiyn=amount_tiyn, bank_reference="CAPITAL"
        )
        await bank.mark_read(db, paid.message)
        at = await clock.now(db)
        legs = (
            debit(accounts.operating(), amount_tiyn),
            credit(Account("issuer", "KZT", "q:capital"), amount_tiyn),
        )
        cause = "camt.054:CAPITAL"
        entry = NewEntry(new_id("ent", at), "posted", "capital", "own", None, at, cause, legs)
        event = NewEvent(new_id("evt", at), "test.capital", at, {}, refs=("own",))
        await ledger.record(db, Changes(entries=[entry], events=[event]))


async def settle(world: TwoChains) -> None:
    """Everything that bank and books have to tell each other today."""
    for _ in range(20):
        done = await crediting.step(world.database)
        await world.bank()
        if not done:
            return
    raise AssertionError("bank and books do not come to rest")


async def minted_and_reversed(world: TwoChains, reference: str) -> str:
    """A deposit of 900 tiyn that was minted and taken back; its reversal."""
    made = await world.done("deposits", {"amount_tiyn": 900, "bank_reference": reference}, 201)
    asked = {"deposit": made["id"], "chain": "plain", "amount_tiyn": 900, "recipient": world.holder}
    await world.done("issuances", asked, 201)
    await world.carry_out()
    async with world.database.transaction() as db:
        await incoming.reverse_credit(db, reference)
    await settle(world)
    found = (await world.get("/v1/reserve/reversals")).json()["data"]
    return next(str(one["id"]) for one in found if one["bank_reference"] == reference)


async def every_movement(world: TwoChains) -> None:
    """Credits, a payout that is returned and paid again, reversals made good in both ways, and what
    own money covered repaid."""
    await own_money(world, 5_000)
    redeemed = await world.redeem()
    await world.carried_out(redeemed)
    whole = {"amount_tiyn": 70, "bank_reference": "WHOLE"}
    await world.done("deposits", whole, 201)
    async with world.database.transaction() as db:
        await incoming.reverse_credit(db, "WHOLE")
    reversal = await minted_and_reversed(world, "PAID-AGAIN")
    async with world.database.transaction() as db:
        await reversals.pay_in_again(db, reversal, "AGAIN")
    async with world.database.transaction() as db:
        await db.execute(text("UPDATE minting SET is_on = true"))
    reversal = await minted_and_reversed(world, "COVERED")
    async with world.database.transaction() as db:
        await reversals.cover_from_own(db, reversal)
    await settle(world)
    await world.set_clock("2026-11-20T10:00")
    await settle(world)
    async with world.database.transaction() as db:
        await simulator.return_payment(db, f"{redeemed['id']}:1")
    await settle(world)
    await world.done(f"redemptions/{redeemed['id']}/retry", {})
    await world.set_clock("2026-11-25T10:00")
    await settle(world)
    assert (await world.read(redeemed))["status"] == "paid"
    async with world.database.transaction() as db:
        await receivables.repay(db, reversal, "REPAID")
    await settle(world)


async def test_every_movement_has_its_line_and_each_lie_is_named(
    database: Database, owner_url: str
) -> None:
    played = TwoChains(database)
    await played.begin()
    await every_movement(played)
    # Nothing is closed yet, and nothing is wrong.
    assert (await judged(database)).ok
    await played.set_clock("2026-11-25T23:59")
    assert await closing.close_days(database) == 12
    open_day = await judged(database)
    assert open_day.ok, open_day.detail
    await played.set_clock("2026-11-26T09:00")
    assert await closing.close_days(database) == 2
    sound = await judged(database)
    assert sound.ok, sound.detail
    assert await played.count("bank_statement_line") == 16
    silent = []
    async with as_owner(owner_url) as db:
        for name, statement, of in ALTERED:
            async with db.begin_nested() as altered:
                done = await db.execute(text(statement))
                named = await db.scalar(text(of))
                [found] = await statement_lines_match(db)
                if not done.rowcount or named is None or found.ok or named not in found.detail:  # type: ignore[attr-defined]  # of an UPDATE
                    silent.append((name, named, found.detail))
                await altered.rollback()
    assert silent == []
    assert (await judged(database)).ok
    await played.end()


@pytest.mark.parametrize("is_mended", [False, True])
async def test_a_line_that_a_statement_lacks_is_a_breach_until_it_comes(
    world: Reconciled, is_mended: bool
) -> None:
    database = world.database
    today = Today(database)
    await today.ends()
    async with database.transaction() as db:
        await faults.switch(db, faults.MISSING_LINE, 1)
    deposit = {"amount_tiyn": 700, "bank_reference": "CAMT-2"}
    assert (await world.post("/v1/reserve/deposits", deposit)).status_code == 201
    if is_mended:
        async with database.transaction() as db:
            await faults.switch(db, faults.MISSING_LINE, 0)
    await today.ends()
    red = await world.turn(today.compared)
    assert bool(red) != is_mended
    if is_mended:
        return
    assert "CAMT-2" in red["compared:0"].detail
    found = await world.reserve()
    assert found["minting"] == "off"
    assert any("no statement of KZ63" in one["detail"] for one in found["breaches"])
    # The bank mends it; the line stands on the next day's statement, and not before.
    async with database.transaction() as db:
        await faults.switch(db, faults.MISSING_LINE, 0)
    assert list(await world.turn(today.compared)) == ["compared:0"]
    await today.ends()
    assert await world.turn(today.compared) == {}
    status, released = await world.resume()
    assert (status, released["minting"]) == (200, "on")


class Today:
    """Days that end when a test says so."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ends(self) -> None:
        async with self._database.transaction() as db:
            await clock.advance(db, 86_400)
        await closing.close_days(self._database)

    async def compared(self) -> list[Check]:
        async with self._database.transaction() as db:
            return await statement_lines_match(db)
