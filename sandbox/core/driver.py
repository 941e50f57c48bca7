"""Statements of the hot paths, given to asyncpg as they are.

SQLAlchemy binds, wraps and unwraps each execution for some 100 µs of CPU; the driver takes 20.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

_CONNECTED = "sandbox.driver"
# Has the name of a statement: the server's unnamed one is as it was.
_NOTHING_ASKED = SimpleNamespace(name="none")
_NAME = re.compile(r"(?<![:\w]):([a-z_]+)")


_FIRST_OWN_OID = 16_384
"""PostgreSQL numbers its own types below (FirstNormalObjectId), the same in every database."""
_built_in: dict[frozenset[int], Any] = {}


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """asyncpg asks each server connection anew what an `int[]` is, some milliseconds for each kind
    of array; PostgreSQL's own types are asked for once in a process.
    """

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> Any:
        oids = frozenset(typeoids)
        if oids not in _built_in:
            answer = await super()._introspect_types(typeoids, timeout)
            if max(oids) >= _FIRST_OWN_OID:
                return answer
            _built_in[oids] = answer[0]
            return answer
        return _built_in[oids], _NOTHING_ASKED


class Statement:
    """SQL with parameters `:name`, as SQLAlchemy's `text`, numbered once for the driver."""

    def __init__(self, sql: str) -> None:
        self.names = list(dict.fromkeys(_NAME.findall(sql)))
        self.sql = _NAME.sub(lambda found: f"${self.names.index(found[1]) + 1}", sql)

    async def fetch(self, db: AsyncSession, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run it in the transaction of `db`; a column of a row is `row["name"]`.

        What the ORM holds back is written first. Raises `IntegrityError` and `DBAPIError` as
        SQLAlchemy would, with the driver's own error as `orig`.
        """
        if db.new or db.dirty or db.deleted:
            await db.flush()
        connection, adapted = await _connected(db)
        driver: asyncpg.Connection[Any] = adapted.driver_connection
        try:
            if not driver.is_in_transaction():
                await _begin(connection, adapted)
            # What SQLAlchemy did not begin it would never commit.
            assert adapted._transaction is not None
            given = [values[name] for name in self.names]
            rows: Sequence[Any] = await driver.fetch(self.sql, *given)
            return rows
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            OSError,
            adapted.dbapi.Error,
        ) as error:
            if driver.is_closed():
                # SQLAlchemy must find that out for itself: it gives up its other connections too.
                await connection.exec_driver_sql("SELECT")
            is_refusal = isinstance(error, asyncpg.IntegrityConstraintViolationError)
            kind = IntegrityError if is_refusal else DBAPIError
            # Without the parameters: they hold secrets, and an error's text ends up in the log.
            raise kind(self.sql, None, error) from error


async def _begin(connection: AsyncConnection, adapted: Any) -> None:
    """SQLAlchemy begins before the first statement that it runs itself, and ends only that."""
    try:
        await adapted._start_transaction()
    except asyncio.CancelledError:
        # The server may have heard it. Nobody would end that transaction: whoever had this
        # connection next would write into it, lock rows and commit nothing.
        assert connection.sync_connection is not None
        connection.sync_connection.invalidate()
        raise


async def _connected(db: AsyncSession) -> tuple[AsyncConnection, Any]:
    """The connection of the session's transaction, and the driver's below it.

    Asked of SQLAlchemy once for each transaction: each time again took half of a statement.
    """
    transaction = db.sync_session.get_transaction()
    known = db.info.get(_CONNECTED)
    if known is not None and transaction is not None and known[0] is transaction:
        return known[1], known[2]
    connection = await db.connection()
    adapted: Any = (await connection.get_raw_connection()).dbapi_connection
    db.info[_CONNECTED] = db.sync_session.get_transaction(), connection, adapted
    return connection, adapted
