"""The event log's routes on a real server. `python -m tests.eventlog.serving <database url>`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket

import uvicorn
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import Database
from sandbox.core.http import KeyRecord, RequestIdMiddleware, install
from sandbox.core.http.auth import secret_hash
from sandbox.core.http.roles import Role
from sandbox.eventlog import routes
from sandbox.eventlog.feed import Feed
from sandbox.wiring import TOLD

ROLES: dict[str, tuple[Role, str]] = {
    "m1": ("merchant", "mch_1"),
    "m2": ("merchant", "mch_2"),
    "issuer": ("issuer", "issuer"),
    "operator": ("operator", "operator"),
    "regulator": ("regulator", "regulator"),
}


def key(name: str) -> str:
    return f"sk_sbx_{name}_secret"


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key(name)}"}


async def lookup(db: AsyncSession, key_id: str) -> KeyRecord | None:
    if key_id not in ROLES:
        return None
    role, party = ROLES[key_id]
    return KeyRecord(key_id, secret_hash("secret"), role, party, False)


def create_app(db_url: str, *, signals: bool) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.database, app.state.key_lookup = Database(db_url), lookup
        app.state.feed, app.state.told = Feed(app.state.database), TOLD
        app.state.feed.start(signals=signals)
        yield
        await app.state.feed.stop()
        await app.state.database.dispose()

    app = FastAPI(lifespan=lifespan)
    app.include_router(routes.router)
    app.add_middleware(RequestIdMiddleware)
    install(app)
    return app


class Serving:
    """A server in this process on a free port."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        config = uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=10)
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def __aenter__(self) -> "Serving":
        # Not serve(): the signals of this process are not this server's.
        self._task = asyncio.create_task(self._server._serve())
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self.app.state.feed.close()
        self._server.should_exit = True
        assert self._task is not None
        await asyncio.wait_for(self._task, 20)


def main() -> None:
    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket] | None = None) -> None:
            await super().startup()
            print(self.servers[0].sockets[0].getsockname()[1], flush=True)

    app = create_app(sys.argv[1], signals=True)
    Announced(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=60)).run()


if __name__ == "__main__":
    main()
