"""The control line between the supervisor and a child: questions and answers, both ways.

A pair of sockets that the child inherits. One JSON object per line.
"""

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Self

import orjson

from sandbox.core.errors import SandboxError

FD: Final = "SANDBOX_CONTROL_FD"
"""The environment variable that tells a child which descriptor its end has."""

_LONGEST: Final = 4 << 20

Values = dict[str, Any]
Serve = Callable[[str, Values], Awaitable[Values]]
"""Answers a question of the other side: its name and its values."""


class LineClosed(Exception):
    """The other side is gone."""


class Refused(SandboxError):
    """What the other side refused, with its own code and status."""

    def __init__(self, told: Values) -> None:
        super().__init__(told["detail"], **told["values"])
        self.status, self.code = told["status"], told["code"]


class Line:
    """One end. `run` it; it ends when the other side is gone."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, serve: Serve
    ) -> None:
        self._reader, self._writer, self._serve = reader, writer, serve
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Values]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @classmethod
    async def over(cls, end: socket.socket, serve: Serve) -> Self:
        """The line over one end of a pair."""
        reader, writer = await asyncio.open_connection(sock=end, limit=_LONGEST)
        return cls(reader, writer, serve)

    async def ask(self, what: str, **values: Any) -> Values:
        """The other side's answer. Raises `LineClosed`, `Refused`."""
        if self._is_closed:
            raise LineClosed(what)
        number = next(self._numbers)
        answer: asyncio.Future[Values] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._send({"id": number, "ask": what, "with": values})
        return await answer

    async def run(self) -> None:
        """Serve until the other side is gone."""
        try:
            while line := await self._reader.readline():
                told = orjson.loads(line)
                if "ask" in told:
                    task = asyncio.create_task(self._answer(told))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
                    continue
                asked = self._asked.pop(told["to"], None)
                if asked is None or asked.done():
                    continue
                if "refused" in told:
                    asked.set_exception(Refused(told["refused"]))
                else:
                    asked.set_result(told["answer"])
        except ConnectionError:
            pass
        finally:
            self._is_closed = True
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(LineClosed("the other side is gone"))
            for task in self._answering:
                task.cancel()
            self._writer.close()

    async def _answer(self, told: Values) -> None:
        answer: Values
        try:
            answer = {"answer": await self._serve(told["ask"], told["with"])}
        except SandboxError as error:
            known = {"status": error.status, "code": error.code}
            answer = {"refused": {**known, "detail": error.detail, "values": error.values}}
        except Exception as error:
            # Whoever asked waits for an answer; what broke is named to it as it is.
            refused = {"status": 500, "code": "internal_error", "detail": repr(error), "values": {}}
            answer = {"refused": refused}
        self._send({"to": told["id"], **answer})

    def _send(self, message: Values) -> None:
        with suppress(ConnectionError, RuntimeError):
            self._writer.write(orjson.dumps(message) + b"\n")
