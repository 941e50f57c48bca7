"""Random histories on a real devnet whose blocks are made by hand: reorgs, lost and stolen nonces.

Whatever happens, what was told adds up to what is final, and each intent happens at most once.
"""

import random
from collections import Counter
from unittest.mock import patch

import pytest

from sandbox.chains import service
from sandbox.chains.evm import tx
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.json_rpc import NodeRefused
from sandbox.chains.port import UNSWEPT, Command, Signed
from sandbox.core.db import Database
from tests.chains.conftest import Follower
from tests.chains.evm_followed import ask, blocks_by_hand
from tests.chains.suite.worlds import EvmWorld, carry_out

STEPS = 70
MINTED = 1000


class History:
    """One world that random things happen to."""

    def __init__(self, database: Database, world: EvmWorld, holder: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.world, self.holder = world, holder
        self.follower: Follower[EvmChain] = Follower(database, world.evm)
        self.asked: dict[str, int] = {}
        self.sessions: list[str] = []
        self.reorgs = self.stolen = 0

    async def step(self) -> None:
        actions = [self.pay, self.pay, self.ask, self.ask, self.run, self.run, self.run]
        actions += [self.mine, self.mine, self.follow, self.reorg, self.lose, self.steal]
        actions += [self.drop, self.restart]
        await self.random.choice(actions)()

    async def pay(self) -> None:
        session = f"cs_{len(self.sessions)}"
        option = self.world.chain.receive_option(session, 5, "")
        self.sessions.append(session)
        self.follower.session_keys.update(option.keys)
        to, units = str(option.fields["address"]).lower(), self.random.randint(1, 9)
        await self.world.send_unchecked(self.holder, to, units)

    async def ask(self) -> None:
        """Some mints, or a burn that fails on chain."""
        for _ in range(self.random.randint(1, 3)):
            id_, units = f"iss_{len(self.asked):03}", self.random.randint(1, 50)
            burns = self.random.random() < 0.3
            self.asked[id_] = 0 if burns else units
            action, to = ("burn", "") if burns else ("mint", self.holder)
            command = Command("burn" if action == "burn" else "mint", id_, to, units)
            await ask(self.follower.database, command)

    async def run(self) -> None:
        await self.follower.runner.step()

    async def lose(self) -> None:
        """Signed and stored, and then nobody hears of it."""

        async def lost(signed: Signed) -> None:
            return

        with patch.object(self.world.evm, "broadcast", lost):
            await self.follower.runner.step()

    async def steal(self) -> None:
        """Something that is none of ours takes the next nonce of the minter."""
        key = self.world.keys.minter
        nonce = await self.world.node.call("eth_getTransactionCount", key.address, "latest")
        act = tx.Act(key.address, b"", 21_000)
        _, raw = tx.sign(key, 31337, int(nonce, 16), act, tx.Fees(10**13, 10**12))
        self.stolen += 1
        try:
            await self.world.node.call("eth_sendRawTransaction", "0x" + raw.hex())
        except NodeRefused as refused:
            assert "already" in refused.message  # noqa: PT017 - the same theft twice

    async def drop(self) -> None:
        """The pool forgets something."""
        content = (await self.world.node.call("txpool_content"))["pending"]
        waiting = [sent["hash"] for by_nonce in content.values() for sent in by_nonce.values()]
        if waiting:
            await self.world.node.call("sandbox_drop", {"tx": self.random.choice(waiting)})

    async def mine(self) -> None:
        await self.world.node.call("sandbox_mine", {"blocks": self.random.randint(1, 2)})
        if self.random.random() < 0.8:
            await self.follow()

    async def follow(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            await self.follower.watcher.step()

    async def reorg(self) -> None:
        heads = await self.world.chain.heads()
        if heads.confirmed > heads.final:
            blocks = self.random.randint(1, heads.confirmed - heads.final)
            mode = self.random.choice(["drop", "reinclude"])
            await self.world.node.call("sandbox_reorg", {"blocks": blocks, "mode": mode})
            self.reorgs += 1
            await self.follow()

    async def restart(self) -> None:
        self.follower = await self.follower.restart()

    async def come_to_rest(self) -> None:
        for _ in range(200):
            await self.world.node.call("sandbox_mine", {"blocks": 3})
            await self.follower.runner.step()
            await self.follower.follow()
            async with self.follower.database.transaction() as db:
                left = await service.busy(db, {"evm": await self.world.chain.heads()})
            if not left:
                return
        raise AssertionError(left)


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_told_adds_up_to_what_is_final_and_nothing_happens_twice(
    database: Database, evm_world: EvmWorld, seed: int
) -> None:
    holder = await evm_world.holder()
    await evm_world.final(await carry_out(evm_world, Command("mint", "iss_0", holder, MINTED)))
    history = History(database, evm_world, holder, seed)
    async with blocks_by_hand(evm_world.node):
        try:
            for _ in range(STEPS):
                await history.step()
            await history.come_to_rest()
        finally:
            await history.follower.leader.release()
        chain, listener = evm_world.chain, history.follower.listener
        heads = await chain.heads()
        blocks = await chain.blocks(0, heads.final)
        supply = (await chain.supply()).units
        lying = (await chain.holdings(history.sessions)).by_place[UNSWEPT]
    truth = Counter((t.tx, t.amount_units) for block in blocks for t in block.transfers)
    final = Counter((id_, units) for id_, _, units in listener.transfers("final"))
    assert final == truth
    told = Counter(listener.transfers("block"))
    told.subtract(listener.transfers("reverted"))
    assert +told == Counter(listener.transfers("final"))
    assert not -told
    ended = Counter(one.id for what in ("done", "not_done") for one in listener.of(what))
    assert ended == Counter(history.asked.keys())
    done = [one.id for one in listener.of("done")]
    assert supply == MINTED + sum(history.asked[id_] for id_ in done)
    assert not [event for event in listener.events if event.type == "chain.halted"]
    arrived = [
        seen.transfer.amount_units
        for block in listener.of("final")
        for seen in block.transfers
        if seen.incoming_place == UNSWEPT
    ]
    assert sum(arrived) == lying
    # The history is worth its name only if the things it is about did happen in it.
    assert history.reorgs
    assert history.stolen
    assert listener.of("not_done")
    assert lying
