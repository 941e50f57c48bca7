"""PostgreSQL access: one engine per process, one transaction per request (DESIGN 2)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import chance
from sandbox.core.drawing import drawing
from sandbox.core.driver import Connection, Statement
from sandbox.core.errors import SandboxError, Unavailable

LONGEST_LEASE_S = 60
UNLEASED = (
    "(lease_until IS NULL OR lease_until < clock_timestamp()"
    f" OR lease_until > clock_timestamp() + interval '{LONGEST_LEASE_S} seconds')"
)
"""SQL: nobody holds the row. A lease that ends later than any can was written before the clock
went back: it is none."""
LONGEST_WAIT_S = 10.0
"""Seconds that a request waits for a connection: others have all of them, or a server is silent."""
# A statement is planned in a world of some rows, as are the looks for what a foreign key refers to,
# and the plan is kept while the world grows to thousands.
_BY_INDEX = {"enable_seqscan": "off"}
# No queries, behind which a transaction's isolation could not be chosen any more.
_WHOLE_TABLES = text("SET LOCAL enable_seqscan = on"), text("SET LOCAL enable_nestloop = off")
# PostgreSQL, appendix A: disk_full.
_DISK_FULL = "53100"


class DatabaseUnavailable(Unavailable):
    """PostgreSQL is gone, or has no room: nothing of the request was committed."""

    code = "database_unavailable"

    def __init__(self) -> None:
        super().__init__("the database")


class DiskFull(DatabaseUnavailable):
    """PostgreSQL had no room on its disk for what the request was about to write."""

    def __init__(self) -> None:
        full = "the disk of the database is full: make room, then try again"
        SandboxError.__init__(self, full, part="the database's disk")


class NoConnectionFree(DatabaseUnavailable):
    """Others had all connections of this process for as long as a request may wait."""

    def __init__(self) -> None:
        busy = "all connections to the database were in use for too long; try again"
        SandboxError.__init__(self, busy, part="the connections to the database")


def unavailable(error: BaseException) -> DatabaseUnavailable:
    """The refusal for an `error` that `is_disconnect`."""
    if isinstance(error, NoConnectionInTime):
        return NoConnectionFree()
    is_full = isinstance(error, DBAPIError) and _sqlstate(error) == _DISK_FULL
    return DiskFull() if is_full else DatabaseUnavailable()


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def async_url(url: str) -> str:
    """A `postgresql://` URL in the form that selects asyncpg."""
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)


class Database:
    """The engine of one process, with so many `connections` at most; who gets none within
    `longest_wait_s` is refused.

    Services never commit; `transaction` does, on leaving.
    """

    def __init__(
        self, url: str, *, connections: int = 10, longest_wait_s: float = LONGEST_WAIT_S
    ) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            async_url(url),
            # None beyond the pool's size: those are opened and closed with each use, which cost the
            # database more than all statements. The last one used is used next.
            pool_size=connections,
            max_overflow=0,
            pool_use_lifo=True,
            pool_timeout=longest_wait_s,
            connect_args={
                "timeout": longest_wait_s,
                "connection_class": Connection,
                "server_settings": _BY_INDEX,
            },
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
            # Parameters hold secrets, and an error's text ends up in the log.
            hide_parameters=True,
        )
        event.listen(self.engine.sync_engine, "checkout", _lend_none_that_was_cut)
        self._leaders: list[Leader] = []

    @asynccontextmanager
    async def transaction(self, *, draws: bool = True) -> AsyncIterator[AsyncSession]:
        """A session in one transaction: leaving commits, raising rolls back.

        One that `draws` nothing leaves its first statement to the caller also in a seeded world.
        Raises `DatabaseUnavailable` when the server is gone, `DiskFull` when it has no room,
        `NoConnectionFree`.
        """
        try:
            async with AsyncSession(self.engine, expire_on_commit=False) as db, db.begin():
                if not draws or not chance.is_sown():
                    yield db
                else:
                    async with drawing(db):
                        yield db
        except (DBAPIError, OSError, NoConnectionInTime) as error:
            if is_disconnect(error):
                raise unavailable(error) from error
            raise

    async def dispose(self) -> None:
        """Give up every lead and close every connection of this process."""
        await self.release_leads()
        await self.engine.dispose()

    async def let_go(self) -> None:
        """As `dispose`, for good: whoever still holds this cannot connect to what comes after."""
        event.listen(self.engine.sync_engine, "do_connect", _refuse_to_connect)
        await self.dispose()

    async def release_leads(self) -> None:
        """Let others lead."""
        for leader in self._leaders:
            await leader.release()

    def leader(self, name: str, owner: str) -> "Leader":
        """A candidate for the single runner of `name`; `owner` says who in its row."""
        self._leaders.append(Leader(self, name, owner))
        return self._leaders[-1]


def _lend_none_that_was_cut(connection: Any, *_: Any) -> None:
    """A server that was restarted has cut them all; whoever asked first would be told so."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError  # SQLAlchemy makes another one


def _refuse_to_connect(*_: Any) -> None:
    raise ConnectionError("this world was let go of")


