"""The control database beside the worlds (CONTRACT 6): which world lives, its epochs, snapshots.

Owner's connection only. Databases: `sbx_world` the live one, `sbx_snap_<id>` a snapshot's,
`sbx_next_<epoch>` one that is to move in, `sbx_left_<epoch>` one whose log is not sealed yet,
`sbx_spare_<id>` a copy of a snapshot's that is ready for its next restore.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Union
from urllib.parse import urlsplit

import asyncpg

from sandbox.lab.world_errors import INITIAL

WORLD: Final = "sbx_world"
CONTROL: Final = "sbx_control"
SNAP, NEXT, LEFT, SPARE = "sbx_snap_", "sbx_next_", "sbx_left_", "sbx_spare_"

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS world (name text PRIMARY KEY, epoch int NOT NULL,"
    " snapshot text, command text, changed_at timestamptz NOT NULL DEFAULT now())",
    "ALTER TABLE world ADD COLUMN IF NOT EXISTS last_epoch int NOT NULL DEFAULT 1",
    "ALTER TABLE world ADD COLUMN IF NOT EXISTS wants_initial boolean NOT NULL DEFAULT false",
    "ALTER TABLE world ADD COLUMN IF NOT EXISTS schema text NOT NULL DEFAULT ''",
    "INSERT INTO world (name, epoch, wants_initial)"
    " VALUES ('sbx_world', 1, true) ON CONFLICT DO NOTHING",
    "CREATE TABLE IF NOT EXISTS snapshot (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " name text UNIQUE NOT NULL, epoch int NOT NULL, size bigint NOT NULL, at_ms bigint NOT NULL,"
    " payments bigint NOT NULL, size_bytes bigint NOT NULL, schema text NOT NULL,"
    " created_at timestamptz NOT NULL DEFAULT now())",
    "CREATE SEQUENCE IF NOT EXISTS snapshot_number",
)
Connection = Union["asyncpg.Connection[Any]", "asyncpg.pool.PoolConnectionProxy[Any]"]
_GONE_S: Final = 5.0


def database_of(server_url: str, name: str) -> str:
    """The URL of another database of the same server, as the same role."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A row of the table: what makes a template database and two chains' copies one snapshot."""

    id: int
    name: str
    epoch: int
    size: int
    at_ms: int
    payments: int
    size_bytes: int
    schema: str
    created_at: datetime

    @property
    def database(self) -> str:
        return f"{SNAP}{self.id}"

    @property
    def spare(self) -> str:
        return f"{SPARE}{self.id}"

    @property
    def on_chains(self) -> str:
        """Under which name both chains keep their part."""
        return on_chains(self.id)

    def as_json(self) -> dict[str, Any]:
        """The object of the API."""
        return {
            "object": "snapshot",
            "name": self.name,
            "epoch": self.epoch,
            "position": self.size,
            "now": iso(self.at_ms),
            "payments": self.payments,
            "size_bytes": self.size_bytes,
            "created_at": iso(int(self.created_at.timestamp() * 1000)),
        }


def on_chains(number: int) -> str:
    return f"world-{number}"


def renewal(command: Mapping[str, Any]) -> dict[str, Any]:
    """What a world that moved in is told, out of the command that moved it in."""
    return {name: command[name] for name in ("epoch", "at_ms", "snapshot", "left")}


def iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Control:
    """The control database over one connection. Raises asyncpg's errors and OSError."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    async def make_tables(self) -> None:
        for statement in _SCHEMA:
            await self._db.execute(statement)
        # A world of before the counter was in its epoch already.
        await self._db.execute("UPDATE world SET last_epoch = greatest(last_epoch, epoch)")

    async def snapshots(self) -> list[Snapshot]:
        """Oldest first."""
        rows = await self._db.fetch("SELECT * FROM snapshot ORDER BY id")
        return [Snapshot(**row) for row in rows]

    async def snapshot(self, name: str) -> Snapshot | None:
        return next((one for one in await self.snapshots() if one.name == name), None)

    async def next_number(self) -> int:
        """A number that no snapshot had before."""
        number: int = await self._db.fetchval("SELECT nextval('snapshot_number')")
        return number

    async def keep(self, number: int, name: str, values: Mapping[str, Any]) -> Snapshot:
        """From here on it is a snapshot."""
        row = await self._db.fetchrow(
            "WITH begun AS (UPDATE world SET wants_initial = false)"
            " INSERT INTO snapshot (id, name, epoch, size, at_ms, payments, size_bytes, schema)"
            " OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7,"
            " (SELECT schema FROM world)) RETURNING *",
            number,
            name,
            *(values[key] for key in ("epoch", "size", "at_ms", "payments", "size_bytes")),
        )
        assert row is not None
        return Snapshot(**row)

    async def forget(self, snapshot: Snapshot) -> None:
        """From here on it is none; its database is swept away later."""
        await self._db.execute("DELETE FROM snapshot WHERE id = $1", snapshot.id)

    async def forget_others(self, snapshot_id: int) -> None:
        """Only this one is kept; unless it is the initial one, that is made anew."""
        await self._db.execute("DELETE FROM snapshot WHERE id <> $1", snapshot_id)
        await self._db.execute(
            "UPDATE world SET wants_initial = NOT EXISTS (SELECT FROM snapshot WHERE name = $1)",
            INITIAL,
        )

    async def next_epoch(self) -> int:
        """An epoch that was never used, and will not be again: committed before it is signed."""
        epoch: int = await self._db.fetchval(
            "UPDATE world SET last_epoch = last_epoch + 1 WHERE name = $1 RETURNING last_epoch",
            WORLD,
        )
        return epoch

    async def count_epochs_from(self, epoch: int) -> None:
        await self._db.execute("UPDATE world SET last_epoch = $1 WHERE name = $2", epoch, WORLD)

    async def wants_initial(self) -> bool:
        """Whether nothing was done yet in a new world, and nothing of it was kept."""
        wanted: bool = await self._db.fetchval("SELECT wants_initial FROM world")
        return wanted

    async def give_up_initial(self) -> None:
        await self._db.execute("UPDATE world SET wants_initial = false")

    async def epoch(self) -> int:
        epoch: int = await self._db.fetchval("SELECT epoch FROM world WHERE name = $1", WORLD)
        return epoch

    async def command(self) -> dict[str, Any] | None:
        """What was chosen and is not finished."""
        told = await self._db.fetchval("SELECT command FROM world WHERE name = $1", WORLD)
        return None if told is None else dict(json.loads(told))

    async def finished(self) -> None:
        await self._db.execute(
            "UPDATE world SET command = NULL, changed_at = now() WHERE name = $1", WORLD
        )

    async def move_in(self, command: Mapping[str, Any], left: str) -> None:
        """The point of no return, in one transaction: the next database becomes the world's.

        The world that lived is `left` from here on. Nobody is connected to either.
        """
        await self.clear_out(WORLD)
        async with self._db.transaction():
            await self._db.execute(f"ALTER DATABASE {WORLD} RENAME TO {left}")
            await self._db.execute(f"ALTER DATABASE {NEXT}{command['epoch']} RENAME TO {WORLD}")
            await self._db.execute(
                "UPDATE world SET epoch = $1, snapshot = $2, command = $3, changed_at = now()"
                " WHERE name = $4",
                command["epoch"],
                command["snapshot"],
                json.dumps(command),
                WORLD,
            )

    async def schema_is(self, version: str) -> list[Snapshot]:
        """Say which migrations the world has; answers the snapshots that have others."""
        await self._db.execute("UPDATE world SET schema = $1", version)
        return [one for one in await self.snapshots() if one.schema != version]

    async def upgraded(self, snapshot: Snapshot) -> None:
        """This snapshot has the world's migrations now, and is closed again."""
        await self.close_to_all(snapshot.database)
        await self._db.execute(
            "UPDATE snapshot SET schema = (SELECT schema FROM world) WHERE id = $1", snapshot.id
        )

    async def clear_out(self, database: str) -> None:
        """End the sessions of others on a database and wait until they are gone."""
        deadline = asyncio.get_running_loop().time() + _GONE_S
        while await self._db.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1",
            database,
        ):
            if asyncio.get_running_loop().time() > deadline:
                return  # PostgreSQL says it better, in its refusal
            await asyncio.sleep(0.002)

    async def copy(self, source: str, target: str) -> None:
        """Copy a database that nobody is connected to."""
        await self._db.execute(f"CREATE DATABASE {target} TEMPLATE {source}")

    async def rename(self, former: str, name: str) -> None:
        await self._db.execute(f"ALTER DATABASE {former} RENAME TO {name}")

    async def close_to_all(self, database: str) -> None:
        """A snapshot is read by copying only; nor has autovacuum any business there."""
        await self._db.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")

    async def open_to_all(self, database: str) -> None:
        await self._db.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")

    async def drop(self, database: str) -> None:
        await self._db.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    async def open_databases(self, prefix: str) -> list[str]:
        """Those that anybody may connect to."""
        closed = await self._db.fetch("SELECT datname FROM pg_database WHERE NOT datallowconn")
        names = {row["datname"] for row in closed}
        return [name for name in await self.databases(prefix) if name not in names]

    async def databases(self, prefix: str) -> list[str]:
        rows = await self._db.fetch("SELECT datname FROM pg_database ORDER BY oid")
        return [row["datname"] for row in rows if row["datname"].startswith(prefix)]

    async def size_of(self, database: str) -> int:
        """Bytes."""
        size: int = await self._db.fetchval("SELECT pg_database_size($1::name)", database)
        return size


class Connections:
    """Connections to the control database that are kept for the next command."""

    def __init__(self, owner_url: str) -> None:
        self._pool: asyncpg.Pool[Any] = asyncpg.create_pool(
            database_of(owner_url, CONTROL), min_size=0, max_size=6
        )

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Control]:
        """One that works: what a restarted server has cut is replaced."""
        await self._pool
        async with self._pool.acquire() as db:
            yield Control(db)

    def end(self) -> None:
        """Cut them; nobody uses them any more."""
        self._pool.terminate()


@asynccontextmanager
async def control(owner_url: str) -> AsyncIterator[Control]:
    """The control database of a server, over a connection of its own."""
    db = await asyncpg.connect(database_of(owner_url, CONTROL))
    try:
        yield Control(db)
    finally:
        await db.close()
