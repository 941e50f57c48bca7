"""Trouble of the keys that sign for us where transactions are numbered: seen by name, over in time,
and nothing happens twice.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from eth_utils.crypto import keccak
from sqlalchemy import text

from sandbox.chains.evm import tx
from sandbox.chains.evm.operators import Operator, operators
from sandbox.core.db import LONGEST_LEASE_S
from tests.scenarios.on_evm import EvmGround
from tests.scenarios.world import Json, World

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("ground", ["evm"], indirect=True),
]

LOW_FEE, HIGH_FEE = 10**9, 10**15


def evm(world: World) -> EvmGround:
    assert isinstance(world.ground, EvmGround)
    return world.ground


async def operator(world: World, role: str) -> Operator:
    chain = evm(world).chain
    states = await chain.operator_state()
    async with world.database.transaction() as db:
        found = await operators(db, chain.name, states, chain.refused)
    [one] = [one for one in found if one.role == role]
    return one


async def is_at_rest(world: World, role: str) -> None:
    one = await operator(world, role)
    assert (one.waiting, one.blocked_by, one.stuck_since, one.refused) == ((), None, None, None)
    assert one.nonce == one.nonce_final == one.nonce_pending


async def attempts(world: World, intent: str) -> list[tuple[int, str, str]]:
    async with world.database.transaction() as db:
        rows = await db.execute(
            text("SELECT n, state, tx_id FROM chain_attempt WHERE intent_id = :id ORDER BY n"),
            {"id": intent},
        )
        return [(row.n, row.state, row.tx_id) for row in rows]


async def refunding(world: World, tiyn: int = 4_000) -> tuple[str, Json]:
    """A payer without any units left, and a refund for it that is asked for and not sent."""
    payer = await world.payer(10_000)
    payment = await world.captured(10_000, payer)
    return payer, await world.refund(payment, tiyn)


@asynccontextmanager
async def dear_gas(world: World) -> AsyncIterator[None]:
    """The price of gas rises above all that was offered."""
    node = evm(world).node
    await node.call("anvil_setNextBlockBaseFeePerGas", hex(HIGH_FEE))
    try:
        yield
    finally:
        await node.call("anvil_setNextBlockBaseFeePerGas", hex(LOW_FEE))


async def arrived_once(world: World, payer: str, refund: Json, tiyn: int = 4_000) -> None:
    done = await world.get(f"/v1/refunds/{refund['id']}")
    assert (done["status"], done["failure"]) == ("completed", None)
    assert await world.ground.units(payer) == world.units(tiyn)
    told = await world.told(refund["id"])
    assert told == ["refund.requested", "refund.completed"]


async def test_an_underpriced_refund_is_seen_with_its_reason_and_goes_when_gas_is_cheap(
    world: World,
) -> None:
    payer, refund = await refunding(world)
    await world.send_due()
    async with dear_gas(world):
        # Taken by the pool, and too cheap for the next block.
        await world.mine()
        stuck = await operator(world, "treasury")
        assert (stuck.blocked_by, stuck.waiting) == (refund["id"], (stuck.nonce,))
        assert stuck.stuck_since is not None
        assert stuck.refused is None
        # Sent again, as the worker does until it is over: now the node says why.
        await world.send_due()
        stuck = await operator(world, "treasury")
        assert stuck.refused is not None
        assert "base fee" in stuck.refused
        assert await world.ground.units(payer) == 0
        assert (await world.get(f"/v1/refunds/{refund['id']}"))["status"] == "pending"
    await world.carry_out()
    await arrived_once(world, payer, refund)
    assert [made[:2] for made in await attempts(world, refund["id"])] == [(1, "done")]
    await is_at_rest(world, "treasury")


async def test_customers_pay_while_an_operator_is_stuck(world: World) -> None:
    payer, refund = await refunding(world)
    await world.send_due()
    stuck = await operator(world, "treasury")
    await evm(world).node.call("sandbox_drop", {"tx": stuck.blocking_tx})
    session = await world.session()
    await world.pay(session, 10_000)
    await world.finalize()
    assert (await world.read(session))["payment"]["settlement_state"] == "unsettled"
    assert (await operator(world, "treasury")).blocked_by == refund["id"]
    await world.carry_out()
    await arrived_once(world, payer, refund)


async def test_a_refund_that_the_pool_forgot_holds_up_the_next_until_it_is_sent_again(
    world: World,
) -> None:
    payer, second_payer = await world.payer(10_000), await world.payer(10_000)
    first_paid = await world.captured(10_000, payer)
    second_paid = await world.captured(10_000, second_payer)
    refund = await world.refund(first_paid, 4_000)
    second = await world.refund(second_paid, 3_000)
    await world.send_due()
    first = await operator(world, "treasury")
    assert (first.blocked_by, len(first.waiting)) == (refund["id"], 2)
    assert first.blocking_tx is not None
    dropped = await evm(world).node.call("sandbox_drop", {"tx": first.blocking_tx})
    assert dropped == {"dropped": True}
    await world.mine(3)
    stuck = await operator(world, "treasury")
    assert stuck.nonce == stuck.nonce_final == first.nonce
    assert (stuck.blocked_by, stuck.blocking_tx) == (refund["id"], first.blocking_tx)
    assert stuck.waiting == (first.nonce, first.nonce + 1)
    assert await world.ground.units(second_payer) == 0
    await world.carry_out()
    await arrived_once(world, payer, refund)
    await arrived_once(world, second_payer, second, 3_000)
    # The same bytes, not another transaction.
    assert await attempts(world, refund["id"]) == [(1, "done", first.blocking_tx)]
    await is_at_rest(world, "treasury")


async def test_a_chain_that_makes_no_blocks_shows_what_waits_and_sends_it_once(
    world: World,
) -> None:
    payer, refund = await refunding(world)
    for _ in range(3):
        await world.send_due()
    waiting = await operator(world, "treasury")
    assert (waiting.blocked_by, waiting.waiting) == (refund["id"], (waiting.nonce,))
    assert waiting.nonce_pending == waiting.nonce + 1
    assert waiting.stuck_since is not None
    await world.pass_time(3_600)
    await world.carry_out()
    await arrived_once(world, payer, refund)
    assert len(await attempts(world, refund["id"])) == 1
    await is_at_rest(world, "treasury")


async def test_a_mint_and_a_refund_are_stuck_each_on_its_own_key(world: World) -> None:
    payer, refund = await refunding(world)
    await world.send_due()
    stuck = await operator(world, "treasury")
    await evm(world).node.call("sandbox_drop", {"tx": stuck.blocking_tx})
    other = await world.ground.payer()
    async with world.database.transaction() as db:
        leased = (
            "UPDATE chain_intent SET lease_until = clock_timestamp() + :s * interval '1 second'"
        )
        await db.execute(text(leased), {"s": LONGEST_LEASE_S - 1})
    await world.ask_issue({other: 700})
    await world.step("intents")
    await world.finalize()
    assert await world.ground.units(other) == world.units(700)
    await is_at_rest(world, "minter")
    assert (await operator(world, "treasury")).blocked_by == refund["id"]
    await world.carry_out()
    await arrived_once(world, payer, refund)


@pytest.mark.parametrize("lost", [0, 1], ids=["coin", "units"])
async def test_a_grant_of_which_the_pool_forgot_a_part_gives_coin_and_units_once(
    world: World, lost: int
) -> None:
    ground = evm(world)
    while await world.run("float"):
        await world.carry_out()
    payer = await ground.payer()
    coin = await ground.coin(payer)
    grant = await world.grant(payer, 500)
    await world.send_due()
    async with world.database.transaction() as db:
        packed = "SELECT raw FROM chain_attempt WHERE intent_id = :id"
        raws = tx.unpack(await db.scalar(text(packed), {"id": grant["id"]}))
    dropped = "0x" + keccak(raws[lost]).hex()
    assert await ground.node.call("sandbox_drop", {"tx": dropped}) == {"dropped": True}
    await world.mine(3)
    assert await ground.units(payer) == 0
    stuck = await operator(world, "treasury")
    assert (stuck.blocked_by, len(stuck.waiting)) == (grant["id"], 2 - lost)
    await world.carry_out()
    assert await ground.units(payer) == world.units(500)
    assert await ground.coin(payer) == coin + 10 * tx.WEI_PER_COIN
    assert len(await attempts(world, grant["id"])) == 1
    await is_at_rest(world, "treasury")
