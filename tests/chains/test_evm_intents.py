"""Intents where transactions are numbered: crashes, stuck and lost nonces, two runners at once."""

import asyncio
from collections.abc import AsyncIterator
from unittest.mock import patch

import pytest
from sqlalchemy import text

from sandbox.chains.evm import tx
from sandbox.chains.evm.chain import EvmChain
from sandbox.chains.evm.operators import Operator, operators
from sandbox.chains.jobs import IntentRunner
from sandbox.chains.port import Command, Outcome, Signed
from sandbox.core.db import Database
from tests.chains.conftest import KINDS, Follower
from tests.chains.evm_followed import (
    ask,
    attempts,
    blocks_by_hand,
    until_done,
    until_resolved,
)
from tests.chains.suite.worlds import EvmWorld


@pytest.fixture
async def follower(database: Database, evm_world: EvmWorld) -> AsyncIterator[Follower[EvmChain]]:
    follower = Follower(database, evm_world.evm)
    yield follower
    await follower.leader.release()


async def state_of(database: Database, world: EvmWorld, role: str) -> Operator:
    states = await world.evm.operator_state()
    async with database.transaction() as db:
        found = await operators(db, "evm", states, world.evm.refused)
    return next(one for one in found if one.role == role)


async def use_otherwise(world: EvmWorld, role: str, nonce: int) -> str:
    """A transaction that is none of ours takes a nonce of one of our keys."""
    key = world.keys.accounts()[role]
    act = tx.Act(key.address, b"", 21_000)
    id_, raw = tx.sign(key, 31337, nonce, act, tx.Fees(10**11, 10**10))
    await world.node.call("eth_sendRawTransaction", "0x" + raw.hex())
    return id_


async def lost(signed: Signed) -> None:
    """A broadcast that nobody hears."""


