"""What the supervisor may ask of the processes that hold a world open, and what they do then."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from sandbox import wiring
from sandbox.core import chance
from sandbox.core.db import Database
from sandbox.core.http.gate import Gate
from sandbox.core.line import Line, Values
from sandbox.core.settings import Settings
from sandbox.eventlog import sealing
from sandbox.lab import worlds

ENDING_S = 10.0
DELIVERIES_S = 1.0
STREAMS_S = 0.5

Order = Callable[..., Awaitable[Values]]


class Orders(Protocol):
    """One method for each word of the supervisor; its values are the arguments."""

    async def go_on(self) -> Values: ...


@asynccontextmanager
async def taken(settings: Settings, role: str, orders: Orders) -> AsyncIterator[Line | None]:
    """Hold the world open as the supervisor says; without one, all the time."""
    if settings.control_fd is None:
        await orders.go_on()
        yield None
        return
    turn = asyncio.Lock()

    async def serve(what: str, values: Values) -> Values:
        order: Order = getattr(orders, what)
        if what == "seal":  # it has nothing to do with the world that is open
            return await order(**values)
        async with turn:
            return await order(**values)

    end = socket.socket(fileno=settings.control_fd)
    end.set_inheritable(False)
    line = await Line.over(end, serve)
    running = asyncio.create_task(line.run(), name="control line")
    try:
        async with turn:
            if (await line.ask("join", role=role))["open"]:
                await orders.go_on()
        yield line
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Held(Protocol):
    """The world as the API serves it."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class OfApi:
    """Doors and world of an API process."""

    def __init__(self, gate: Gate, held: Held) -> None:
        self._gate, self._held = gate, held

    async def shut(self) -> Values:
        """Let nobody in; answers when all have left. Raises `RequestsDoNotEnd`."""
        await self._gate.close(ENDING_S)
        return {}

    async def close(self) -> Values:
        """Let go of the world."""
        await self._held.close()
        return {}

    async def open(self) -> Values:
        """Take the world up; the doors stay as they are."""
        await self._held.open()
        return {}

    async def go_on(self) -> Values:
        """World and doors are open."""
        await self._held.open()
        self._gate.open()
        return {}


class Shift(Protocol):
    """The world as a worker works on it."""

    settings: Settings
    world: wiring.World | None
    loops: list[wiring.Loop]

    async def open(self) -> wiring.World: ...

    async def start(self) -> None: ...

    async def rest(self, patience_s: float) -> None: ...

    async def close(self) -> None: ...


class OfWorker:
    """Loops and world of a worker."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift

    async def rest(self, patience_s: float, release: bool) -> Values:
        """End the loops; with `release`, let others lead."""
        await self._shift.rest(patience_s)
        if release and self._shift.world is not None:
            await self._shift.world.database.release_leads()
        return {}

    async def drain(self, to_heads: bool) -> Values:
        """Bring the log to its end; then say where it stands. Only while all workers rest.

        With `to_heads`, of a world that will be taken up again: watchers first, and no lease.
        """
        world = await self._shift.open()
        sequence, watchers = worlds.steps_of(self._shift.loops)
        if to_heads:
            with chance.within("world"):
                await worlds.read_to_heads(world.database, world.chains, watchers)
            # What is cut off is attempted again: webhooks come at least once.
            with suppress(TimeoutError):
                await asyncio.wait_for(world.courier.drain(), DELIVERIES_S)
        await worlds.end_log(world.database, sequence)
        if to_heads:
            await worlds.give_back_leases(world.database)
        return await worlds.facts(world.database)

    async def close(self) -> Values:
        """Let go of the world."""
        await self._shift.close()
        return {}

    async def renew(self, **told: Any) -> Values:
        """Let the world that moved in go on in its new epoch; the loops rest."""
        world = await self._shift.open()
        sequence, _ = worlds.steps_of(self._shift.loops)
        return await worlds.renew(world.database, sequence, **told)

    async def go_on(self) -> Values:
        """World and loops."""
        await self._shift.start()
        return {}

    async def seal(self, database: str, epoch: int) -> Values:
        """Write the log of a world that was left, `database`, as static files."""
        settings = self._shift.settings
        url = urlsplit(settings.database_url)._replace(path=f"/{database}").geturl()
        left = Database(url, connections=2)
        try:
            return {"size": await sealing.seal(left, epoch, settings.sealed_dir)}
        finally:
            await left.dispose()
