"""What knowing the caller and answering once per key cost: the same route with both and without."""

import asyncio
import contextlib
import os
import secrets
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import uvicorn
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from sandbox.cli.endpoints import Running
from sandbox.core.db import Database, SessionDep
from sandbox.core.driver import Statement
from sandbox.core.http import IdempotentRoute, RequestIdMiddleware
from sandbox.parties import keys

REQUESTS = 2_000
WARM_UP = 100
PLAIN, GUARDED = "/plain", "/v1/refunds"
"""The address of a route of the role table, so that the real rule is looked up."""
NAME = "authentication and idempotency together, difference of medians"
BODY = {"payment": "pay_01m7y0v187b2meycwd50kt9pf3", "amount_tiyn": 50_000}
DATABASE = "SANDBOX_DATABASE_URL"
Add = Callable[..., None]


_WRITE = Statement(
    "INSERT INTO leader (name, term, owner, taken_at)"
    " VALUES ('bench', 1, 'bench', clock_timestamp())"
    " ON CONFLICT (name) DO UPDATE SET taken_at = excluded.taken_at"
)


class _Asked(BaseModel):
    payment: str
    amount_tiyn: int


async def _work(body: _Asked, db: SessionDep) -> dict[str, Any]:
    """What both routes do: one transaction that writes, as every POST does."""
    await _WRITE.fetch(db, {})
    return {"object": "refund", **body.model_dump()}


def _serve(database_url: str, listener: socket.socket) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.database = Database(database_url)
        app.state.key_lookup = keys.find_key
        yield
        await app.state.database.dispose()

    plain, guarded = APIRouter(), APIRouter(route_class=IdempotentRoute)
    plain.post(PLAIN)(_work)
    guarded.post(GUARDED)(_work)
    app = FastAPI(lifespan=lifespan)
    app.add_middleware(RequestIdMiddleware)
    app.include_router(plain)
    app.include_router(guarded)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="error")
    asyncio.run(uvicorn.Server(config).serve([listener]))


async def costs(add: Add, running: Running) -> None:
    """Both routes by turns over one connection, against the database of a running sandbox."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, str(listener.fileno())),
            pass_fds=[listener.fileno()],
            # It holds a password, which other users of this machine would read in a command.
            env=os.environ | {DATABASE: running.endpoints["database"]},
        )
    try:
        took = await _by_turns(f"http://127.0.0.1:{port}", running.key("merchant"))
    finally:
        server.terminate()
        await server.wait()
    plain, guarded = (statistics.median(took[path]) * 1_000 for path in (PLAIN, GUARDED))
    add(NAME, guarded - plain, "ms")


async def _by_turns(url: str, key: str) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {PLAIN: [], GUARDED: []}
    async with httpx2.AsyncClient(base_url=url, timeout=30) as http:
        for turn in range(WARM_UP + REQUESTS // 2):
            for path, times in took.items():
                # What the client does is the same for both: the plain route is sent a key as well.
                headers = {
                    "Authorization": f"Bearer {key}",
                    "Idempotency-Key": secrets.token_hex(16),
                }
                began = time.perf_counter()
                answer = await http.post(path, json=BODY, headers=headers)
                seconds = time.perf_counter() - began
                answer.raise_for_status()
                if turn >= WARM_UP:
                    times.append(seconds)
    return took


if __name__ == "__main__":
    _serve(os.environ[DATABASE], socket.socket(fileno=int(sys.argv[1])))
