"""What the watcher makes of a chain whose faults are set on purpose: as of a cluster's."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from contracts import token
from sandbox.chains.port import Chain
from sandbox.chains.solana import tx
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.deploy import deploy
from sandbox.core.db import Database
from tests.chains import solana_node
from tests.chains.conftest import Follower
from tests.chains.suite.worlds import SolanaWorld
from tests.chains.test_solana_watcher import following, mint, slots_by_hand, until

__all__ = ["following"]


async def test_a_payment_that_another_one_replaced_is_reverted_for_good(
    following: Follower[Chain], solana_world: SolanaWorld, solana_rpc: str
) -> None:
    """Both spend the same money; the shop's was in a block, the other one is in the new fork."""
    holder, thief = await solana_world.holder(), await solana_world.holder()
    await mint(following, "iss_1", holder, 1000)
    [treasury] = solana_world.chain.own_addresses()
    key, source, coin = solana_world.key(holder), Pubkey.from_string(holder), solana_world.token
    blockhash, valid_until = await solana_world.chain._recent_blockhash()  # type: ignore[attr-defined]  # Solana's own
    theft = tx.sign(
        [
            tx.create_token_account(source, Pubkey.from_string(thief), coin),
            tx.transfer_units(coin, source, Pubkey.from_string(thief), 1000),
        ],
        [key],
        blockhash,
        valid_until,
    )
    async with slots_by_hand(solana_rpc) as rpc:
        paid = await solana_world.send_unchecked(holder, treasury, 900)
        await rpc.call("sandbox_advanceSlots", {"slots": 3})
        await until(lambda: (paid, 1, 900) in following.listener.transfers("block"))
        raw = base64.b64encode(theft.raw).decode()
        done = await rpc.call("sandbox_reorg", {"slots": 4, "mode": "reinclude", "replace": [raw]})
        assert done["replacements"] == [{"signature": theft.tx_id, "err": None}]
    await until(lambda: (paid, 1, 900) in following.listener.transfers("reverted"))
    await until(lambda: (theft.tx_id, 1, 1000) in following.listener.transfers("final"))
    assert all(tx_id != paid for tx_id, _, _ in following.listener.transfers("final"))
    assert (await solana_world.chain.holdings()).by_place.get("treasury", 0) == 0


async def test_payments_that_come_again_in_other_slots_are_final_once_each(
    following: Follower[Chain], solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    await mint(following, "iss_1", holder, 1000)
    [treasury] = solana_world.chain.own_addresses()
    async with slots_by_hand(solana_rpc) as rpc:
        paid = [await solana_world.send_unchecked(holder, treasury, 100 + n) for n in range(4)]
        await rpc.call("sandbox_advanceSlots", {"slots": 3})
        await until(lambda: len(following.listener.transfers("block")) == 5)
        await rpc.call("sandbox_reorg", {"slots": 4, "mode": "reinclude", "spread": 4})
    await until(lambda: len(following.listener.transfers("final")) == 5)
    final = following.listener.transfers("final")[1:]
    assert final == [(tx_id, 2, 100 + n) for n, tx_id in enumerate(paid)]
    heights = [block.height for block in following.listener.of("final")[1:]]
    assert heights == list(range(heights[0], heights[0] + 4))
    assert len(following.listener.transfers("reverted")) == 4
    assert (await solana_world.chain.holdings()).by_place == {"treasury": 406}


async def test_a_doubled_payment_is_one_payment(
    following: Follower[Chain], solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    await mint(following, "iss_1", holder, 1000)
    [treasury] = solana_world.chain.own_addresses()
    async with slots_by_hand(solana_rpc) as rpc:
        await rpc.call("sandbox_setSendingFault", {"copies": 10})
        paid = await solana_world.send_unchecked(holder, treasury, 250)
        await rpc.call("sandbox_setSendingFault", {"copies": 0})
        await rpc.call("sandbox_advanceSlots", {"slots": 12})
        await until(lambda: (paid, 1, 250) in following.listener.transfers("final"))
    assert len(following.listener.transfers("block")) == 2  # the mint and the payment
    assert (await solana_world.chain.holdings()).by_place == {"treasury": 250}


async def test_a_node_that_falls_behind_takes_nothing_back_and_tells_nothing_twice(
    following: Follower[Chain], solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    await mint(following, "iss_1", holder, 1000)
    [treasury] = solana_world.chain.own_addresses()
    async with slots_by_hand(solana_rpc) as rpc:
        first = await solana_world.send_unchecked(holder, treasury, 250)
        await rpc.call("sandbox_advanceSlots", {"slots": 2})
        await until(lambda: (first, 1, 250) in following.listener.transfers("block"))
        await rpc.call("sandbox_setRpcFault", {"kind": "stale", "slots": 4})
        confirmed = (await solana_world.chain.heads()).confirmed
        second = await solana_world.send_unchecked(holder, treasury, 260)
        await rpc.call("sandbox_advanceSlots", {"slots": 3})
        assert (await solana_world.chain.heads()).confirmed == confirmed + 3
        assert following.listener.transfers("block")[1:] == [(first, 1, 250)]
        await rpc.call("sandbox_advanceSlots", {"slots": 30})
        await until(lambda: (second, 1, 260) in following.listener.transfers("final"))
        await rpc.call("sandbox_setRpcFault", {"kind": "off"})
        await rpc.call("sandbox_advanceSlots", {"slots": 5})
    assert following.listener.transfers("reverted") == []
    assert following.listener.events == []
    assert following.listener.transfers("final")[1:] == [(first, 1, 250), (second, 1, 260)]


async def test_calls_that_fail_for_a_while_lose_nothing(
    following: Follower[Chain], solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    await mint(following, "iss_1", holder, 1000)
    [treasury] = solana_world.chain.own_addresses()
    async with slots_by_hand(solana_rpc) as rpc:
        paid = await solana_world.send_unchecked(holder, treasury, 250)
        await rpc.call("sandbox_setRpcFault", {"kind": "error", "calls": 5, "method": "getBlock"})
        await rpc.call("sandbox_advanceSlots", {"slots": 12})
        await until(lambda: (paid, 1, 250) in following.listener.transfers("final"))
        assert (await rpc.call("sandbox_getFaults"))["rpc"] == {"kind": "off"}
    assert following.listener.of("halted") == []


@pytest.fixture
async def deep_world(database: Database, tmp_path: Path) -> AsyncIterator[SolanaWorld]:
    """A chain of its own: it is not fit for others afterwards."""
    with solana_node.running(tmp_path / "chain") as url:
        deployment, keys = await deploy(database, url, tmp_path / "keys", token.load())
        chain = SolanaChain(url, deployment, keys)
        mint_key = Pubkey.from_string(deployment.config["mint"])
        world = SolanaWorld(url, chain, tx.Token(mint_key, chain.decimals))
        yield world
        await world.aclose()
        await chain.aclose()


async def test_final_blocks_that_a_forced_reorg_took_halt_the_chain(
    database: Database, deep_world: SolanaWorld
) -> None:
    follower: Follower[Chain] = Follower(database, deep_world.chain)
    holder = await deep_world.holder()
    try:
        async with slots_by_hand(deep_world._url) as rpc, follower.at_work():
            await rpc.call("sandbox_keepUndo", {"slots": 100})
            [treasury] = deep_world.chain.own_addresses()
            await rpc.call("sandbox_advanceSlots", {"slots": 12})
            await rpc.call("sandbox_resume")
            await mint(follower, "iss_1", holder, 1000)
            await rpc.call("sandbox_pause")
            paid = await deep_world.send_unchecked(holder, treasury, 250)
            await rpc.call("sandbox_advanceSlots", {"slots": 12})
            await until(lambda: (paid, 1, 250) in follower.listener.transfers("final"))
            await rpc.call("sandbox_reorg", {"slots": 12, "force": True})
            await rpc.call("sandbox_advanceSlots", {"slots": 30})
            await until(lambda: follower.listener.of("halted"))
    finally:
        await follower.leader.release()
    [reason] = follower.listener.of("halted")
    assert "was final and is gone" in reason
    assert follower.listener.transfers("reverted") == []


async def test_a_client_that_waits_for_its_payment_sees_it_go_and_come_again(
    solana_world: SolanaWorld, solana_rpc: str
) -> None:
    """The status of one transaction over a reorg: known, unknown, known again; never doubled."""
    holder, other = await solana_world.holder(), await solana_world.holder()
    async with slots_by_hand(solana_rpc) as rpc:
        await rpc.call("sandbox_advanceSlots", {"slots": 12})

        async def status(signature: str) -> str | None:
            found = (await rpc.call("getSignatureStatuses", [signature]))["value"][0]
            return found and str(found["confirmationStatus"])

        act = tx.create_token_account(
            Pubkey.from_string(holder), Pubkey.from_string(other), solana_world.token
        )
        fresh = await solana_world.chain._recent_blockhash()  # type: ignore[attr-defined]  # Solana's own
        signed = tx.sign([act], [solana_world.key(holder)], *fresh)
        seen = []
        for _ in range(2):
            await solana_world.chain.broadcast(signed)
            seen.append(await status(signed.tx_id))
            await rpc.call("sandbox_advanceSlots", {"slots": 1})
            seen.append(await status(signed.tx_id))
            if len(seen) == 2:
                await rpc.call("sandbox_reorg", {"slots": 1})
                seen.append(await status(signed.tx_id))
        found = await rpc.call("getSignaturesForAddress", other, {"commitment": "confirmed"})
    assert seen == ["processed", "confirmed", None, "processed", "confirmed"]
    assert [row["signature"] for row in found].count(signed.tx_id) == 1
