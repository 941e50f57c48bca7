"""The doors of the API while the world behind them is exchanged (CONTRACT 7)."""

import asyncio
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.core.errors import SandboxError
from sandbox.core.http.problems import refusal

ALWAYS: Final = frozenset({"/healthz"})
"""What needs no world."""

WORLDS: Final = ("/v1/sandbox/snapshots", "/v1/sandbox/reset", "/v1/sandbox/forks")
"""These change the world themselves: nobody waits for them."""

WAITING: Final = frozenset({"/v1/sandbox/quiesce"})
"""They wait for the world to come to rest, which it does otherwise now: they end at once."""

ENDLESS: Final = frozenset({"/v1/events/stream"})
"""Streams end when the world is let go of."""


class WorldIsChanging(SandboxError):
    """A snapshot is made, or another world moves in; the same request may be sent again."""

    status, code = 503, "world_is_changing"

    def __init__(self) -> None:
        super().__init__("the world is being changed; try again in a moment", retryable=True)


class RequestsDoNotEnd(SandboxError):
    """What is under way would see two worlds; nothing has changed."""

    status, code = 503, "requests_do_not_end"

    def __init__(self, left: int, timeout_s: float) -> None:
        super().__init__(
            f"{left} requests are still under way after {timeout_s:g} s",
            requests=left,
            retryable=True,
        )


class _BodyIsLate(BaseException):
    """Not an `Exception`: a framework takes those of a body's reading for a malformed body."""


class Gate:
    """Whether requests come in, and how many are inside."""

    def __init__(self, *, is_open: bool = True) -> None:
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = asyncio.Event()
        if not is_open:
            self._closed.set()

    @property
    def is_open(self) -> bool:
        return not self._closed.is_set()

    async def close(self, timeout_s: float) -> None:
        """Let nobody in any more and wait until all have left. Raises `RequestsDoNotEnd`."""
        self._closed.set()
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            raise RequestsDoNotEnd(self._inside, timeout_s) from None

    def open(self) -> None:
        self._closed.clear()

    async def until_closed(self) -> None:
        await self._closed.wait()

    def hearing(self, receive: Receive) -> Receive:
        """`receive` for who is inside: a body that has not come when the gate closes is not waited
        for. Its request has done nothing yet.
        """
        is_whole = False

        async def heard() -> Message:
            nonlocal is_whole
            if is_whole:
                return await receive()
            hearing = asyncio.ensure_future(receive())
            closing = asyncio.create_task(self._closed.wait())
            try:
                await asyncio.wait({hearing, closing}, return_when=asyncio.FIRST_COMPLETED)
                if not hearing.done():
                    raise _BodyIsLate
                message = hearing.result()
            finally:
                hearing.cancel()
                closing.cancel()
            is_whole = not message.get("more_body", False)
            return message

        return heard

    def enter(self) -> None:
        self._inside += 1
        self._empty.clear()

    def leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._empty.set()


class GateMiddleware:
    """Plain ASGI, inside `RequestIdMiddleware`."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path in ALWAYS:
            await self.app(scope, receive, send)
        elif not self._gate.is_open:
            await refusal(Request(scope), WorldIsChanging())(scope, receive, send)
        elif path in ENDLESS or path.startswith(WORLDS):
            await self.app(scope, receive, send)
        elif path in WAITING:
            await self._unless_closed(scope, receive, send)
        else:
            self._gate.enter()
            try:
                await self.app(scope, self._gate.hearing(receive), send)
            except _BodyIsLate:
                await refusal(Request(scope), WorldIsChanging())(scope, receive, send)
            finally:
                self._gate.leave()

    async def _unless_closed(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False

        async def noting(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        self._gate.enter()
        asking = asyncio.ensure_future(self.app(scope, receive, noting))
        closing = asyncio.create_task(self._gate.until_closed())
        try:
            await asyncio.wait({asking, closing}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done() or is_begun:
                await asking
                return
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await refusal(Request(scope), WorldIsChanging())(scope, receive, send)
        finally:
            closing.cancel()
            asking.cancel()
            await asyncio.gather(asking, closing, return_exceptions=True)
            self._gate.leave()
