"""Tells which background jobs have something to do, by one statement for all of them.

Twenty jobs that each look for work several times a second cost a laptop a tenth of a core.
"""

from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError

from sandbox.core.db import Database, is_disconnect, unavailable


class Lookout:
    """`conditions`: job → SQL that is true when the job would find something.

    One that is true too often costs a look; one that is not true in time delays the job until it
    looks by itself, which it does now and then.
    """

    def __init__(self, database: Database, conditions: Mapping[str, str]) -> None:
        # One statement of its own needs no BEGIN and no COMMIT.
        self._engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._names = list(conditions)
        self._sql = "SELECT " + ", ".join(f"({sql})" for sql in conditions.values())

    async def look(self) -> set[str]:
        """The jobs that have something to do now. Raises `DatabaseUnavailable`."""
        if not self._names:
            return set()
        try:
            async with self._engine.connect() as connection:
                row = (await connection.exec_driver_sql(self._sql)).one()
        except (DBAPIError, OSError) as error:
            if is_disconnect(error):
                raise unavailable(error) from error
            raise
        return {name for name, is_due in zip(self._names, row, strict=True) if is_due}
