"""The end of the bank's day: one statement per account and day, taken once, told in the log."""

import asyncio
import hashlib
import json
from datetime import date
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from sandbox.bank import accounts, checks, closing, faults, inbox, incoming, service
from sandbox.bank.iso20022 import errors, messages, statements
from sandbox.bank.models import Kind
from sandbox.core import clock
from sandbox.core.checks import Check
from sandbox.core.db import Database
from tests.bank.conftest import SetClock
from tests.bank.test_faults import switch
from tests.bank.test_simulator import SHOP, deposit, give, order

RESERVE, OPERATING = accounts.RESERVE_IBAN, accounts.OPERATING_IBAN
DAY = date(2026, 11, 19)
LINE = {
    "ref": "ref-1",
    "end_to_end_id": None,
    "amount_tiyn": 100,
    "side": "credit",
    "value_date": "2026-11-19",
    "booked_at": "2026-11-19T07:00:00.000Z",
}
SOUND: dict[str, Any] = {
    "iban": RESERVE,
    "date": "2026-11-19",
    "opening_tiyn": 0,
    "closing_tiyn": 100,
    "lines": [LINE],
}


async def days(database: Database, iban: str = RESERVE) -> list[tuple[str, int, int]]:
    async with database.transaction() as db:
        rows = await db.execute(
            text(
                "SELECT day, opening_tiyn, closing_tiyn FROM bank_statement WHERE iban = :iban"
                " ORDER BY day"
            ),
            {"iban": iban},
        )
        return [(row.day.isoformat(), row.opening_tiyn, row.closing_tiyn) for row in rows]


async def lines(database: Database) -> list[tuple[str, str]]:
    async with database.transaction() as db:
        rows = await db.execute(
            text("SELECT day, ref FROM bank_statement_line ORDER BY iban, day, line")
        )
        return [(row.day.isoformat(), row.ref) for row in rows]


async def held(database: Database) -> list[tuple[str, str]]:
    async with database.transaction() as db:
        rows = await db.execute(
            text("SELECT reason, detail FROM bank_held WHERE resolved_at IS NULL ORDER BY id")
        )
        return [(row.reason, row.detail) for row in rows]


async def as_told(database: Database) -> Check:
    async with database.transaction() as db:
        [found] = await checks.statements_as_told(db)
    return found


async def hand_in(database: Database, made: dict[str, Any], old: str = "", new: str = "") -> bool:
    async with database.transaction() as db:
        at = await clock.now(db)
        xml = statements.build(made, at)
        assert old in xml
        return await inbox.receive_statement(
            db, RESERVE, DAY, xml.replace(old, new) if old else xml
        )


Refused = tuple[dict[str, Any], str, str, type[errors.MessageRefused]]
REFUSED: list[Refused] = [
    ({"iban": SHOP}, "", "", errors.StatementOtherAccount),
    ({"iban": OPERATING}, "", "", errors.StatementOtherAccount),
    ({}, "<Ccy>KZT</Ccy>", "<Ccy>USD</Ccy>", errors.CurrencyNotTenge),
    ({}, 'Ccy="KZT">1.00<', 'Ccy="EUR">1.00<', errors.CurrencyNotTenge),
    ({"closing_tiyn": 101}, "", "", errors.StatementSumWrong),
    ({}, ">1.00<", ">1.001<", errors.AmountNotTiyn),
    ({"date": "2026-11-17"}, "", "", errors.StatementOutOfOrder),
    ({"date": "2026-11-18"}, "", "", errors.StatementTwice),
    ({"opening_tiyn": 5, "closing_tiyn": 105}, "", "", errors.StatementGap),
    ({"lines": [{**LINE, "ref": "ref-0"}]}, "", "", errors.StatementLineTwice),
    ({}, "camt.053.001.08", "camt.053.001.02", errors.MessageUnknown),
    ({}, "</Document>", "", errors.MessageNotXml),
]


