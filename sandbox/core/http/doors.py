"""Which Host and Origin an application answers: pages of other sites stay outside."""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.core.doors import Doors
from sandbox.core.errors import SandboxError
from sandbox.core.http.problems import refusal


class HostNotAllowed(SandboxError):
    """The Host header names somebody else: a page that had its own name point here."""

    status, code = 403, "host_not_allowed"
    fields = ("/header/host",)

    def __init__(self) -> None:
        super().__init__("no such host here; SANDBOX_ALLOWED_HOSTS names further ones")


class OriginNotAllowed(SandboxError):
    """A page of another site asks; keys belong on servers, not in browsers."""

    status, code = 403, "origin_not_allowed"
    fields = ("/header/origin",)

    def __init__(self) -> None:
        super().__init__("pages of other sites may not call this API; call it from a server")


class DoorsMiddleware:
    """Plain ASGI, inside `RequestIdMiddleware`."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self.app, self._doors = app, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := self._refused(scope)) is not None:
            await refusal(Request(scope), error)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refused(self, scope: Scope) -> SandboxError | None:
        if not self._doors.admit_host(scope["headers"]):
            return HostNotAllowed()
        return None if self._doors.admit_origin(scope["headers"]) else OriginNotAllowed()
