"""The watcher, the runner and a customer on a real devnet process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest
from sqlalchemy import text

from sandbox.chains import service
from sandbox.chains.checks import await_final_cursor, final_supply
from sandbox.chains.port import Chain, Command, Heads, Signed
from sandbox.chains.solana.rpc import Rpc
from sandbox.core.db import Database
from tests.chains.conftest import Follower
from tests.chains.suite.worlds import SolanaWorld


@pytest.fixture
async def following(
    database: Database, solana_world: SolanaWorld
) -> AsyncIterator[Follower[Chain]]:
    follower: Follower[Chain] = Follower(database, solana_world.chain)
    try:
        async with follower.at_work():
            yield follower
    finally:
        await follower.leader.release()


async def busy(database: Database, heads: Heads) -> list[str]:
    async with database.transaction() as db:
        return await service.busy(db, {"solana": heads})


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not reached():
            await asyncio.sleep(0.01)


async def until_resolved(database: Database, id_: str) -> service.IntentState:
    async with asyncio.timeout(20):
        while True:
            async with database.transaction() as db:
                found = await service.intent(db, id_)
            if found.state in ("done", "not_done"):
                return found
            await asyncio.sleep(0.01)


@asynccontextmanager
async def slots_by_hand(rpc_url: str) -> AsyncIterator[Rpc]:
    """The devnet makes slots only when it is told to."""
    rpc = Rpc(rpc_url)
    await rpc.call("sandbox_pause")
    try:
        yield rpc
    finally:
        await rpc.call("sandbox_resume")
        await rpc.aclose()


async def until_sent(database: Database) -> None:
    async with asyncio.timeout(20):
        while True:
            async with database.transaction() as db:
                found = text("SELECT 1 FROM chain_attempt WHERE broadcast_at IS NOT NULL")
                if await db.scalar(found):
                    return
            await asyncio.sleep(0.01)


async def mint(follower: Follower[Chain], id_: str, holder: str, units: int) -> None:
    async with follower.database.transaction() as db:
        command = Command("mint", id_, holder, units)
        await service.request(db, [service.Intent(id_, "issuance", "solana", command)])
    assert (await until_resolved(follower.database, id_)).state == "done"


async def test_money_is_followed_from_mint_to_payment_and_the_figures_agree(
    following: Follower[Chain], solana_world: SolanaWorld
) -> None:
    holder = await solana_world.holder()
    await mint(following, "iss_1", holder, 1000)
    option = solana_world.chain.receive_option("cs_1", 250, "")
    tx = await solana_world.pay(holder, option, 250)
    await until(lambda: (tx, 1, 250) in following.listener.transfers("final"))
    assert (tx, 1, 250) in following.listener.transfers("block")
    supply = await final_supply(solana_world.chain)
    assert await await_final_cursor(following.database, "solana", supply.height) >= supply.height
    assert supply.units == 1000
    held = await solana_world.chain.holdings()
    assert held.by_place == {"treasury": 250}
    assert following.listener.events == []


async def test_a_payment_lost_in_a_reorg_is_reverted_and_one_that_returns_is_included_again(
    following: Follower[Chain], solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    await mint(following, "iss_1", holder, 1000)
    [treasury] = solana_world.chain.own_addresses()
    async with slots_by_hand(solana_rpc) as rpc:
        # Signed under a final blockhash, so that it is still valid on the other fork.
        tx = await solana_world.send_unchecked(holder, treasury, 250)
        await rpc.call("sandbox_advanceSlots", {"slots": 3})
        await until(lambda: (tx, 1, 250) in following.listener.transfers("block"))
        await rpc.call("sandbox_reorg", {"slots": 4, "mode": "reinclude"})
    await until(lambda: (tx, 1, 250) in following.listener.transfers("reverted"))
    [event] = following.listener.events
    assert event.type == "chain.reorged"
    assert tx in event.data["dropped_txs"]
    await until(lambda: following.listener.transfers("final")[-1:] == [(tx, 2, 250)])
    assert (tx, 1, 250) not in following.listener.transfers("final")


async def test_a_mint_lost_in_a_reorg_is_sent_again_and_happens_once(
    following: Follower[Chain], solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    async with slots_by_hand(solana_rpc) as rpc:
        async with following.database.transaction() as db:
            command = Command("mint", "iss_1", holder, 700)
            await service.request(db, [service.Intent("iss_1", "issuance", "solana", command)])
        await until_sent(following.database)
        await rpc.call("sandbox_advanceSlots", {"slots": 3})
        await until(lambda: following.listener.transfers("block"))
        await rpc.call("sandbox_reorg", {"slots": 4, "mode": "drop"})
    assert (await until_resolved(following.database, "iss_1")).state == "done"
    assert (await solana_world.chain.supply()).units == 700
    assert len(following.listener.transfers("final")) == 1


async def test_an_expired_mint_is_signed_anew_and_happens_once(
    database: Database, solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder, rpc = await solana_world.holder(), Rpc(solana_rpc)
    follower: Follower[Chain] = Follower(database, solana_world.chain)
    async with database.transaction() as db:
        command = Command("mint", "iss_1", holder, 700)
        await service.request(db, [service.Intent("iss_1", "issuance", "solana", command)])

    async def lost(signed: Signed) -> None:
        return

    with patch.object(solana_world.chain, "broadcast", lost):
        await follower.runner.step()
    await rpc.call("sandbox_expireBlockhashes")
    await rpc.call("sandbox_advanceSlots", {"slots": 20})
    await rpc.aclose()
    try:
        async with follower.at_work():
            found = await until_resolved(database, "iss_1")
    finally:
        await follower.leader.release()
    assert (found.state, found.attempts) == ("done", 2)
    assert (await solana_world.chain.supply()).units == 700


async def test_the_watcher_comes_to_rest_and_says_so(
    following: Follower[Chain], solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    await mint(following, "iss_1", holder, 5)
    async with slots_by_hand(solana_rpc) as rpc:
        heads = await solana_world.chain.heads()
        await rpc.call("sandbox_advanceSlots", {"slots": 1})
        await await_final_cursor(following.database, "solana", heads.final)
        async with asyncio.timeout(20):
            while await busy(following.database, heads):
                await asyncio.sleep(0.01)
    assert await busy(following.database, replace(heads, final=heads.final + 10**6))
