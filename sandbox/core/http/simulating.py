"""`Sandbox-Simulate`: a POST that goes wrong on purpose, for who may use the sandbox's controls."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.core.db import Database
from sandbox.core.errors import SandboxError
from sandbox.core.http.auth import authorize_as
from sandbox.core.http.problems import refusal

HEADER: Final = "Sandbox-Simulate"
HANG_UP: Final = "sandbox.hang_up"
"""The extension of an ASGI scope that closes its connection at once."""

SIMULATIONS: Final[Mapping[str, str]] = {
    "answer_lost": "it is carried out; the connection closes without an answer",
    "request_lost": "it is not carried out; the connection closes without an answer",
    "timeout": "it is carried out; no answer comes until the caller gives up",
    "slow": "it is carried out; the answer comes 3 s late",
    "error": "it is undone before the commit: 500",
    "unavailable": "it is not carried out: 503 with Retry-After",
    "rate_limited": "it is not carried out: 429 with Retry-After",
}
"""What the header takes → what happens then."""

SLOW_S, PATIENCE_S = 3.0, 120.0
_NEEDS = ("POST", "/v1/sandbox/faults")
"""Whoever may call this may simulate."""
_ERROR: Final = "simulated_error"


class SimulationUnknown(SandboxError):
    """The header names nothing that can be simulated."""

    status, code = 400, "simulation_unknown"

    def __init__(self, value: str) -> None:
        known = sorted(SIMULATIONS)
        super().__init__(f"{HEADER} takes: {', '.join(known)}", value=value, known=known)


class SimulationNotHere(SandboxError):
    """Only requests that change something are worth it."""

    status, code = 400, "simulation_not_here"

    def __init__(self) -> None:
        super().__init__(f"{HEADER} goes with POST under /v1")


class CannotHangUp(SandboxError):
    """The server does not let a request close its connection."""

    status, code = 501, "cannot_hang_up"

    def __init__(self) -> None:
        super().__init__("this server cannot close a connection without an answer")


class SimulatedError(SandboxError):
    """A failure that was asked for; nothing was carried out."""

    status, code = 500, "simulated_error"

    def __init__(self) -> None:
        super().__init__("a simulated failure: nothing was carried out", simulated=True)


class SimulatedUnavailable(SandboxError):
    """The same with the status of a part that is away for a moment."""

    status, code = 503, "unavailable"

    def __init__(self) -> None:
        super().__init__("a simulated outage; try again", retryable=True, simulated=True)


class SimulatedRateLimit(SandboxError):
    """The same with the status of a caller that asks too often."""

    status, code = 429, "rate_limited"

    def __init__(self) -> None:
        super().__init__(
            "a simulated rate limit; try again", retry_after_s=1, retryable=True, simulated=True
        )


def before_commit(request: Request) -> None:
    """Where a POST is about to commit what it wrote. Raises `SimulatedError` if that was asked."""
    if getattr(request.state, _ERROR, False):
        raise SimulatedError


class Armed:
    """What strikes the next requests of this process, whoever sends them."""

    def __init__(self) -> None:
        self._left: dict[str, int] = dict.fromkeys(SIMULATIONS, 0)

    def set(self, simulation: str, times: int) -> None:
        self._left[simulation] = times

    def state(self) -> Mapping[str, int]:
        """How many more requests each strikes."""
        return dict(self._left)

    def take(self) -> str | None:
        """What strikes now; it counts as one of its times."""
        for name, times in self._left.items():
            if times:
                self._left[name] -= 1
                return name
        return None


class SimulationMiddleware:
    """Plain ASGI, innermost: everything around it meets the request as any other."""

    def __init__(self, app: ASGIApp, armed: Armed) -> None:
        self.app, self._armed = app, armed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            asked = await self._asked(request)
        except SandboxError as error:
            await refusal(request, error)(scope, receive, send)
            return
        if asked is None:
            await self.app(scope, receive, send)
        else:
            await _simulate(asked, self.app, request, receive, send)

    async def _asked(self, request: Request) -> str | None:
        value = request.headers.get(HEADER)
        is_post = request.method == "POST" and request.url.path.startswith("/v1/")
        if value is None:
            # The switch itself must stay within reach.
            is_control = request.url.path.startswith("/v1/sandbox/")
            return self._armed.take() if is_post and not is_control else None
        if not is_post:
            raise SimulationNotHere
        if value not in SIMULATIONS:
            raise SimulationUnknown(value)
        database: Database = request.app.state.database
        async with database.transaction() as db:
            await authorize_as(request, db, *_NEEDS)
        return value


async def _simulate(
    what: str, app: ASGIApp, request: Request, receive: Receive, send: Send
) -> None:
    scope = request.scope
    if what in ("unavailable", "rate_limited"):
        error = SimulatedUnavailable() if what == "unavailable" else SimulatedRateLimit()
        answer = refusal(request, error)
        answer.headers["Retry-After"] = "1"
        await answer(scope, receive, send)
        return
    if what == "error":
        setattr(request.state, _ERROR, True)
        await app(scope, receive, send)
        return
    if what == "slow":
        await app(scope, receive, _late(send))
        return
    hang_up: Callable[[], None] | None = scope.get("extensions", {}).get(HANG_UP)
    if hang_up is None:
        await refusal(request, CannotHangUp())(scope, receive, send)
        return
    if what != "request_lost":
        await app(scope, receive, _nowhere)
    if what == "timeout":
        try:
            await asyncio.wait_for(_gone(receive), PATIENCE_S)
            return
        except TimeoutError:
            pass
    hang_up()
    await _gone(receive)


def _late(send: Send) -> Send:
    async def late(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(SLOW_S)
        await send(message)

    return late


async def _nowhere(message: Message) -> None:
    """An answer that nobody gets."""


async def _gone(receive: Receive) -> None:
    """Until the connection is closed."""
    while (await receive())["type"] != "http.disconnect":
        pass
