"""Thousands of broken requests at the function that the transport calls: every one is answered."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.devnets.solana import control
from sandbox.devnets.solana.rpc import METHODS
from tests.devnets.solana.fuzz import Fuzzer, Seed, sow
from tests.devnets.solana.inside import Ear, InsideChain

CODES = {-32700, -32600, -32601, -32602, -32002, -32003, -32004, -32007, -32008, -32015, -32016}
SUBSCRIPTIONS = ("account", "program", "logs", "signature", "block", "slot", "root")


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[InsideChain]:
    made = InsideChain(tmp_path)
    yield made
    await made.close()


def expects_nothing(body: bytes) -> bool:
    """Whether a body holds notifications only (JSON-RPC 2.0, section 4.1)."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return False
    requests = asked if isinstance(asked, list) else [asked]
    return bool(requests) and all(
        isinstance(one, dict) and isinstance(one.get("method"), str) and "id" not in one
        for one in requests
    )


def codes_of(body: bytes, out: bytes) -> list[int]:
    """The error codes of an answer (0 for a result); fails when it is not well-formed."""
    if not out:
        assert expects_nothing(body), body
        return []
    answer = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name}: {body!r}"))
    return [code_of(body, one) for one in (answer if isinstance(answer, list) else [answer])]


def code_of(body: bytes, one: Any) -> int:
    assert isinstance(one, dict), body
    assert one["jsonrpc"] == "2.0"
    if "result" in one:
        assert set(one) == {"jsonrpc", "id", "result"}
        return 0
    assert set(one) == {"jsonrpc", "id", "error"}
    error = one["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert len(error["message"]) < 1_000, body[:300]
    assert error["code"] in CODES, (body, error)
    if error["code"] == -32002:  # solders panics without these
        assert {"err", "logs", "accounts", "unitsConsumed", "returnData"} <= set(error["data"])
    if error["code"] == -32016:
        assert isinstance(error["data"]["contextSlot"], int)
    return int(error["code"])


def state_of(chain: InsideChain) -> tuple[Any, ...]:
    bank = chain.bank
    faults = json.dumps(chain.node.faults.shown())
    return bank.open_slot, bank.tip.hash, len(bank.history.open_records), faults


async def play(chain: InsideChain, seed: Seed, number: int, cases: int) -> Counter[int]:
    """Play `cases` bodies of one seed, half of them on a WebSocket."""
    fuzzer, seen, ear = Fuzzer(seed, number), Counter[int](), Ear(chain)
    for case in range(cases):
        body, before = fuzzer.body(), state_of(chain)
        if case % 2:
            out = await chain.raw(body)
        else:
            out = (await ear._answer(body))[0]
        codes = codes_of(body, out)
        seen.update(codes)
        if all(codes):
            assert state_of(chain) == before, body
        if case % 250 == 249:
            chain.bank.seal()
            chain.hub.drop_sink(ear._connection)
    await ear.close()
    return seen


async def test_every_method_is_among_the_seeds(chain: InsideChain) -> None:
    asked = {method for method, _ in (await sow(chain, subscriptions=True)).requests}
    assert set(METHODS) <= asked
    assert {f"{kind}Subscribe" for kind in SUBSCRIPTIONS} <= asked


async def test_twenty_thousand_broken_requests_are_answered_and_change_nothing(
    chain: InsideChain, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = await play(chain, await sow(chain, subscriptions=True), 1, 20_000)
    assert capfd.readouterr() == ("", "")
    assert seen[0] > 4_000  # what is broken in a place that no method reads is no error
    assert seen[-32602] > 8_000
    assert {-32700, -32600, -32601, -32002, -32003, -32004, -32016} <= set(seen)


async def test_broken_control_requests_are_answered_and_change_nothing(
    chain: InsideChain, capfd: pytest.CaptureFixture[str]
) -> None:
    seed = await sow(chain, subscriptions=False)
    everything = {
        "slots": 3, "mode": "drop", "offsetMs": 5, "frozenAtMs": None, "slotMs": 400,
        "hold": True, "kind": "lag", "ms": 1, "status": 503, "drop": 1, "delayMs": 5,
        "stick": False,
    }  # fmt: skip
    seed.requests = [(method, [dict(everything)]) for method in control.METHODS]
    seen = await play(chain, seed, 1, 400)
    assert capfd.readouterr() == ("", "")
    assert seen[0] > 50
    assert seen[-32602] > 50


@pytest.mark.long
@pytest.mark.parametrize("number", range(2, 12))
async def test_twenty_thousand_more(
    chain: InsideChain, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    await play(chain, await sow(chain, subscriptions=True), number, 20_000)
    assert capfd.readouterr() == ("", "")