async def compare_whole_tables(db: AsyncSession) -> None:
    """Let the other statements of this transaction read each table from end to end, once.

    Going through one for each row of another never pays there, whatever is (not yet) known of how
    many rows there are; elsewhere rows are found by an index.
    """
    for setting in _WHOLE_TABLES:
        await db.execute(setting)


def is_disconnect(error: BaseException) -> bool:
    """Whether `error` means that the server went away or is full, not that a statement is wrong."""
    if isinstance(error, DBAPIError):
        sqlstate = _sqlstate(error)
        # PostgreSQL, appendix A: class 08 (connection), 53 (disk, memory, connections), 57P0x
        # (operator intervention).
        return (
            error.connection_invalidated or sqlstate[:2] in ("08", "53") or sqlstate[:4] == "57P0"
        )
    return isinstance(error, ConnectionError | TimeoutError | NoConnectionInTime)


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


async def one_transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """The session of this request; an idempotent route has opened it already."""
    opened = getattr(request.state, "db", None)
    if opened is not None:
        yield opened
        return
    database: Database = request.app.state.database
    async with database.transaction() as db:
        yield db


SessionDep = Annotated[AsyncSession, Depends(one_transaction, scope="function")]


_OUR_TERM = Statement("SELECT term FROM leader WHERE name = :name AND term = :term FOR SHARE")


class LostLead(Exception):
    """Another process leads now; what this one was about to write is rolled back."""


class Leader:
    """The single runner of `name`: an advisory lock, and a term checked in each transaction.

    The lock alone would let a stalled leader write after its connection died (DESIGN 2).
    """

    def __init__(self, database: Database, name: str, owner: str) -> None:
        self._database, self.name, self.owner = database, name, owner
        self._connection: AsyncConnection | None = None
        self._is_cut: Callable[[], bool] = lambda: False
        self.term = 0

    async def acquire(self) -> bool:
        """Try to lead; true when this process leads afterwards.

        The lock went with its connection when that was cut: then it is taken anew.
        """
        if self._connection is not None:
            if not self._is_cut():
                return True
            await self.release()
        connection = await self._database.engine.connect()
        try:
            locked = await connection.scalar(
                text("SELECT pg_try_advisory_lock(hashtextextended('leader:' || :name, 0))"),
                {"name": self.name},
            )
            if not locked:
                await connection.close()
                return False
            self.term = await connection.scalar(
                text(
                    "INSERT INTO leader (name, term, owner, taken_at)"
                    " VALUES (:name, 1, :owner, clock_timestamp())"
                    " ON CONFLICT (name) DO UPDATE SET term = leader.term + 1,"
                    " owner = excluded.owner, taken_at = excluded.taken_at RETURNING term"
                ),
                {"name": self.name, "owner": self.owner},
            )
            await connection.commit()
            raw: Any = (await connection.get_raw_connection()).driver_connection
        except BaseException:
            await connection.invalidate()
            raise
        self._connection, self._is_cut = connection, raw.is_closed
        return True

    async def check(self, db: AsyncSession) -> None:
        """Refuse to go on in this transaction unless the term is still ours."""
        if not await _OUR_TERM.fetch(db, {"name": self.name, "term": self.term}):
            await self.release()
            raise LostLead(self.name)

    async def release(self) -> None:
        """Give up the lead; harmless when it was lost already."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.invalidate()
            await connection.close()


async def led(db: AsyncSession) -> set[str]:
    """The names of the jobs that some process leads at this moment: who dies holds no lock."""
    names = await db.scalars(
        text(
            "SELECT l.name FROM leader l JOIN pg_locks k ON k.locktype = 'advisory'"
            " AND k.granted AND k.objsubid = 1"
            " AND (k.classid::bigint << 32 | k.objid::bigint)"
            " = hashtextextended('leader:' || l.name, 0)"
            " JOIN pg_database d ON d.oid = k.database AND d.datname = current_database()"
        )
    )
    return set(names)


async def claim(
    db: AsyncSession,
    table: str,
    due: str,
    *,
    owner: str,
    limit: int,
    seconds: int,
    order: str = "id",
) -> list[Any]:
    """Lease up to `limit` due rows of `table` for `seconds` of wall time; returns whole rows.

    `table`, `due` and `order` are SQL of the caller's own, never input. The table has
    `lease_owner text` and `lease_until timestamptz`. Any number of workers may claim at once.
    """
    assert seconds <= LONGEST_LEASE_S
    result = await db.execute(
        text(
            f"UPDATE {table} SET lease_owner = :owner,"  # noqa: S608 - names of our own tables
            " lease_until = clock_timestamp() + :seconds * interval '1 second'"
            f" WHERE id IN (SELECT id FROM {table} WHERE ({due}) AND {UNLEASED}"
            f" ORDER BY {order} LIMIT :limit FOR UPDATE SKIP LOCKED) RETURNING *"
        ),
        {"owner": owner, "seconds": seconds, "limit": limit},
    )
    return list(result.all())
