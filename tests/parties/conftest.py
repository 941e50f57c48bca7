"""The slice behind its real routes, role table and idempotency."""

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from sandbox.core.db import Database
from sandbox.core.http import (
    LimitsMiddleware,
    RequestIdMiddleware,
    RequestLogMiddleware,
    install,
    limit_routes,
    log_routes,
)
from sandbox.core.http.rate_limits import Buckets
from sandbox.core.http.request_log import RequestLog
from sandbox.parties import key_routes, routes, service
from sandbox.parties.seed import seed

Post = Callable[..., "httpx2.Response"]


@pytest.fixture
def app(database: Database) -> FastAPI:
    app = FastAPI()
    install(app)
    app.add_middleware(LimitsMiddleware)
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(RequestIdMiddleware)
    app.state.database = database
    app.state.key_lookup = service.find_key
    app.state.rate_limits = Buckets(lambda: app.state.wall_s)
    app.state.wall_s = 0.0
    app.state.request_log = RequestLog(database, 1_000)
    app.include_router(routes.router)
    app.include_router(key_routes.router)
    app.include_router(log_routes.router)
    app.include_router(limit_routes.router)
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    numbers = itertools.count(1)

    async def with_idempotency_key(request: httpx2.Request) -> None:
        if request.method == "POST":
            request.headers.setdefault("Idempotency-Key", f"test-{next(numbers)}")

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app),
        base_url="http://127.0.0.1",
        event_hooks={"request": [with_idempotency_key]},
    ) as client:
        yield client


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "api_keys.json"


@pytest.fixture
async def keys(database: Database, keys_file: Path) -> dict[str, str]:
    async with database.transaction() as db:
        return await seed(db, keys_file)
