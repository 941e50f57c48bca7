"""The processes that hold the world open, as the supervisor asks them to let go and go on."""

import asyncio
import socket
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from sandbox.cli.world.chains import ChainRefused, ChainSilent
from sandbox.core.errors import SandboxError
from sandbox.core.line import Line, LineClosed, Serve, Values
from sandbox.lab.world_errors import WorldNotReady

AGAIN_S: Final = 0.2
_ANSWER_S: Final = 30.0
# What a step of a worker may still take; one that waits for another loop would wait in vain. What
# is cut off is done again from its rows, and a world that is left needs nothing of it any more.
_LAST_STEP_S, _LEFT_STEP_S = 0.05, 0.01
FAILURES: Final = (
    OSError,
    TimeoutError,
    LineClosed,
    ChainRefused,
    ChainSilent,
    SandboxError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
"""What may go wrong with any part; everything else is a bug."""


@dataclass(slots=True, eq=False)
class Host:
    """A process that holds the world open, or would."""

    role: str
    line: Line
    is_open: bool

    async def ask(self, what: str, **values: Any) -> Values:
        async with asyncio.timeout(_ANSWER_S):
            return await self.line.ask(what, **values)


class Hosts:
    """All of them; `serve` answers what they ask of the supervisor."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._hosts: list[Host] = []
        self._is_changing = False
        self._is_there = asyncio.Event()
        self._taking_up: set[asyncio.Task[None]] = set()

    async def hear(self, end: socket.socket) -> None:
        """A child's control line, until the child has ended."""
        joined: list[Host] = []

        async def answer(what: str, values: Values) -> Values:
            if what != "join":
                return await self._serve(what, values)
            await self._is_there.wait()
            host = Host(values["role"], line, is_open=not self._is_changing)
            joined.append(host)
            self._hosts.append(host)
            return {"open": host.is_open}

        line = await Line.over(end, answer)
        try:
            await line.run()
        finally:
            for host in joined:
                self._hosts.remove(host)

    async def begin(self) -> None:
        """There is a world to open: who asked before, while it was made ready, may now."""
        self._is_there.set()

    def stop(self) -> None:
        """From here on nobody opens the world, until `go_on`. Raises `WorldNotReady`."""
        for role in ("api", "worker"):
            self.some(role)
        self._is_changing = True
        for host in self._hosts:
            host.is_open = False

    async def settle(self, *, to_heads: bool) -> Values:
        """All workers rest, and the world's log has come to its end; where it stands."""
        workers = self.of("worker")
        patience_s = _LAST_STEP_S if to_heads else _LEFT_STEP_S
        values = {"patience_s": patience_s, "release": len(workers) > 1}
        await wait_for_all(*(host.ask("rest", **values) for host in workers))
        return await self.some("worker").ask("drain", to_heads=to_heads)

    async def close(self) -> None:
        await wait_for_all(*(host.ask("close") for host in self._hosts))

    async def go_on(self) -> None:
        while closed := [host for host in self._hosts if not host.is_open]:
            for host in closed:
                host.is_open = True
            taking_up = {asyncio.create_task(self._take_up(host)) for host in closed}
            self._taking_up |= taking_up
            _, late = await asyncio.wait(taking_up, timeout=_ANSWER_S)
            self._taking_up = late
        self._is_changing = False

    async def _take_up(self, host: Host) -> None:
        """Open a host, as soon as what it needs is there again."""
        while True:
            try:
                await host.ask("go_on")
                return
            except LineClosed:
                return  # it is started again, and asks whether it may open
            except (SandboxError, TimeoutError):
                await asyncio.sleep(AGAIN_S)

    def of(self, role: str) -> list[Host]:
        return [host for host in self._hosts if host.role == role]

    def some(self, role: str) -> Host:
        found = self.of(role)
        if not found:
            raise WorldNotReady(role)
        return found[0]


async def wait_for_all(*parts: Awaitable[Any]) -> list[Any]:
    """Wait until all have ended; then raise what one of them raised: nothing runs on behind it."""
    answers = await asyncio.gather(*parts, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers
