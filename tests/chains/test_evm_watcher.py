"""The watcher, the runner and customers on a real EVM devnet, reorgs included."""

from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest

from contracts.evm_addresses import deposit_salt
from sandbox.chains import service
from sandbox.chains.checks import await_final_cursor, final_supply
from sandbox.chains.evm.calls import SWEEP_MANY
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.tx import WEI_PER_COIN, call_data
from sandbox.chains.port import UNSWEPT, ChainUnavailable, Command, ReceiveOption
from sandbox.core.db import Database
from tests.chains.conftest import Follower
from tests.chains.evm_followed import (
    ask,
    blocks_by_hand,
    until,
    until_done,
    until_resolved,
    until_sent,
)
from tests.chains.suite.worlds import EvmWorld, carry_out


@pytest.fixture
async def following(database: Database, evm_world: EvmWorld) -> AsyncIterator[Follower[EvmChain]]:
    follower = Follower(database, evm_world.evm)
    try:
        async with follower.at_work():
            yield follower
    finally:
        await follower.leader.release()


def offered(follower: Follower[EvmChain], session: str, units: int) -> ReceiveOption:
    """A session as checkout makes one: its keys are known from then on."""
    option = follower.chain.receive_option(session, units, "")
    follower.session_keys.update(option.keys)
    return option


async def rich(following: Follower[EvmChain], world: EvmWorld, units: int = 1000) -> str:
    holder = await world.holder()
    await ask(following.database, Command("mint", f"iss_{holder[:12]}", holder, units))
    await until_done(following.database, f"iss_{holder[:12]}")
    return holder


