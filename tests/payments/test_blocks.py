"""A block full of payments costs as many statements as a block with a few."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event, text

from sandbox.chains.memory import MemoryChain
from sandbox.chains.watching import SeenBlock
from sandbox.core.db import Database
from sandbox.eventlog.tiles import MAX_ENTRY_BYTES
from sandbox.payments.handlers import PaymentsHandler
from tests.payments.world import World


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements that the engine executes meanwhile."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def block_of(world: World, payments: int) -> tuple[int, int]:
    """Statements at confirmed and at final for a block with so many payments and strays."""
    sessions = [await world.session() for _ in range(payments)]
    for session in sessions:
        world.send(session, 12_000)
        world.send(None, 5)
    world.chain.mine()
    await world.sync()
    with statements(world.database) as at_confirmed:
        await world.follow()
    world.chain.mine_final()
    await world.sync()
    with statements(world.database) as at_final:
        await world.follow()
    return len(at_confirmed), len(at_final)


async def test_the_number_of_statements_does_not_follow_the_number_of_payments(
    world: World,
) -> None:
    few, many = await block_of(world, 2), await block_of(world, 40)
    # The watcher's own steps and the first use of an account differ by a few statements.
    assert all(abs(a - b) <= 6 for a, b in zip(few, many, strict=True))
    told = await world.told()
    assert told.count("payment.captured") == 42
    assert told.count("stray.recorded") == 84


async def test_forty_specks_of_dust_do_not_stop_the_log(world: World) -> None:
    session = await world.session()
    for _ in range(60):
        world.send(session, 1)
    world.chain.mine()
    await world.follow()
    read = await world.read(session)
    assert len(read["payments"]) == 60
    [*_, (_, told)] = await world.events("checkout.session.underpaid")
    assert (len(told["payments"]), told["payments_left_out"]) == (40, 20)
    async with world.database.transaction() as db:
        longest = await db.scalar(text("SELECT max(length(leaf)) FROM event"))
    assert longest < MAX_ENTRY_BYTES * 3 // 4


async def test_an_empty_block_costs_nothing(database: Database, chain: MemoryChain) -> None:
    block = SeenBlock("memory", 2, 1, "hash", datetime.now(UTC), (), ())
    async with database.transaction() as db:
        with statements(database) as seen:
            changes = await PaymentsHandler().on_block(db, block)
    assert (seen, changes.events) == ([], [])
