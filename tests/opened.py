"""Worlds that many tests of one run begin with: opened once, then copied with their database."""

import copy
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any

import asyncpg

from sandbox.core.db import Database
from sandbox.devnets import postgres as embedded

Make = Callable[[Database], Awaitable[Any]]


@dataclass(frozen=True)
class Opening:
    """`make` opens the world named `key` in a fresh database, and answers what to keep of it."""

    key: Hashable
    make: Make


class Openings:
    """The opened worlds of one test run."""

    def __init__(self, server: embedded.Running, migrated: str) -> None:
        self._server, self._migrated = server, migrated
        self._made: dict[Hashable, tuple[str, Any]] = {}

    async def template(self, opening: Opening) -> str:
        """The name of a database to be copied, in which the world is open."""
        if opening.key not in self._made:
            name = f"opened_{len(self._made)}"
            await self._run(f"CREATE DATABASE {name} TEMPLATE {self._migrated} STRATEGY file_copy")
            database = Database(self._server.app_url(name))
            try:
                kept = await opening.make(database)
            finally:
                await database.dispose()
            await self._run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            self._made[opening.key] = name, kept
        return self._made[opening.key][0]

    def kept(self, opening: Opening) -> Any:
        """What `make` answered: a copy of one's own."""
        return copy.deepcopy(self._made[opening.key][1])

    async def _run(self, statement: str) -> None:
        owner = await asyncpg.connect(self._server.url)
        try:
            await owner.execute(statement)
        finally:
            await owner.close()