async def test_what_is_paid_to_a_strangers_address_is_nobodys_here(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder, stranger = await rich(following, evm_world), await evm_world.holder()
    tx = await evm_world.send_unchecked(holder, stranger, 7)
    coin = await evm_world.wallet(holder).send(stranger, value_wei=5)
    last = await evm_world.send_unchecked(holder, stranger, 8)
    await until(lambda: (last, 1, 8) in following.listener.transfers("final"))
    [seen] = [s for b in following.listener.of("final") for s in b.transfers if s.transfer.tx == tx]
    assert (seen.incoming_place, seen.outgoing_place) == ("", "")
    assert coin not in {f.tx for block in following.listener.of("block") for f in block.foreign}


async def test_money_is_followed_from_mint_to_deposit_address_and_the_figures_agree(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await rich(following, evm_world)
    option = offered(following, "cs_1", 250)
    tx = await evm_world.pay(holder, option, 250)
    await until(lambda: (tx, 1, 250) in following.listener.transfers("final"))
    [seen] = [s for b in following.listener.of("block") for s in b.transfers if s.transfer.tx == tx]
    assert (seen.incoming_place, seen.outgoing_place, seen.intent) == (UNSWEPT, "", None)
    assert seen.transfer.keys == option.keys
    supply = await final_supply(following.chain)
    assert await await_final_cursor(following.database, "evm", supply.height) >= supply.height
    assert supply.units == 1000
    held = await following.chain.holdings(["cs_1", "cs_2"])
    assert held.by_place == {"treasury": 0, UNSWEPT: 250}
    assert following.listener.events == []


async def test_a_sweep_is_an_intent_that_moves_places_and_leaves_out_what_is_frozen(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await rich(following, evm_world)
    sessions = [f"cs_{n}" for n in range(4)]
    options = [offered(following, session, 100) for session in sessions]
    for option in options[:3]:
        tx = await evm_world.pay(holder, option, 100)
    await until(lambda: (tx, 1, 100) in following.listener.transfers("final"))
    stopped = str(options[1].fields["address"]).lower()
    await evm_world.final(await carry_out(evm_world, Command("freeze", "case_1", stopped)))
    sweep = Command("sweep", "swp_1", sessions=sessions)
    await ask(following.database, sweep, kind="sweep")
    await until_done(following.database, sweep.reference)
    async with following.database.transaction() as db:
        moved = await service.moved_by(db, sweep.reference)
    assert sorted(one.source for one in moved) == sorted(
        str(options[n].fields["address"]).lower() for n in (0, 2)
    )
    assert sum(one.amount_units for one in moved) == 200
    seen = [
        s
        for block in following.listener.of("final")
        for s in block.transfers
        if s.intent == sweep.reference
    ]
    assert {(s.incoming_place, s.outgoing_place) for s in seen} == {("treasury", UNSWEPT)}
    held = await following.chain.holdings(sessions)
    assert held.by_place == {"treasury": 200, UNSWEPT: 100}


async def test_a_strangers_sweep_shows_as_a_move_between_our_places(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await rich(following, evm_world)
    option = offered(following, "cs_1", 100)
    await evm_world.pay(holder, option, 100)
    factory = (await deployment(following.database)).config["deposits"]
    tx = await evm_world.wallet(holder).send(factory, call_data(SWEEP_MANY, [deposit_salt("cs_1")]))
    await until(lambda: (tx, 1, 100) in following.listener.transfers("final"))
    [seen] = [s for b in following.listener.of("final") for s in b.transfers if s.transfer.tx == tx]
    assert (seen.incoming_place, seen.outgoing_place, seen.intent) == ("treasury", UNSWEPT, None)


async def test_native_coin_at_our_addresses_is_foreign_and_gas_of_our_own_is_not(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await rich(following, evm_world)
    option = offered(following, "cs_1", 100)
    [treasury] = following.chain.own_addresses()
    wallet, deposit = evm_world.wallet(holder), str(option.fields["address"]).lower()
    to_deposit = await wallet.send(deposit, value_wei=3)
    to_treasury = await wallet.send(treasury, value_wei=4)
    last = await evm_world.pay(holder, option, 100)
    await until(lambda: (last, 1, 100) in following.listener.transfers("final"))
    found = [one for block in following.listener.of("final") for one in block.foreign]
    assert [(f.tx, f.ordinal, f.token, f.destination, f.amount, f.keys) for f in found] == [
        (to_deposit, 0, "native", deposit, 3, option.keys),
        (to_treasury, 0, "native", treasury, 4, ()),
    ]


async def test_the_faucet_gives_gas_ahead_of_the_tokens_in_one_intent(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    [treasury] = following.chain.own_addresses()
    holder = await evm_world.holder()
    await ask(following.database, Command("mint", "iss_t", treasury, 1000))
    await until_done(following.database, "iss_t")
    grants = [Command("transfer", f"fau_{n}", holder, 10, gas=True) for n in range(3)]
    await ask(following.database, *grants, kind="faucet")
    await until_done(following.database, *(grant.reference for grant in grants))
    assert (await following.chain.balance(holder)).units == 30
    assert await evm_world.gas_of(holder) == 31 * WEI_PER_COIN


async def test_a_payment_lost_in_a_reorg_is_reverted_and_one_that_returns_is_included_again(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await rich(following, evm_world)
    option = offered(following, "cs_1", 250)
    async with blocks_by_hand(evm_world.node):
        tx = await evm_world.wallet(holder).pay(str(option.fields["url"]), wait=False)
        await evm_world.node.call("sandbox_mine", {"blocks": 1})
        await until(lambda: (tx, 1, 250) in following.listener.transfers("block"))
        await evm_world.node.call("sandbox_reorg", {"blocks": 1, "mode": "reinclude"})
        await until(lambda: (tx, 1, 250) in following.listener.transfers("reverted"))
        [event] = following.listener.events
        assert event.type == "chain.reorged"
        assert event.data["dropped_txs"] == [tx]
    await until(lambda: following.listener.transfers("final")[-1:] == [(tx, 2, 250)])
    assert (tx, 1, 250) not in following.listener.transfers("final")


async def test_a_mint_lost_in_a_reorg_is_sent_again_and_happens_once(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await evm_world.holder()
    async with blocks_by_hand(evm_world.node):
        await ask(following.database, Command("mint", "iss_1", holder, 700))
        await until_sent(following.database)
        await evm_world.node.call("sandbox_mine", {"blocks": 1})
        await until(lambda: following.listener.transfers("block"))
        await evm_world.node.call("sandbox_reorg", {"blocks": 1, "mode": "drop"})
        await until(lambda: following.listener.transfers("reverted"))
    found = await until_resolved(following.database, "iss_1")
    assert (found.state, found.attempts) == ("done", 1)
    assert (await following.chain.supply()).units == 700
    assert len(following.listener.transfers("final")) == 1


async def test_a_mint_that_the_chain_refuses_is_not_done_with_its_reason(
    following: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    await ask(following.database, Command("burn", "stl_1:burn:evm:1", amount_units=5), kind="burn")
    found = await until_resolved(following.database, "stl_1:burn:evm:1")
    assert (found.state, found.attempts, found.reason) == ("not_done", 1, "insufficient funds")


async def deployment(database: Database) -> service.Deployment:
    async with database.transaction() as db:
        return await service.deployment(db, "evm")


async def test_a_block_that_vanishes_between_two_questions_is_asked_for_again(
    evm_world: EvmWorld,
) -> None:
    holder = await evm_world.holder()
    async with blocks_by_hand(evm_world.node):
        await carry_out(evm_world, Command("mint", "iss_1", holder, 5))
        await evm_world.node.call("sandbox_mine", {"blocks": 1})
        head = (await evm_world.chain.heads()).confirmed
        bodies = await evm_world.evm._bodies(head, head, full=True)
        await evm_world.node.call("sandbox_reorg", {"blocks": 1, "mode": "drop"})

        async def stale(*_: object, **__: object) -> object:
            return bodies

        with (
            patch.object(evm_world.evm, "_bodies", stale),
            pytest.raises(ChainUnavailable),
        ):
            await evm_world.chain.blocks(head, head)
        [now] = await evm_world.chain.blocks(head, head)
        assert now.id.hash != bodies[0]["hash"]
        assert now.transfers == ()
