"""The devnet without a process: the same front that the transport calls, driven in this one."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

from sandbox.devnets.faults import Faults
from sandbox.devnets.solana.bank import Bank, Depths
from sandbox.devnets.solana.front import Front, Sending
from sandbox.devnets.solana.node import Node
from sandbox.devnets.solana.producer import Producer
from sandbox.devnets.solana.snapshots import Snapshots
from sandbox.devnets.solana.subscriptions import Hub
from sandbox.devnets.transport import Answer, Connection
from tests.devnets.solana.chain import Chain


class InsideChain(Chain):
    """A chain that makes a slot only when it is told to; everything of `Chain` but its process."""

    def __init__(
        self,
        data_dir: Path,
        depths: Depths | None = None,
        *,
        records: int = 2_000,
        seed: int | None = None,
    ) -> None:
        self._seed = seed
        self._ids = itertools.count(1)
        self.data_dir, self._depths, self._records = data_dir, depths or Depths(), records
        data_dir.mkdir(parents=True, exist_ok=True)
        self._open()

    def _open(self) -> None:
        bank = Bank.open(
            self.data_dir, self._depths, max_memory_records=self._records, seed=self._seed
        )
        faults, snapshots = Faults(Sending()), Snapshots(self.data_dir)
        self.node = Node(bank, Producer(bank, 400), True, faults, snapshots)
        self.hub = bank.observer = Hub(self.node)
        self.front = Front(self.node, self.hub)

    @property
    def bank(self) -> Bank:
        """The one that answers now: a restored snapshot is another."""
        return self.node.bank

    async def start(self) -> None:
        self._open()

    async def stop(self) -> int:
        self.bank.close()
        return 0

    async def kill(self) -> None:
        """What is written is all that a killed process leaves."""
        self.bank.shut()

    async def close(self) -> None:
        self.bank.close()

    async def raw(self, body: bytes) -> bytes:
        return (await self.front.answer(body))[0]

    async def post(self, body: Any, **headers: str) -> Any:
        assert not headers
        out = await self.raw(json.dumps(body).encode())
        return json.loads(out) if out else None


class Ear:
    """One WebSocket of an `InsideChain` as its client sees it: whole frames, in their order."""

    def __init__(self, chain: InsideChain) -> None:
        self._connection = Connection(chain.front.leave)
        self._answer: Answer = chain.front.join(self._connection)
        self._ids = itertools.count(1)
        self.frames: list[Any] = []
        self._writer = asyncio.create_task(self._connection.write(self._sent))

    async def _sent(self, event: dict[str, Any]) -> None:
        self.frames.append(json.loads(event["text"]))

    async def say(self, body: Any) -> None:
        self._connection.hold()
        out, _ = await self._answer(json.dumps(body).encode())
        self._connection.answer(out)

    async def heard(self) -> list[Any]:
        """All frames since the last look."""
        for _ in range(3):  # the writer wakes, and `_sent` never makes it wait
            await asyncio.sleep(0)
        found, self.frames = self.frames, []
        return found

    async def ask(self, method: str, *params: Any) -> Any:
        """The first frame behind a request, which must be its answer."""
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        assert await self.heard() == []
        await self.say(body)
        answer, *rest = await self.heard()
        self.frames = rest
        assert answer["id"] == body["id"]
        return answer

    async def close(self) -> None:
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
