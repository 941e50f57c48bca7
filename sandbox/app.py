"""The API process: slices' routes under one application, refusals as problem details."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

if __name__ == "__main__":
    gc.disable()  # until `memory.freeze`

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from sandbox import wiring
from sandbox.core import log as logging
from sandbox.core import memory
from sandbox.core.doors import Doors
from sandbox.core.http import (
    DoorsMiddleware,
    LimitsMiddleware,
    PrincipalDep,
    RequestIdMiddleware,
    RequestLogMiddleware,
    install,
    openapi,
)
from sandbox.core.http.roles import RULES
from sandbox.core.metrics import CONTENT_TYPE, Figures, Metrics, MetricsMiddleware
from sandbox.core.settings import Settings

DESCRIPTION = """
A tenge stablecoin payment system on your own machine: checkout, reserve, settlement and a log
that anyone can verify. **A simulation**, not affiliated with any institution.

Amounts are integers in tiyn (1 ₸ = 100 tiyn) or in base units of the token. Every POST that moves
something needs an `Idempotency-Key`. Refusals are problem details (RFC 9457) with a stable `code`,
listed at `/docs/errors`. Every answer has a `Request-Id` and the `Sandbox-Version` of its shape.
"""


class RouteWithoutRule(Exception):
    """A route is missing in the role table, so nobody could say who may call it."""


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path template) of every route that the application answers.

    Slices give their routers whole paths, so an included router's routes are read as they are.
    """
    slices = (route for router in wiring.ROUTERS for route in router.routes)
    return [
        (method, route.path)
        for route in (*app.routes, *slices)
        if isinstance(route, APIRoute)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it connects to its world when it starts, not when it is made."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with wiring.open_world(settings, signing=False) as world:
            for name, value in wiring.app_state(world).items():
                setattr(app.state, name, value)
            app.state.feed.start(signals=True)
            app.state.request_log.start()
            try:
                yield
            finally:
                await app.state.request_log.stop()
                await app.state.feed.stop()

    app = FastAPI(
        title="KZTE Sandbox",
        version=version("kzte-sandbox"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # /docs is our own page: theirs loads its parts from the internet.
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(LimitsMiddleware)
    app.add_middleware(DoorsMiddleware, doors=Doors(settings.hosts))
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(RequestIdMiddleware)
    app.state.metrics = Metrics(app.version)
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)
    install(app)
    openapi.install(app)
    for router in wiring.ROUTERS:
        app.include_router(router)
    _add_health(app)
    for rule in routes_of(app):
        if rule not in RULES:
            raise RouteWithoutRule(rule)
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/healthz", tags=["operations"], summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], summary="Everything it needs answers")
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
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
