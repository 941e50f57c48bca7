"""The API process: slices' routes under one application, refusals as problem details."""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any

if __name__ == "__main__":
    gc.disable()  # until `memory.freeze`

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox import orders, wiring
from sandbox.core import log as logging
from sandbox.core import memory
from sandbox.core.doors import Doors
from sandbox.core.http import (
    DoorsMiddleware,
    Gate,
    GateMiddleware,
    LimitsMiddleware,
    PrincipalDep,
    RequestIdMiddleware,
    RequestLogMiddleware,
    SimulationMiddleware,
    install,
    openapi,
    shapes,
)
from sandbox.core.http.answers import answers
from sandbox.core.http.fidelity import FidelityMiddleware
from sandbox.core.http.roles import RULES
from sandbox.core.http.simulating import HANG_UP, Armed
from sandbox.core.metrics import CONTENT_TYPE, Figures, Metrics, MetricsMiddleware
from sandbox.core.settings import Settings
from sandbox.eventlog.feed import Feed

DESCRIPTION = """
A tenge stablecoin payment system on your own machine: checkout, reserve, settlement and a log
that anyone can verify. **A simulation**, not affiliated with any institution.

Amounts are integers in tiyn (1 ₸ = 100 tiyn) or in base units of the token. Every POST that moves
something needs an `Idempotency-Key`. Refusals are problem details (RFC 9457) with a stable `code`,
listed at `/docs/errors`. Every answer has a `Request-Id` and the `Sandbox-Version` of its shape.

For tests, any POST takes the header `Sandbox-Simulate` with a key that may use `/v1/sandbox/*`: its
answer is lost, late or a failure. `GET /v1/sandbox/magic_values` lists what it takes.
"""


class RouteWithoutRule(Exception):
    """A route is missing in the role table, so nobody could say who may call it."""


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path template) of every route that the application answers."""
    return [
        (method, route.path)
        for route in _routes(app)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def _routes(app: FastAPI) -> list[APIRoute]:
    """All that are answered; slices' routers have whole paths, so they are read as they are."""
    slices = (route for router in wiring.ROUTERS for route in router.routes)
    return [route for route in (*app.routes, *slices) if isinstance(route, APIRoute)]


class Held:
    """The world that this process serves: what routes find in `app.state`."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._opened = AsyncExitStack()
        self._is_open = False

    async def open(self) -> None:
        """Connect, unless that was done before."""
        if self._is_open:
            return
        opening = wiring.open_world(self._settings, signing=False)
        world = await self._opened.enter_async_context(opening)
        for name, value in wiring.app_state(world).items():
            setattr(self._app.state, name, value)
        self._app.state.feed.start(signals=True)
        self._app.state.request_log.start()
        self._is_open = True

    async def close(self) -> None:
        """End the streams, once they have told what there is to tell, and let go of the world."""
        if self._is_open:
            self._is_open = False
            feed: Feed = self._app.state.feed
            feed.close()
            await feed.ended(orders.STREAMS_S)
            await feed.stop()
            await self._app.state.request_log.stop()
        await self._opened.aclose()


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it connects to its world when it starts, not when it is made."""
    settings = settings or Settings()

    # Under a supervisor the doors open at its word.
    gate = Gate(is_open=settings.control_fd is None)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        held = Held(app, settings)
        try:
            async with orders.taken(settings, "api", orders.OfApi(gate, held)) as line:
                app.state.supervisor = line
                yield
        finally:
            await held.close()

    app = FastAPI(
        title="KZTE Sandbox",
        version=version("kzte-sandbox"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # /docs is our own page: theirs loads its parts from the internet.
        docs_url=None,
        redoc_url=None,
    )
    app.state.armed = Armed()
    app.add_middleware(SimulationMiddleware, armed=app.state.armed)
    app.add_middleware(FidelityMiddleware)
    app.add_middleware(LimitsMiddleware)
    app.add_middleware(GateMiddleware, gate=gate)
    app.add_middleware(DoorsMiddleware, doors=Doors(settings.hosts))
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(RequestIdMiddleware)
    app.state.metrics = Metrics(app.version)
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    install(app)
    openapi.install(app, lambda: _routes(app))
    for router in wiring.ROUTERS:
        app.include_router(router)
    _add_health(app)
    for rule in routes_of(app):
        if rule not in RULES:
            raise RouteWithoutRule(rule)
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["operations"], summary="The process answers")
    @answers(shapes.Health)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], summary="Everything it needs answers")
    @answers(shapes.Readiness)
    async def readyz(request: Request) -> JSONResponse:
        """503 with the names of what is not ready yet."""
        missing: list[str] = await request.app.state.readiness()
        body: dict[str, Any] = {"ready": not missing, "not_ready": missing}
        return JSONResponse(body, 200 if not missing else 503)

    @app.get("/metrics", tags=["operations"], summary="Figures for Prometheus")
    async def metrics(request: Request, _: PrincipalDep) -> Response:
        """Requests of this process, and the state of the world from its database."""
        ask: Figures = request.app.state.figures
        exposed = request.app.state.metrics.expose(await ask())
        return Response(exposed, media_type=CONTENT_TYPE)


class HttpProtocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it; a request may close its connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {HANG_UP: self.transport.abort}
        self.scope["extensions"] = extensions


def main() -> None:
    """`python -m sandbox.app`: serve on the host and port of the settings."""
    settings = Settings()
    logging.configure(settings.log_level)
    app = create_app(settings)
    memory.freeze()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=HttpProtocol,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
