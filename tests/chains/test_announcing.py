"""A node's word of new heads: every message is told, and a connection that breaks is made anew."""

import asyncio

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve

from sandbox.chains import announcing
from sandbox.chains.announcing import Announcer

WITHIN_S = 20.0


async def test_a_node_that_is_not_there_is_asked_again_until_it_is(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr(announcing, "RETRY_S", 0.01)
    told = asyncio.Event()
    following = asyncio.create_task(_heads(unused_tcp_port).follow(told.set))
    await asyncio.sleep(0.05)
    async with serve(_three_heads, "127.0.0.1", unused_tcp_port), asyncio.timeout(WITHIN_S):
        await told.wait()
        told.clear()
        await told.wait()  # it had ended after three
    following.cancel()


async def test_what_is_asked_for_is_the_subscription(unused_tcp_port: int) -> None:
    asked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listening(connection: ServerConnection) -> None:
        message = await connection.recv()
        assert isinstance(message, str)
        asked.set_result(message.encode())
        await connection.wait_closed()

    async with serve(listening, "127.0.0.1", unused_tcp_port), asyncio.timeout(WITHIN_S):
        following = asyncio.create_task(_heads(unused_tcp_port).follow(lambda: None))
        found = orjson.loads(await asked)
        following.cancel()
        await asyncio.wait([following])
    assert (found["method"], found["params"]) == ("eth_subscribe", ["newHeads"])


async def _three_heads(connection: ServerConnection) -> None:
    await connection.recv()
    for number in range(3):
        await connection.send(orjson.dumps({"params": {"result": number}}).decode())


def _heads(port: int) -> Announcer:
    return Announcer(f"ws://127.0.0.1:{port}", "eth_subscribe", ["newHeads"])
