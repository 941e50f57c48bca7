"""What a seeded world draws: the same again, nothing twice, and nothing that was rolled back."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from sandbox.core import chance, clock, seeding
from sandbox.core.db import Database
from sandbox.core.ids import new_id
from sandbox.core.seeding import OtherSeed
from sandbox.core.turns import turn

AT = datetime(2026, 11, 23, 4, tzinfo=UTC)


@pytest.fixture
def sown() -> Iterator[None]:
    chance.sow(7)
    yield
    chance.sow(None)


class Failed(Exception):
    pass


async def draw(database: Database, stream: str, count: int = 1) -> list[str]:
    with chance.within(stream):
        async with database.transaction():
            return [new_id("cs", AT) for _ in range(count)]


async def test_a_world_cannot_go_on_with_another_seed(database: Database) -> None:
    async with database.transaction() as db:
        await seeding.keep(db, 7)
    for other in (8, None):
        with pytest.raises(OtherSeed, match="made with the seed 7"):
            async with database.transaction() as db:
                await seeding.keep(db, other)


async def test_a_world_made_without_a_seed_cannot_get_one(database: Database) -> None:
    async with database.transaction() as db:
        await db.execute(
            text("INSERT INTO chain_deployment VALUES ('solana', '', '{}', sandbox_now())")
        )
    with pytest.raises(OtherSeed, match="made without a seed"):
        async with database.transaction() as db:
            await seeding.keep(db, 7)


async def test_the_clock_of_a_seeded_world_stands_and_goes_on_from_there(
    database: Database,
) -> None:
    async with database.transaction() as db:
        await seeding.keep(db, 7)
        assert await clock.now(db) == chance.START
        assert await clock.freeze(db, False) >= chance.START
        assert (await clock.now(db) - chance.START).total_seconds() < 60


@pytest.mark.usefixtures("sown")
async def test_what_is_rolled_back_was_not_drawn(database: Database) -> None:
    lost = list[str]()

    async def draw_in_vain() -> None:
        async with database.transaction():
            lost.append(new_id("cs", AT))
            raise Failed

    with chance.within("a"), pytest.raises(Failed):
        await draw_in_vain()
    assert await draw(database, "a") == lost
    assert await draw(database, "a") != lost


@pytest.mark.usefixtures("sown")
async def test_the_same_seed_draws_the_same_however_streams_run_beside_each_other(
    database: Database,
) -> None:
    first = {name: await draw(database, name, 3) for name in ("a", "b")}
    async with database.transaction() as db:
        await db.execute(text("UPDATE seed_stream SET drawn = 0"))
    again = {"a": await draw(database, "a"), "b": await draw(database, "b", 2)}
    again["b"] += await draw(database, "b")
    again["a"] += await draw(database, "a", 2)
    assert again == first
    assert first["a"] == sorted(first["a"])


@pytest.mark.usefixtures("sown")
async def test_transactions_at_once_draw_nothing_twice(database: Database) -> None:
    drawn = await asyncio.gather(*(draw(database, "a", 5) for _ in range(20)))
    assert len({one for some in drawn for one in some}) == 100


@pytest.mark.usefixtures("sown")
async def test_a_transaction_inside_another_does_not_wait_for_it(database: Database) -> None:
    with chance.within("a"):
        async with database.transaction():
            outer = new_id("cs", AT)
            async with database.transaction():
                inner = new_id("cs", AT)
            assert len({outer, inner, new_id("cs", AT)}) == 3


@pytest.mark.usefixtures("sown")
async def test_after_a_restore_the_same_count_is_another_id(database: Database) -> None:
    before = await draw(database, "a")
    async with database.transaction() as db:
        await db.execute(text("UPDATE seed_stream SET drawn = 0"))
        await db.execute(text("UPDATE clock SET epoch = epoch + 1"))
    assert await draw(database, "a") != before


@pytest.mark.usefixtures("sown")
async def test_what_outlives_its_transaction_draws_from_it_no_more(database: Database) -> None:
    with chance.within("a"):
        async with database.transaction():
            first = new_id("cs", AT)
            late = asyncio.create_task(asyncio.sleep(0.01, None))
            late_id = asyncio.create_task(_after(late))
    assert len({first, await late_id, *await draw(database, "a", 3)}) == 5


async def _after(task: "asyncio.Task[None]") -> str:
    await task
    return new_id("cs", AT)


@pytest.mark.usefixtures("sown")
async def test_who_draws_waits_for_the_end_of_the_turn(database: Database) -> None:
    order = list[str]()

    async def ask() -> None:
        await draw(database, "a")
        order.append("asked")

    async with turn(database):
        asking = asyncio.create_task(ask())
        with chance.within("loop", is_turn=True):
            await _until_waiting(database)
            async with database.transaction():
                new_id("cs", AT)
        order.append("turn")
    await asking
    assert order == ["turn", "asked"]


async def _until_waiting(database: Database) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    while True:
        async with database.transaction(draws=False) as db:
            if await db.scalar(waiting):
                return


async def test_without_a_seed_nothing_is_locked_and_ids_differ(database: Database) -> None:
    first = await draw(database, "a")
    assert await draw(database, "a") != first
    async with database.transaction() as db:
        assert await db.scalar(text("SELECT count(*) FROM seed_stream")) == 0


def test_keys_and_dice_follow_the_seed_and_their_names() -> None:
    assert chance.key_bytes("evm", "relayer", seed=7) == chance.key_bytes("evm", "relayer", seed=7)
    assert chance.key_bytes("evm", "relayer", seed=7) != chance.key_bytes("evm", "admin", seed=7)
    assert chance.key_bytes("evm", "relayer", seed=7) != chance.key_bytes("evm", "relayer", seed=8)
    assert chance.key_bytes("evm", "relayer") != chance.key_bytes("evm", "relayer")