async def test_a_statement_that_cannot_be_taken_is_held_by_name_and_once(bank: Database) -> None:
    other = {**LINE, "ref": "ref-0"}
    back = {**LINE, "ref": "ref-b", "side": "debit"}
    before = {**SOUND, "date": "2026-11-18", "closing_tiyn": 0, "lines": [other, back]}
    assert await hand_in(bank, before)
    for changes, old, new, _ in REFUSED:
        for _ in range(2):
            assert not await hand_in(bank, {**SOUND, **changes}, old, new)
    assert [reason for reason, _ in await held(bank)] == [one[3].code for one in REFUSED]
    assert await days(bank) == [("2026-11-18", 0, 0)]
    async with bank.transaction() as db:
        [red] = [one for one in await checks.messages_agree(db) if not one.ok]
    assert (red.left, "camt.053" in red.detail) == (len(REFUSED), True)
    # The next one that is sound resolves them.
    assert await hand_in(bank, SOUND)
    assert await held(bank) == []


async def test_the_same_statement_again_changes_nothing(bank: Database) -> None:
    assert await hand_in(bank, SOUND)
    assert not await hand_in(bank, SOUND)
    async with bank.transaction() as db:
        at = await clock.now(db)
        again = statements.build(SOUND, at).replace("2026-11-19T07:00:00", "2026-11-19T08:00:00", 1)
        assert not (await inbox.take_statement(db, RESERVE, again)).is_new
        told = await db.scalar(
            text("SELECT count(*) FROM event WHERE type = 'bank.statement_received'")
        )
    assert (told, await held(bank), await lines(bank)) == (1, [], [("2026-11-19", "ref-1")])


async def test_the_day_that_goes_on_has_no_statement_yet(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100)
    await set_clock("2026-11-19T23:59:59.999")
    assert await closing.close_days(bank) == 0
    async with bank.transaction() as db:
        assert await closing.busy(db) == []
    await set_clock("2026-11-20T00:00")
    async with bank.transaction() as db:
        assert len(await closing.busy(db)) == 2
    assert await closing.close_days(bank) == 2
    assert await closing.close_days(bank) == 0
    assert await days(bank) == [("2026-11-19", 0, 100)]
    assert await days(bank, OPERATING) == [("2026-11-19", 0, 0)]


async def test_a_statement_is_told_with_its_hash_and_figures_and_without_the_account(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100)
    await set_clock("2026-11-20T09:00")
    await closing.close_days(bank)
    async with bank.transaction() as db:
        rows = await db.execute(
            text(
                "SELECT convert_from(leaf, 'UTF8') AS leaf, private FROM event"
                " WHERE type = 'bank.statement_received' ORDER BY id"
            )
        )
        told = [(row.leaf, row.private) for row in rows]
        xml = await service.statement_xml(db, RESERVE, DAY)
    assert xml is not None
    [leaf] = [leaf for leaf, private in told if private["iban"] == RESERVE]
    assert RESERVE not in leaf
    data = json.loads(leaf)["data"]
    assert data["sha256"] == hashlib.sha256(xml.encode()).hexdigest()
    assert (data["date"], data["opening_tiyn"], data["closing_tiyn"]) == ("2026-11-19", "0", "100")
    assert (data["account"], data["line_count"]) == ("KZ63…0001", 1)
    assert (await as_told(bank)).ok


async def test_a_jump_of_days_gives_each_day_one_statement_whoever_looks(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100)
    await set_clock("2026-11-20T12:00")
    await deposit(bank, 50, "ref-2")
    await set_clock("2026-11-24T12:00")
    sent = await asyncio.gather(*(closing.close_days(bank) for _ in range(3)))
    assert sum(sent) == 10
    assert await days(bank) == [
        ("2026-11-19", 0, 100),
        ("2026-11-20", 100, 150),
        ("2026-11-21", 150, 150),
        ("2026-11-22", 150, 150),
        ("2026-11-23", 150, 150),
    ]
    assert await held(bank) == []


