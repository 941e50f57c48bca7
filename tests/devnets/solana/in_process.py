"""The chain's methods without a process, a port or slots by time: cheap, where none is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.devnets.faults import Faults
from sandbox.devnets.solana import rpc
from sandbox.devnets.solana.bank import Bank, Depths
from sandbox.devnets.solana.front import Sending
from sandbox.devnets.solana.node import Node
from sandbox.devnets.solana.producer import Producer
from sandbox.devnets.solana.snapshots import Snapshots
from tests.devnets.solana.chain import Chain, Refused

FINALITY = 32


class InProcess(Chain):
    """As `Chain`; `kill` and `stop` let go of the bank, `start` opens it again."""

    def __init__(self, data_dir: Path, *, records: int = 2_000) -> None:
        self.data_dir, self._records = data_dir, records
        self.node = self._opened()

    def _opened(self) -> Node:
        depths = Depths(1, FINALITY)
        bank = Bank.open(self.data_dir, depths, max_memory_records=self._records)
        faults, snapshots = Faults(Sending()), Snapshots(self.data_dir)
        return Node(bank, Producer(bank, 0), True, faults, snapshots)

    async def start(self) -> None:
        self.node = self._opened()

    async def stop(self) -> int:
        self.node.bank.close()
        return 0

    async def kill(self) -> None:
        """What is written is all that a killed process leaves."""
        self.node.bank.shut()

    async def post(self, body: Any, **headers: str) -> Any:
        return rpc.one(self.node, body)

    async def call(self, method: str, *params: Any) -> Any:
        answer = await self.post({"id": 1, "method": method, "params": list(params)})
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]
