"""Blocks that were confirmed and leave the chain, with a payment in them."""

import pytest

from sandbox.ledger import accounts
from tests.scenarios.world import Json, World, completed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def confirmed(world: World, **more: int) -> tuple[Json, str]:
    """A session that is complete by the youngest block."""
    session = await world.session(**more)
    # Nobody can take the payer's blockhash with the block.
    await world.ground.mine(2)
    tx = await world.pay(session, 10_000)
    assert (await world.read(session))["status"] == "complete"
    return session, tx


async def test_a_payment_that_is_lost_leaves_the_session_open_and_can_be_made_again(
    world: World,
) -> None:
    session, _ = await confirmed(world)
    await world.ground.reorg(1, "drop")
    await world.follow()
    lost = await world.read(session)
    assert completed(lost) == ("open", "reverted", ["reverted"])
    assert (lost["payment"], lost["received_units"]) == (None, 0)
    pending = await world.balance(accounts.suspense(world.name, session["id"]))
    assert (pending.posted, pending.pending_credit, pending.pending_debit) == (0, 0, 0)
    again = await world.pay(session, 10_000)
    await world.finalize()
    paid = await world.read(session)
    assert (paid["status"], paid["completion"]) == ("complete", 2)
    assert (paid["payment"]["tx"], paid["payment"]["settlement_state"]) == (again, "unsettled")


async def test_a_payment_that_moves_to_another_block_is_the_same_payment(world: World) -> None:
    session, tx = await confirmed(world)
    [before] = (await world.read(session))["payments"]
    await world.ground.reorg(1, "reinclude")
    await world.follow()
    paid = await world.read(session)
    assert completed(paid) == ("complete", "none", [])
    assert [(p["id"], p["tx"], p["inclusion"]) for p in paid["payments"]] == [
        (before["id"], tx, before["inclusion"] + 1)
    ]
    await world.finalize()
    told = [type_ for type_ in await world.told(session["id"]) if type_ != "payment.captured"]
    assert told == [
        "checkout.session.created",
        "payment.confirmed",
        "checkout.session.completed",
        "payment.reverted",
        "checkout.session.reverted",
        "payment.confirmed",
        "checkout.session.completed",
        "payment.final",
    ]
    assert (await world.told(session["id"])).count("payment.captured") == 1


async def test_a_payment_that_comes_back_after_the_expiry_was_in_time(world: World) -> None:
    session, tx = await confirmed(world, expires_in_s=60)
    raw = await world.ground.raw(tx)
    await world.ground.reorg(1, "drop")
    await world.follow()
    assert (await world.read(session))["status"] == "open"
    await world.expire()
    assert (await world.read(session))["status"] == "expired"
    await world.ground.resend(raw)
    await world.mine()
    assert completed(await world.read(session)) == ("complete", "none", [])
    await world.finalize()
    [payment] = (await world.read(session))["payments"]
    assert (payment["tx"], payment["inclusion"], payment["settlement_state"]) == (
        tx, 2, "unsettled",
    )  # fmt: skip


async def test_a_stray_that_is_lost_leaves_the_desk_and_returns_to_it(world: World) -> None:
    await world.ground.mine(2)
    tx = await world.ground.force(world.customer, world.ground.treasury, world.units(5))
    await world.mine()
    raw = await world.ground.raw(tx)
    await world.ground.reorg(1, "drop")
    await world.follow()
    [stray] = await world.strays(tx)
    assert (stray["status"], stray["resolution"]) == ("resolved", "reverted")
    await world.ground.resend(raw)
    await world.mine()
    [stray] = await world.strays(tx)
    assert (stray["status"], stray["chain_state"]) == ("open", "confirmed")
    await world.finalize()
    assert await world.in_suspense(stray["id"]) == world.units(5)


async def test_a_refund_that_is_lost_is_sent_again_and_arrives_once(world: World) -> None:
    payer = await world.payer(10_000)
    payment = await world.captured(10_000, payer)
    refund = await world.refund(payment, 4_000)
    await world.ground.mine(2)
    await world.send_due()
    await world.mine()
    assert await world.ground.units(payer) == world.units(4_000)
    await world.ground.reorg(1, "drop")
    await world.follow()
    assert await world.ground.units(payer) == 0
    await world.carry_out()
    done = await world.get(f"/v1/refunds/{refund['id']}")
    assert done["status"] == "completed"
    assert await world.ground.units(payer) == world.units(4_000)