async def test_a_nonce_that_was_used_otherwise_makes_way_for_a_new_attempt_at_final(
    follower: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await evm_world.holder()
    await ask(follower.database, Command("mint", "iss_1", holder, 700))
    with patch.object(evm_world.evm, "broadcast", lost):
        await follower.runner.step()
    [(_, _, _, [slot])] = await attempts(follower.database, "iss_1")
    await use_otherwise(evm_world, "minter", int(slot.rpartition(":")[2]))
    async with follower.at_work():
        found = await until_resolved(follower.database, "iss_1")
    assert (found.state, found.attempts) == ("done", 2)
    made = await attempts(follower.database, "iss_1")
    assert [(n, at) for n, at, _, _ in made] == [(1, "not_done"), (2, "done")]
    assert made[1][3] != [slot]
    assert (await evm_world.chain.supply()).units == 700


async def test_a_nonce_used_otherwise_is_not_lost_before_that_is_final(
    evm_world: EvmWorld,
) -> None:
    holder = await evm_world.holder()
    signed = await evm_world.chain.prepare(Command("mint", "iss_1", holder, 700))
    async with blocks_by_hand(evm_world.node):
        await use_otherwise(evm_world, "minter", signed.valid_until_height)
        await evm_world.node.call("sandbox_mine", {"blocks": 1})
        assert await evm_world.chain.outcome(signed) is Outcome.unknown
        await evm_world.node.call("sandbox_mine", {"blocks": 2})
        assert await evm_world.chain.outcome(signed) is Outcome.not_done


async def test_a_runner_killed_between_commit_and_broadcast_sends_the_same_bytes_after_restart(
    follower: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await evm_world.holder()
    await ask(follower.database, *(Command("mint", f"iss_{n}", holder, 100) for n in range(3)))

    async def killed(signed: Signed) -> None:
        raise asyncio.CancelledError

    with patch.object(evm_world.evm, "broadcast", killed), pytest.raises(asyncio.CancelledError):
        await follower.runner.step()
    before = [await attempts(follower.database, f"iss_{n}") for n in range(3)]
    async with follower.database.transaction() as db:
        await db.execute(text("UPDATE chain_intent SET lease_until = clock_timestamp()"))
    after = await follower.restart()
    # What comes in meanwhile stands behind what was signed, not on top of it.
    await ask(follower.database, Command("mint", "iss_9", holder, 1))
    async with after.at_work():
        await until_done(follower.database, "iss_0", "iss_1", "iss_2", "iss_9")
    await after.leader.release()
    made = [await attempts(follower.database, f"iss_{n}") for n in range(3)]
    assert [[(a[0], a[2], a[3]) for a in each] for each in made] == [
        [(a[0], a[2], a[3]) for a in each] for each in before
    ]
    assert (await evm_world.chain.balance(holder)).units == 301


async def test_a_transaction_below_the_base_fee_is_visible_and_sent_again_until_it_goes(
    follower: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await evm_world.holder()
    await ask(follower.database, Command("mint", "iss_1", holder, 700))
    with patch.object(evm_world.evm, "broadcast", lost):
        await follower.runner.step()
    node = evm_world.node
    async with blocks_by_hand(node):
        await node.call("anvil_setNextBlockBaseFeePerGas", hex(10**15))
        await node.call("sandbox_mine", {"blocks": 1})
        await follower.runner.step()
        minter = await state_of(follower.database, evm_world, "minter")
        assert minter.blocked_by == "iss_1"
        assert minter.refused is not None
        assert "base fee" in minter.refused
        assert minter.stuck_since is not None
        assert minter.waiting == (minter.nonce,)
        await node.call("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        await node.call("sandbox_mine", {"blocks": 1})
    async with follower.at_work():
        await until_done(follower.database, "iss_1")
    assert [a[:2] for a in await attempts(follower.database, "iss_1")] == [(1, "done")]
    minter = await state_of(follower.database, evm_world, "minter")
    assert (minter.waiting, minter.blocked_by, minter.refused) == ((), None, None)


async def test_another_transaction_in_the_pool_on_the_same_nonce_decides_the_race_once(
    follower: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await evm_world.holder()
    await ask(follower.database, Command("mint", "iss_1", holder, 700))
    async with blocks_by_hand(evm_world.node):
        with patch.object(evm_world.evm, "broadcast", lost):
            await follower.runner.step()
        [(_, _, _, [slot])] = await attempts(follower.database, "iss_1")
        await use_otherwise(evm_world, "minter", int(slot.rpartition(":")[2]))
        await follower.runner.step()
        minter = await state_of(follower.database, evm_world, "minter")
        assert minter.refused is not None
        assert "underpriced" in minter.refused
    async with follower.at_work():
        await until_done(follower.database, "iss_1")
    assert (await evm_world.chain.supply()).units == 700


async def test_what_the_pool_forgot_is_sent_again_with_the_same_bytes(
    follower: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await evm_world.holder()
    async with blocks_by_hand(evm_world.node):
        await ask(follower.database, *(Command("mint", f"iss_{n}", holder, 5) for n in range(2)))
        await follower.runner.step()
        [(_, _, first, _)] = await attempts(follower.database, "iss_0")
        dropped = await evm_world.node.call("sandbox_drop", {"tx": first})
        assert dropped == {"dropped": True}
    async with follower.at_work():
        await until_done(follower.database, "iss_0", "iss_1")
    assert [a[2] for a in await attempts(follower.database, "iss_0")] == [first]
    assert (await evm_world.chain.balance(holder)).units == 10


async def test_two_runners_never_take_the_same_nonce_and_leave_no_gap(
    follower: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await evm_world.holder()
    runners = [follower.runner] + [
        IntentRunner(
            follower.database,
            {"evm": evm_world.evm},
            dict.fromkeys(KINDS, follower.listener),
            follower.listener.record,
            f"worker-{n}",
            batch=8,
            look_again_s=0,
        )
        for n in (2, 3)
    ]
    ids = [f"iss_{n:02}" for n in range(24)]
    await ask(follower.database, *(Command("mint", id_, holder, 1) for id_ in ids))
    async with blocks_by_hand(evm_world.node):
        for _ in range(10):
            await asyncio.gather(*(runner.step() for runner in runners))
        made = [await attempts(follower.database, id_) for id_ in ids]
        nonces = sorted(int(slot.rpartition(":")[2]) for [(_, _, _, [slot])] in made)
        assert nonces == list(range(nonces[0], nonces[0] + 24))
    async with follower.at_work():
        await until_done(follower.database, *ids)
    assert (await evm_world.chain.balance(holder)).units == 24


async def test_nothing_is_signed_behind_a_nonce_that_its_runner_lost(
    follower: Follower[EvmChain], evm_world: EvmWorld
) -> None:
    holder = await evm_world.holder()
    ids = ["iss_0", "iss_1", "iss_2"]
    await ask(follower.database, *(Command("mint", id_, holder, 1) for id_ in ids))
    prepare = evm_world.evm.prepare

    async def slowly(command: Command, taken: set[str]) -> Signed:
        signed = await prepare(command, taken)
        if command.reference == "iss_1":
            async with follower.database.transaction() as db:
                await db.execute(
                    text(
                        "UPDATE chain_intent SET lease_owner = 'worker-2',"
                        " lease_until = clock_timestamp() + interval '1 second'"
                        " WHERE id = 'iss_1'"
                    )
                )
        return signed

    with patch.object(evm_world.evm, "prepare", slowly):
        await follower.runner.step()
    assert len(await attempts(follower.database, "iss_0")) == 1
    assert await attempts(follower.database, "iss_1") == []
    assert await attempts(follower.database, "iss_2") == []
    async with follower.at_work():
        await until_done(follower.database, *ids)
    assert (await evm_world.chain.balance(holder)).units == 3


async def test_a_gap_is_the_first_nonce_that_the_next_command_takes(evm_world: EvmWorld) -> None:
    holder = await evm_world.holder()
    first = await evm_world.chain.prepare(Command("mint", "iss_1", holder, 1))
    signer, _, nonce = first.slots[0].rpartition(":")
    behind = {f"{signer}:{int(nonce) + n}" for n in (1, 2)}
    again = await evm_world.chain.prepare(Command("mint", "iss_2", holder, 1), behind)
    assert again.slots == first.slots
    [treasury] = evm_world.chain.own_addresses()
    start = (await evm_world.chain.prepare(Command("burn", "b", amount_units=1))).valid_until_height
    given = await evm_world.chain.prepare(
        Command("transfer", "fau_1", holder, 1, gas=True), {f"{treasury}:{start + 1}"}
    )
    assert given.slots == (f"{treasury}:{start}", f"{treasury}:{start + 2}")
