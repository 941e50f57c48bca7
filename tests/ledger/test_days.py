"""A day that is over is sealed once, and holds for ever what it held then."""

import asyncio
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import asyncpg
import pytest
from sqlalchemy import text

from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.zone import ALMATY
from sandbox.eventlog.types import EntryHash
from sandbox.ledger import accounts, checks, days, service
from sandbox.ledger.journal import Changes, NewEntry
from tests.ledger.books import BANK, Ends, changes, deposit, paid, record

DAY_S = 86_400


async def today(database: Database) -> date:
    async with database.transaction() as db:
        return (await clock.now(db)).astimezone(ALMATY).date()


async def later(database: Database, seconds: int) -> None:
    async with database.transaction() as db:
        await clock.advance(db, seconds)


async def dated(database: Database, at: datetime, *entries: NewEntry) -> dict[str, EntryHash]:
    return await record(database, *(replace(entry, effective_at=at) for entry in entries))


async def seal_all(database: Database) -> list[date]:
    while await days.seal_due(database):
        pass
    async with database.transaction() as db:
        return list((await db.scalars(text("SELECT day FROM sealed_day ORDER BY day"))).all())


async def faults(database: Database) -> str:
    async with database.transaction() as db:
        [check] = await checks.days_stay_sealed(db)
    return "" if check.ok else check.detail


async def noon_today(database: Database) -> datetime:
    """A moment of today's that has been; in the first hours of a day the clock moves to get it."""
    async with database.transaction() as db:
        now = (await clock.now(db)).astimezone(ALMATY)
    noon = datetime.combine(now.date(), time(12), ALMATY)
    if now < noon:
        await later(database, int((noon - now).total_seconds()) + 1)
    return noon


async def test_a_day_that_goes_on_is_not_sealed(database: Database) -> None:
    await dated(database, await noon_today(database), deposit("dep_1", 100))
    assert await seal_all(database) == []


async def test_a_day_is_sealed_when_its_last_word_has_had_time_to_come(database: Database) -> None:
    noon = await noon_today(database)
    await dated(database, noon, deposit("dep_1", 100))
    async with database.transaction() as db:
        now = await clock.now(db)
    midnight = datetime.combine(noon.date() + timedelta(days=1), time(), ALMATY)
    await later(database, int((midnight - now).total_seconds()) + 60)
    assert await seal_all(database) == []
    await later(database, int(days.GRACE.total_seconds()))
    assert await seal_all(database) == [noon.date()]
    assert await faults(database) == ""


async def test_each_day_with_entries_is_sealed_once_by_however_many(database: Database) -> None:
    first = await today(database)
    for number in range(3):
        await dated(database, await noon_today(database), deposit(f"dep_{number}", 100))
        await later(database, 2 * DAY_S)
    for _ in range(3):
        await asyncio.gather(*(days.seal_due(database) for _ in range(4)))
    assert await seal_all(database) == [first + timedelta(days=2 * n) for n in range(3)]
    async with database.transaction() as db:
        told = await db.scalar(text("SELECT count(*) FROM event WHERE type = 'ledger.day_sealed'"))
    assert told == 3


async def test_what_is_learned_late_is_dated_to_the_open_day_and_keeps_its_own(
    database: Database,
) -> None:
    noon = await noon_today(database)
    await dated(database, noon, deposit("dep_1", 100))
    await later(database, 2 * DAY_S)
    await seal_all(database)
    hashes = await dated(database, noon, deposit("dep_2", 50), paid("pay_1:1", "cs_1", 7))
    opened = datetime.combine(noon.date() + timedelta(days=1), time(), ALMATY)
    async with database.transaction() as db:
        [deposited] = await service.entries_for(db, "dep_2")
        [payment] = await service.entries_for(db, "pay_1:1")
    for entry in (deposited, payment):
        assert (entry.effective_at, entry.dated_from) == (opened, noon)
        assert entry.recorded_at > opened
    # What its event tells is the entry as it stands in the books.
    assert hashes["dep_2"] == service.entry_hash(deposited)
    await record(database, Ends("pay_1:1"))
    assert await faults(database) == ""
    async with database.transaction() as db:
        assert all(check.ok for check in await checks.entries_are_told(db))


async def test_an_entry_of_an_open_day_keeps_its_date(database: Database) -> None:
    noon = await noon_today(database)
    await dated(database, noon, deposit("dep_1", 100))
    async with database.transaction() as db:
        [entry] = await service.entries_for(db, "dep_1")
    assert (entry.effective_at, entry.dated_from) == (noon, None)


