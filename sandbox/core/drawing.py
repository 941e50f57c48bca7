"""The streams of `chance` as rows, each held by the transaction that draws from it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import chance

TURN = 0x6B7A7465  # the advisory lock of the worker's turn
_LOCK = text(
    "SELECT drawn, (SELECT epoch FROM clock) AS epoch FROM seed_stream"
    " WHERE name = :name FOR UPDATE"
)
_WAIT = text("SELECT pg_advisory_xact_lock_shared(:turn)")
_OPEN = text("INSERT INTO seed_stream (name, drawn) VALUES (:name, 0) ON CONFLICT DO NOTHING")
_MOVE = text("UPDATE seed_stream SET drawn = :drawn WHERE name = :name")


@asynccontextmanager
async def drawing(db: AsyncSession) -> AsyncIterator[None]:
    """What the transaction of `db` draws, when a seed was sown and somebody draws here.

    The stream is held until the end. A transaction inside another one has a stream of its own.
    """
    stream = chance.stream()
    if stream is None:
        yield
        return
    outer = chance.draws()
    if outer is not None:
        # Who waited here for a turn that waits for the outer one would wait for ever.
        stream = f"{outer.stream} +"
    elif not chance.is_turn():
        await db.execute(_WAIT, {"turn": TURN})
    row = (await db.execute(_LOCK, {"name": stream})).one_or_none()
    if row is None:
        await db.execute(_OPEN, {"name": stream})
        row = (await db.execute(_LOCK, {"name": stream})).one()
    with chance.opened(stream, row.epoch, row.drawn) as mine:
        yield
        # Before the count is written: whoever draws meanwhile would draw what comes next again.
        mine.is_open = False
        if mine.drawn != row.drawn:
            await db.execute(_MOVE, {"name": stream, "drawn": mine.drawn})
