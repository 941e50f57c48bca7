"""Batches that ask for much: others have their turn, and memory its end."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.devnets.solana import front
from tests.devnets.solana.chain import SOL
from tests.devnets.solana.inside import Ear, InsideChain


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    made = InsideChain(tmp_path / "chain")
    yield made
    await made.close()


def asks(method: str, *params: Any, id_: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


async def test_what_stands_behind_too_large_answers_is_not_carried_out(
    chain: InsideChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "MAX_BATCH_ANSWER", 300)
    payer = await chain.wallet()
    balance = await chain.balance(payer.pubkey())
    drops = [asks("requestAirdrop", str(payer.pubkey()), SOL, id_=at) for at in range(9)]
    answers = await chain.post([*drops, 5, {"jsonrpc": "2.0", "method": "getSlot"}])
    done = [one for one in answers if "result" in one]
    assert [one["id"] for one in answers] == [*range(9), None]
    assert [one["id"] for one in done] == [0, 1, 2]
    assert {one["error"]["code"] for one in answers[3:]} == {-32600}
    assert await chain.balance(payer.pubkey()) == balance + len(done) * SOL


async def test_a_slow_batch_lets_others_have_their_turn_on_http_and_websocket(
    chain: InsideChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "_BATCH_TURN_S", 0.0)
    ear = Ear(chain)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    body = [asks("getSlot", id_=at) for at in range(20)]
    await chain.raw(json.dumps(body).encode())
    assert turns >= 19
    turns = 0
    await ear.say([asks("slotSubscribe", id_=1), *body])
    assert turns >= 19
    task.cancel()
    assert [one["id"] for one in (await ear.heard())[0]] == [1, *range(20)]
    await ear.close()