async def test_sealing_waits_for_who_is_writing_into_the_day(database: Database) -> None:
    noon = await noon_today(database)
    await dated(database, noon, deposit("dep_1", 100))
    await later(database, 2 * DAY_S)
    async with database.transaction() as db:
        late = replace(deposit("dep_2", 50), effective_at=noon)
        await service.record(db, changes(late))
        sealing = asyncio.create_task(days.seal_due(database))
        while not await waiting_for_the_days(database):
            await asyncio.sleep(0.01)
        assert not sealing.done()
    assert await sealing
    async with database.transaction() as db:
        row = (await db.execute(text("SELECT day, entries FROM sealed_day"))).one()
    assert tuple(row) == (noon.date(), 2)
    assert await faults(database) == ""


async def waiting_for_the_days(database: Database) -> bool:
    async with database.transaction() as db:
        found = await db.scalar(
            text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        )
    return bool(found)


async def test_the_event_gives_a_trial_balance_that_adds_up(database: Database) -> None:
    noon = await noon_today(database)
    await dated(database, noon, deposit("dep_1", 100), deposit("dep_2", 20))
    await dated(database, noon, paid("pay_1:1", "cs_1", 7), paid("pay_2:1", "cs_2", 5))
    await record(database, Ends("pay_1:1"))
    await later(database, 2 * DAY_S)
    await seal_all(database)
    async with database.transaction() as db:
        data = await db.scalar(
            text(
                "SELECT convert_from(leaf, 'UTF8')::jsonb -> 'data' FROM event"
                " WHERE type = 'ledger.day_sealed'"
            )
        )
    assert (data["entries"], data["day"]) == (4, noon.date().isoformat())
    found = {(line["asset"], line["class"]): line["amount"] for line in data["balances"]}
    assert found == {
        ("KZT", "a:reserve:bank"): "120",
        ("KZT", "l:unminted"): "120",
        ("KZTE.solana", "custody"): "7",
        ("KZTE.solana", "suspense"): "7",
        ("KZTE.solana", "external"): "-7",
        ("KZTE.solana", "treasury"): "7",
    }


ENTRY = (
    "INSERT INTO entry (id, kind, reason, ref, effective_at, recorded_at, cause)"
    " VALUES ('ent_attack', 'posted', 'attack', 'attack', $1, $2, 'attack')"
)


async def test_the_database_itself_refuses_what_is_dated_into_a_sealed_day(
    database: Database, db_url: str
) -> None:
    noon = await noon_today(database)
    await dated(database, noon, deposit("dep_1", 100))
    await later(database, 2 * DAY_S)
    await seal_all(database)
    attacker = await asyncpg.connect(db_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await attacker.execute(ENTRY, noon, noon + timedelta(days=3))
        assert refused.value.constraint_name == "entry_in_an_open_day"
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await attacker.execute(ENTRY, noon + timedelta(days=3), noon)
        assert refused.value.constraint_name == "ck_entry_not_from_the_future"
        for statement in ("UPDATE sealed_day SET entries = 0", "DELETE FROM sealed_day"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await attacker.execute(statement)
    finally:
        await attacker.close()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE entry SET effective_at = effective_at + '3 days', recorded_at = 'infinity'"
         " WHERE ref = 'dep_1'", "was sealed with 2 entries, holds 1"),
        ("UPDATE sealed_day SET sha256 = repeat('0', 64)", "was sealed with 2 entries, holds 2"),
        ("DELETE FROM event WHERE type = 'ledger.day_sealed'", "no event tells of it"),
    ],
)  # fmt: skip
async def test_a_sealed_day_that_was_altered_is_named(
    database: Database, owner_url: str, statement: str, found: str
) -> None:
    noon = await noon_today(database)
    await dated(database, noon, deposit("dep_1", 100), deposit("dep_2", 1))
    await later(database, 2 * DAY_S)
    await seal_all(database)
    assert await faults(database) == ""
    owner = await asyncpg.connect(owner_url)
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(statement)
    await owner.close()
    assert f"sealed_day {noon.date()}: {found}" in await faults(database)


async def test_an_empty_ledger_has_nothing_to_seal(database: Database) -> None:
    async with database.transaction() as db:
        await service.record(db, Changes())
    assert not await days.seal_due(database)
    assert await service_balance(database) == 0


async def service_balance(database: Database) -> int:
    async with database.transaction() as db:
        return (await service.balance(db, BANK)).posted + (
            await service.balance(db, accounts.vat())
        ).posted
