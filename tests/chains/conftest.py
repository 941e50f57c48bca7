"""Chains with their watcher and runner, over a real database; real devnets for the real ones."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.jobs import IntentRunner
from sandbox.chains.memory import MemoryChain
from sandbox.chains.port import Chain
from sandbox.chains.watcher import Watcher
from sandbox.core.db import Database, Leader
from tests.chains.evm_fixtures import evm_rpc, evm_world
from tests.chains.slices import Listener
from tests.chains.solana_fixtures import solana_rpc, solana_world

__all__ = ["evm_rpc", "evm_world", "solana_rpc", "solana_world"]

KINDS = ("issuance", "faucet", "refund", "burn", "sweep")


_C = TypeVar("_C", bound=Chain)


@dataclass
class Follower(Generic[_C]):
    """A chain that is followed."""

    database: Database
    chain: _C
    listener: Listener = field(default_factory=Listener)
    owner: str = "worker-1"
    session_keys: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.leader = Leader(self.database, f"watcher:{self.chain.name}", self.owner)
        self.watcher = Watcher(
            self.database,
            self.chain,
            [self.listener],
            dict.fromkeys(KINDS, self.listener),
            self.listener.record,
            self.leader,
            known_keys=self.known_keys,
        )
        self.runner = IntentRunner(
            self.database,
            {self.chain.name: self.chain},
            dict.fromkeys(KINDS, self.listener),
            self.listener.record,
            self.owner,
            known_keys=self.known_keys,
            look_again_s=0,
        )

    async def known_keys(self, db: AsyncSession, chain: str, keys: list[str]) -> set[str]:
        return self.session_keys.intersection(keys)

    async def follow(self) -> None:
        """Step until there is nothing left to handle."""
        for _ in range(100):
            if not await self.watcher.step():
                return
        raise AssertionError("the watcher does not come to rest")

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Watcher and runner in the background, as a worker runs them."""

        stop = asyncio.Event()

        async def work() -> None:
            while not stop.is_set():
                await self.runner.step()
                await self.watcher.step()
                await asyncio.sleep(0.01)

        task = asyncio.create_task(work())
        try:
            yield
        finally:
            # Not cancelled: that could hit a connection between two hands.
            stop.set()
            await task

    async def restart(self) -> "Follower[_C]":
        """Another process takes over where the database says."""
        await self.leader.release()
        return Follower(self.database, self.chain, self.listener, "worker-2", self.session_keys)


@pytest.fixture(params=["slots", "heights"])
def chain(request: pytest.FixtureRequest) -> MemoryChain:
    """A chain whose reorgs skip heights (as Solana's slots), and one whose heights repeat (EVM)."""
    return MemoryChain(heights_repeat=request.param == "heights")


@pytest.fixture
async def follower(database: Database, chain: MemoryChain) -> AsyncIterator[Follower[MemoryChain]]:
    follower = Follower(database, chain)
    yield follower
    await follower.leader.release()


Payer = Callable[[int], str]


@pytest.fixture
def pay(chain: MemoryChain) -> Payer:
    """A customer with plenty of units who pays the treasury."""
    chain.endow("customer", 1_000_000)
    return lambda units: chain.pay("customer", chain.treasury, units, ("memo:cs_1",))
