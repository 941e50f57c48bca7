"""What the tests of a followed EVM chain share: waiting, asking, and blocks made by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import text

from sandbox.chains import service
from sandbox.chains.evm.rpc import Node
from sandbox.chains.port import Command
from sandbox.core.db import Database

DEADLINE_S = 30


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not reached():
            await asyncio.sleep(0.01)


async def ask(database: Database, *commands: Command, kind: str = "issuance") -> None:
    async with database.transaction() as db:
        intents = [service.Intent(c.reference, kind, "evm", c) for c in commands]
        await service.request(db, intents)


async def until_resolved(database: Database, id_: str) -> service.IntentState:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with database.transaction() as db:
                found = await service.intent(db, id_)
            if found.state in ("done", "not_done"):
                return found
            await asyncio.sleep(0.01)


async def until_done(database: Database, *ids: str) -> None:
    for id_ in ids:
        found = await until_resolved(database, id_)
        assert found.state == "done", found


async def until_sent(database: Database, count: int = 1) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with database.transaction() as db:
                found = "SELECT count(*) FROM chain_attempt WHERE broadcast_at IS NOT NULL"
                if (await db.scalar(text(found)) or 0) >= count:
                    return
            await asyncio.sleep(0.01)


async def attempts(database: Database, id_: str) -> list[tuple[int, str, str, list[str]]]:
    """(number, state, transaction, slots) of an intent's attempts."""
    async with database.transaction() as db:
        rows = await db.execute(
            text(
                "SELECT n, state, tx_id, slots FROM chain_attempt WHERE intent_id = :id ORDER BY n"
            ),
            {"id": id_},
        )
        return [(row.n, row.state, row.tx_id, list(row.slots)) for row in rows]


@asynccontextmanager
async def blocks_by_hand(node: Node) -> AsyncIterator[None]:
    """The devnet makes blocks only when it is told to (`sandbox_mine`)."""
    await node.call("sandbox_pause")
    try:
        yield
    finally:
        await node.call("sandbox_resume")
