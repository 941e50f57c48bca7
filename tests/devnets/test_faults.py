"""The fault switch of both devnets alone: what is lost, kept back, late, refused and freed."""

import asyncio
import json
from typing import Any

import pytest

from sandbox.devnets.faults import Faults, Sent
from sandbox.devnets.json_rpc import RpcError


class Letters:
    """A chain whose transactions are `sender:text`."""

    method = "send"

    def read(self, params: list[Any]) -> Sent | None:
        if not params or ":" not in params[0]:
            return None
        return Sent(f"id-{params[0]}", (params[0].split(":")[0],))

    def address(self, text: str) -> str | None:
        return text if text.isalpha() else None


class Node:
    """Answers every request that reaches it, and notes what was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.faults = Faults(Letters())

    async def onward(self, body: bytes) -> tuple[bytes, bool]:
        asked = json.loads(body)
        given = [self._one(one) for one in (asked if isinstance(asked, list) else [asked])]
        answers = [one for one in given if one is not None]
        return json.dumps(answers if isinstance(asked, list) else answers[0]).encode(), False

    def _one(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked["method"] == "send":
            self.sent += asked["params"]
        return {"id": asked["id"], "result": "from the node"} if "id" in asked else None

    async def ask(self, *requests: dict[str, Any]) -> list[Any]:
        answered, _ = await self.faults.pass_on(json.dumps(requests).encode(), self.onward)
        return [(one["id"], one["result"]) for one in json.loads(answered)]

    async def send(self, text: str) -> Any:
        answered, _ = await self.faults.pass_on(json.dumps(send(1, text)).encode(), self.onward)
        return json.loads(answered)["result"]


def send(number: int, text: str) -> dict[str, Any]:
    return {"id": number, "method": "send", "params": [text]}


READ: dict[str, Any] = {"id": 9, "method": "read"}


@pytest.fixture
async def node() -> Node:
    return Node()


@pytest.mark.parametrize(
    "asked",
    [{}, {"kind": "limp"}, {"kind": "lag"}, {"kind": "lag", "ms": True}, {"kind": "lag", "ms": 0},
     {"kind": "error", "status": 200}, {"kind": "error", "status": "503"},
     {"kind": "hang", "calls": 0}, {"kind": "hang", "method": 5}],
)  # fmt: skip
async def test_an_rpc_fault_that_is_none_is_refused(node: Node, asked: dict[str, Any]) -> None:
    with pytest.raises(RpcError):
        node.faults.set_rpc(asked)
    assert await node.faults.refuses([]) is None


@pytest.mark.parametrize(
    "asked",
    [{"drop": -1}, {"drop": 1.0}, {"delayMs": "5"}, {"stick": 1}, {"stick": "7"}, {"copies": 101}],
)
async def test_a_sending_fault_that_is_none_is_refused_and_changes_nothing(
    node: Node, asked: dict[str, Any]
) -> None:
    with pytest.raises(RpcError):
        node.faults.set_sending({"drop": 1, "delayMs": 5, "stick": True} | asked)
    assert node.faults.shown()["drop"] == 0
    assert await node.send("a:1") == "from the node"


async def test_so_many_sends_are_lost_and_the_next_goes_through(node: Node) -> None:
    node.faults.set_sending({"drop": 2})
    assert [await node.send("a:1") for _ in range(3)] == ["id-a:1", "id-a:1", "from the node"]
    assert node.sent == ["a:1"]


async def test_a_batch_is_answered_in_order_whoever_answers(node: Node) -> None:
    node.faults.set_sending({"stick": "bob"})
    note = {"method": "read"}
    asked = (READ, send(1, "bob:1"), note, send(2, "ann:1"), send(3, "nonsense"), send(4, "bob:2"))
    assert await node.ask(*asked) == [
        (9, "from the node"), (1, "id-bob:1"), (2, "from the node"), (3, "from the node"),
        (4, "id-bob:2"),
    ]  # fmt: skip
    assert node.sent == ["ann:1", "nonsense"]


async def test_what_is_stuck_goes_on_in_its_order_when_freed_and_once(node: Node) -> None:
    node.faults.set_sending({"stick": True})
    for text in ("a:1", "b:1", "a:1", "a:2"):
        assert await node.send(text) == f"id-{text}"
    assert node.faults.shown()["kept"] == ["id-a:1", "id-b:1", "id-a:2"]
    node.faults.clear()
    while node.faults.shown()["kept"]:
        await asyncio.sleep(0)
    assert node.sent == ["a:1", "b:1", "a:2"]
    assert await node.send("a:3") == "from the node"


async def test_a_delayed_send_arrives_late_and_a_repeat_is_the_same_one(node: Node) -> None:
    node.faults.set_sending({"delayMs": 50})
    assert [await node.send("a:1"), await node.send("a:1")] == ["id-a:1"] * 2
    assert node.sent == []
    async with asyncio.timeout(5):
        while not node.sent:
            await asyncio.sleep(0.01)
    assert (node.sent, node.faults.shown()["kept"]) == (["a:1"], [])


async def test_what_one_transaction_meets_does_not_hold_up_those_behind_it(node: Node) -> None:
    node.faults.set_sending({"stick": True})
    await node.send("a:1")

    async def broken(body: bytes) -> tuple[bytes, bool]:
        raise ConnectionError

    await node.faults.pass_on(json.dumps(send(1, "a:2")).encode(), broken)
    await node.send("a:3")
    node.faults.set_sending({"stick": False})
    node.faults.clear()
    while node.faults.shown()["kept"]:
        await asyncio.sleep(0)
    assert node.sent == ["a:1", "a:3"]


async def test_clearing_ends_a_delay_for_what_is_on_its_way_too(node: Node) -> None:
    node.faults.set_sending({"delayMs": 600_000})
    await node.send("a:1")
    node.faults.clear()
    while node.faults.shown()["kept"]:
        await asyncio.sleep(0)
    assert node.sent == ["a:1"]


async def test_a_hang_ends_when_another_fault_is_set(node: Node) -> None:
    node.faults.set_rpc({"kind": "hang"})
    waiting = asyncio.create_task(node.faults.refuses([]))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    node.faults.set_rpc({"kind": "error", "status": 429})
    assert await waiting == 429
    node.faults.set_rpc({"kind": "lag", "ms": 600_000})
    waiting = asyncio.create_task(node.faults.refuses([]))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    node.faults.clear()
    async with asyncio.timeout(5):
        assert await waiting is None


async def test_each_send_is_delivered_so_many_times_more_behind_its_answer(node: Node) -> None:
    node.faults.set_sending({"copies": 2})
    assert await node.send("a:1") == "from the node"
    assert await node.ask(READ, send(2, "b:1"), send(3, "nonsense")) == [
        (9, "from the node"), (2, "from the node"), (3, "from the node"),
    ]  # fmt: skip
    node.faults.set_sending({"copies": 1, "stick": True})
    await node.send("c:1")
    node.faults.set_sending({"stick": False})
    async with asyncio.timeout(5):
        while len(node.sent) < 9:
            await asyncio.sleep(0)
    node.faults.clear()
    assert sorted(node.sent) == ["a:1"] * 3 + ["b:1"] * 3 + ["c:1"] * 2 + ["nonsense"]
    assert node.sent[0] == "a:1"
    await node.send("d:1")
    await asyncio.sleep(0)
    assert node.sent.count("d:1") == 1


async def test_a_fault_for_so_many_calls_of_a_method_is_over_after_them(node: Node) -> None:
    node.faults.set_rpc({"kind": "error", "status": 429, "calls": 2, "method": "read"})
    assert await node.faults.refuses(["send"]) is None
    assert node.faults.shown()["rpc"]["calls"] == 2
    assert await node.faults.refuses(["send", "read"]) == 429
    assert await node.faults.refuses(["read"]) == 429
    assert await node.faults.refuses(["read"]) is None
    assert node.faults.shown()["rpc"] == {"kind": "off"}


async def test_calls_that_hang_stay_so_while_later_ones_are_answered(node: Node) -> None:
    node.faults.set_rpc({"kind": "hang", "calls": 1})
    waiting = asyncio.create_task(node.faults.refuses(["read"]))
    await asyncio.sleep(0.02)
    assert await node.faults.refuses(["read"]) is None
    assert not waiting.done()
    node.faults.clear()
    assert await waiting is None


async def test_what_is_kept_back_can_be_forgotten(node: Node) -> None:
    node.faults.set_sending({"stick": True})
    await node.send("a:1")
    node.faults.forget()
    node.faults.clear()
    assert node.faults.shown()["kept"] == []
    await asyncio.sleep(0.02)
    assert node.sent == []
