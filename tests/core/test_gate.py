"""The doors while a world is exchanged: who is let in, who is waited for, who is sent away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from sandbox.core.http.gate import Gate, GateMiddleware, RequestsDoNotEnd


class App:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.entered, self.answer = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.set()
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


def client(app: Any, gate: Gate) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(GateMiddleware(app, gate))
    return httpx2.AsyncClient(transport=transport, base_url="http://here")


async def test_a_closed_door_refuses_by_name_and_says_when_to_come_back() -> None:
    app, gate = App(), Gate(is_open=False)
    async with client(app, gate) as http:
        refused = await http.get("/v1/payments")
    assert (refused.status_code, refused.json()["code"]) == (503, "world_is_changing")
    assert refused.json()["retryable"] is True
    assert refused.headers["retry-after"] == "1"
    assert not app.entered.is_set()


async def test_what_never_ends_is_named_and_the_door_may_be_opened_again() -> None:
    app, gate = App(), Gate()
    async with client(app, gate) as http:
        asking = asyncio.create_task(http.get("/v1/payments"))
        await app.entered.wait()
        with pytest.raises(RequestsDoNotEnd) as refused:
            await gate.close(0.01)
        assert (refused.value.status, refused.value.values["requests"]) == (503, 1)
        gate.open()
        app.answer.set()
        assert (await asking).status_code == 200


async def test_what_is_under_way_ends_first_and_nobody_comes_in_meanwhile() -> None:
    app, gate = App(), Gate()
    async with client(app, gate) as http:
        asking = asyncio.create_task(http.get("/v1/payments"))
        await app.entered.wait()
        closing = asyncio.create_task(gate.close(5))
        await asyncio.sleep(0)
        assert (await http.get("/v1/payments")).status_code == 503
        assert not closing.done()
        app.answer.set()
        assert (await asking).text == "done"
        await closing


@pytest.mark.parametrize("path", ["/v1/events/stream", "/v1/sandbox/snapshots/a/restore"])
async def test_streams_and_the_change_itself_are_not_waited_for(path: str) -> None:
    app, gate = App(), Gate()
    async with client(app, gate) as http:
        asking = asyncio.create_task(http.post(path))
        await app.entered.wait()
        await gate.close(5)
        app.answer.set()
        assert (await asking).status_code == 200


async def test_whoever_waits_for_rest_is_sent_away_at_once() -> None:
    app, gate = App(), Gate()
    async with client(app, gate) as http:
        asking = asyncio.create_task(http.post("/v1/sandbox/quiesce"))
        await app.entered.wait()
        await gate.close(5)
        assert (await asking).json()["code"] == "world_is_changing"


async def test_health_is_answered_whatever_the_world_does() -> None:
    app, gate = App(), Gate(is_open=False)
    app.answer.set()
    async with client(app, gate) as http:
        assert (await http.get("/healthz")).status_code == 200


async def test_a_body_that_does_not_come_keeps_no_world_waiting() -> None:
    app, gate, began = FastAPI(), Gate(), asyncio.Event()

    @app.post("/v1/refunds")
    async def take(body: dict[str, int]) -> dict[str, int]:
        return body

    async def halves() -> AsyncIterator[bytes]:
        yield b'{"a"'
        began.set()
        await asyncio.Event().wait()

    async with client(app, gate) as http:
        asking = asyncio.create_task(
            http.post("/v1/refunds", content=halves(), headers={"Content-Type": "application/json"})
        )
        await began.wait()
        await gate.close(5)
        refused = await asking
        assert (refused.status_code, refused.json()["code"]) == (503, "world_is_changing")
        gate.open()
        assert (await http.post("/v1/refunds", json={"a": 1})).json() == {"a": 1}