async def test_a_line_that_is_being_booked_at_midnight_is_on_one_statement(
    bank: Database, set_clock: SetClock
) -> None:
    """Whoever books holds the day open; whoever closes it first moves the line to the next."""
    await set_clock("2026-11-19T23:59:59.999")
    async with bank.transaction() as booking:
        await incoming.credit(booking, iban=RESERVE, amount_tiyn=7, bank_reference="late")
        await set_clock("2026-11-20T00:00")
        closer = asyncio.create_task(closing.close_days(bank))
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not await booking.scalar(waits):
            await asyncio.sleep(0.01)
        assert not closer.done()
    assert await closer == 2
    assert await days(bank) == [("2026-11-19", 0, 7)]
    assert await lines(bank) == [("2026-11-19", "late")]


async def test_a_line_that_its_statement_lacked_comes_on_the_next_one(
    bank: Database, set_clock: SetClock
) -> None:
    await switch(bank, faults.MISSING_LINE)
    await deposit(bank, 100)
    await set_clock("2026-11-20T12:00")
    await closing.close_days(bank)
    assert await days(bank) == [("2026-11-19", 0, 0)]
    await switch(bank, faults.MISSING_LINE, 0)
    await set_clock("2026-11-21T12:00")
    await closing.close_days(bank)
    assert await days(bank) == [("2026-11-19", 0, 0), ("2026-11-20", 0, 100)]
    assert (await lines(bank), await held(bank)) == ([("2026-11-20", "ref-1")], [])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bank_reference": "ref-2"}, "bank_statement {iban} 2026-11-19 is of the day and has no"),
        ({}, "is a credit of 100, it says debit of 100"),
    ],
)
async def test_a_notice_that_contradicts_a_statement_that_was_taken_is_held(
    bank: Database, owner_url: str, changes: dict[str, str], why: str
) -> None:
    assert await hand_in(bank, SOUND)
    await give(bank, order())
    body = {
        "iban": RESERVE,
        "amount_tiyn": 100,
        "bank_reference": "ref-1",
        "value_date": "2026-11-19",
        "booked_at": "2026-11-19T07:00:00.000Z",
        "end_to_end_id": "po_1",
        "creditor_iban": SHOP,
        **changes,
    }
    async with bank.transaction() as db:
        at = await clock.now(db)
        accepted = {"end_to_end_id": "po_1", "reason": None}
        await inbox.take(db, messages.build(Kind.accepted, "po_1", accepted, at))
        taken = await inbox.take(db, messages.build(Kind.debit_notice, "ref-1", body, at))
    assert taken.held is not None
    assert why.format(iban=RESERVE) in taken.held.detail


async def test_the_bank_goes_on_once_its_books_are_right_again(
    bank: Database, set_clock: SetClock, owner_url: str
) -> None:
    await deposit(bank, 100)
    await set_clock("2026-11-20T12:00")
    await closing.close_days(bank)
    await set_clock("2026-11-21T12:00")
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = 90")
        assert await closing.close_days(bank) == 1, "the operating account's"
        assert await closing.close_days(bank) == 0
        assert await held(bank) == [
            ("statement_gap", "opens with 90 tiyn, the one before closed with 100")
        ]
        async with bank.transaction() as db:
            assert await closing.busy(db) == []
        await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = 100")
    finally:
        await owner.close()
    assert await closing.close_days(bank) == 1
    assert await held(bank) == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE bank_statement SET closing_tiyn = 7", "is not as"),
        ("UPDATE bank_statement SET sha256 = 'x'", "is not as"),
        ("DELETE FROM bank_statement_line", "is not as"),
        ("DELETE FROM bank_statement", "is missing"),
        ("UPDATE bank_statement SET day = day - 1", "no event tells of it"),
    ],
)
async def test_a_statement_that_was_altered_or_removed_is_named(
    bank: Database, owner_url: str, statement: str, fault: str
) -> None:
    await hand_in(bank, SOUND)
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("SET session_replication_role = replica")
        await owner.execute(statement)
    finally:
        await owner.close()
    found = await as_told(bank)
    assert not found.ok
    assert f"bank_statement {RESERVE} 2026-11-1" in found.detail
    assert fault in found.detail
