"""Random histories: payments, intents, reorgs, lost transactions, restarts, failing handlers.

Whatever happens, what was told adds up to what is final, and each intent happens at most once.
"""

import random
from collections import Counter
from typing import Literal

import pytest
from sqlalchemy import text

from sandbox.chains import service
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.chains.port import Command
from sandbox.core.db import Database
from tests.chains.conftest import Follower

STEPS = 150
CUSTOMERS = [new_address() for _ in range(3)]


class History:
    """One world that random things happen to."""

    def __init__(self, database: Database, chain: MemoryChain, seed: int) -> None:
        self.random = random.Random(seed)
        self.chain = chain
        self.follower = Follower(database, chain)
        self.asked: dict[str, int] = {}
        self.endowed = 0
        for customer in CUSTOMERS:
            chain.endow(customer, 10_000)
            self.endowed += 10_000

    async def step(self) -> None:
        actions = [self.pay, self.pay, self.ask, self.mine, self.mine, self.mine, self.follow]
        actions += [self.ask, self.run, self.run, self.reorg, self.lose, self.stumble]
        actions += [self.restart, self.go_down]
        await self.random.choice(actions)()

    async def pay(self) -> None:
        source = self.random.choice(CUSTOMERS)
        self.chain.pay(source, self.chain.treasury, self.random.randint(1, 500), ("memo:cs",))

    async def ask(self) -> None:
        """A mint, or a burn that fails on chain while the treasury holds too little."""
        id_, units = f"iss_{len(self.asked):03}", self.random.randint(1, 2000)
        if self.random.random() < 0.5:
            self.asked[id_] = units
            command = Command("mint", id_, self.random.choice(CUSTOMERS), units)
        else:
            self.asked[id_] = -units * 4
            command = Command("burn", id_, amount_units=units * 4)
        async with self.follower.database.transaction() as db:
            await service.request(db, [service.Intent(id_, "issuance", self.chain.name, command)])

    async def mine(self) -> None:
        self.chain.down = self.chain.down and self.random.random() < 0.3
        self.chain.mine(self.random.randint(1, 2))
        if self.random.random() < 0.8:
            await self.follow()

    async def follow(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            await self.follower.watcher.step()

    async def run(self) -> None:
        await self.follower.runner.step()

    async def reorg(self) -> None:
        await self.pay()
        await self.mine()
        if self.chain.reversible:
            what: Literal["drop", "return"] = self.random.choice(["drop", "return"])
            self.chain.reorg(self.random.randint(1, self.chain.reversible), what=what)
            self.chain.mine(self.random.randint(1, 5))

    async def lose(self) -> None:
        self.chain.losing = self.random.random() < 0.3

    async def go_down(self) -> None:
        self.chain.down = self.random.random() < 0.3

    async def stumble(self) -> None:
        self.follower.listener.fail_at = {self.random.choice(["block", "final", "reverted"]): 1}

    async def restart(self) -> None:
        self.follower = await self.follower.restart()

    async def come_to_rest(self) -> None:
        self.chain.down = self.chain.losing = False
        self.follower.listener.fail_at = {}
        for _ in range(200):
            self.chain.mine(5)
            await self.follower.runner.step()
            await self.follower.follow()
            async with self.follower.database.transaction() as db:
                left = await service.busy(db, {self.chain.name: await self.chain.heads()})
            if not left:
                return
        raise AssertionError(left)


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 6))]
)
async def test_what_was_told_adds_up_to_what_is_final(
    database: Database, chain: MemoryChain, seed: int
) -> None:
    history = History(database, chain, seed)
    try:
        for _ in range(STEPS):
            await history.step()
        await history.come_to_rest()
    finally:
        await history.follower.leader.release()
    listener = history.follower.listener
    heads = await chain.heads()
    blocks = await chain.blocks(0, heads.final)
    truth = Counter((t.tx, t.amount_units) for block in blocks for t in block.transfers)
    final = Counter((tx, units) for tx, _, units in listener.transfers("final"))
    assert final == truth
    told = Counter(listener.transfers("block"))
    told.subtract(listener.transfers("reverted"))
    assert +told == Counter(listener.transfers("final"))
    assert not -told
    ended = Counter(one.id for what in ("done", "not_done") for one in listener.of(what))
    assert ended == Counter(history.asked.keys())
    done = [one.id for one in listener.of("done")]
    supply = (await chain.supply()).units
    assert supply == history.endowed + sum(history.asked[id_] for id_ in done)
    assert not [event for event in listener.events if event.type == "chain.halted"]
    async with database.transaction() as db:
        rows = await db.execute(text("SELECT state, count(*) FROM chain_inclusion GROUP BY state"))
        states = {row.state: row.count for row in rows}
    assert states.get("confirmed", 0) == 0
    assert states.get("final", 0) == sum(truth.values())
    assert states.get("reverted", 0) == len(listener.transfers("reverted"))
    # The history is worth its name only if the things it is about did happen in it.
    assert listener.transfers("reverted")
    assert max(n for _, n, _ in listener.transfers("final")) > 1
    assert listener.of("not_done")
