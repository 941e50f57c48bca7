"""What customers do with a session, on every real chain: exact, in parts, under, over, late, twice.

The same stories as on the chain in memory, told by ordinary wallets.
"""

import pytest

from sandbox.ledger import accounts
from tests.scenarios.world import World, completed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_exact_amount_completes_at_confirmed_and_is_captured_at_final(
    world: World,
) -> None:
    session = await world.session()
    merchant = accounts.merchant(world.name, session["merchant"])
    before = await world.posted(merchant)
    tx = await world.pay(session, 10_000)
    paid = await world.read(session)
    assert completed(paid) == ("complete", "none", [])
    payment = paid["payment"]
    assert (payment["tx"], payment["chain_state"], payment["settlement_state"]) == (
        tx, "confirmed", "none",
    )  # fmt: skip
    pending = await world.balance(accounts.suspense(world.name, session["id"]))
    assert (pending.posted, pending.pending_credit) == (0, world.units(10_000))
    await world.finalize()
    payment = (await world.read(session))["payment"]
    assert (payment["chain_state"], payment["settlement_state"]) == ("final", "unsettled")
    assert await world.in_suspense(session["id"]) == 0
    assert await world.posted(merchant) == before + world.units(10_000)
    assert await world.told(session["id"]) == [
        "checkout.session.created",
        "payment.confirmed",
        "checkout.session.completed",
        "payment.final",
        "payment.captured",
    ]


async def test_two_parts_complete_with_the_second_and_both_are_captured(world: World) -> None:
    session = await world.session()
    await world.pay(session, 4_000)
    assert completed(await world.read(session)) == ("open", "underpaid", ["underpaid"])
    await world.finalize()
    assert await world.in_suspense(session["id"]) == world.units(4_000)
    second = await world.pay(session, 6_000)
    await world.finalize()
    paid = await world.read(session)
    assert completed(paid) == ("complete", "none", [])
    assert paid["payment"]["tx"] == second
    assert [p["settlement_state"] for p in paid["payments"]] == ["unsettled", "unsettled"]
    assert await world.in_suspense(session["id"]) == 0


async def test_too_little_waits_and_goes_to_the_desk_when_the_session_expires(
    world: World,
) -> None:
    session = await world.session(expires_in_s=60)
    tx = await world.pay(session, 4_000)
    await world.finalize()
    assert await world.strays(tx) == []
    await world.expire()
    assert completed(await world.read(session)) == ("expired", "underpaid", ["underpaid"])
    [stray] = await world.strays(tx)
    assert (stray["session"], stray["amount_units"]) == (session["id"], world.units(4_000))
    assert await world.in_suspense(session["id"]) == world.units(4_000)


async def test_what_is_too_much_stays_in_suspense_with_a_proposal_and_can_be_sent_back(
    world: World,
) -> None:
    session = await world.session()
    payer = await world.payer(12_500)
    tx = await world.pay(session, 12_500, payer)
    await world.finalize()
    paid = await world.read(session)
    assert completed(paid) == ("complete", "overpaid", ["overpaid"])
    assert paid["excess_units"] == world.units(2_500)
    [stray] = await world.strays(tx)
    assert (stray["payment"], stray["proposal"]) == (paid["payment"]["id"], "refund")
    answer = await world.post(f"/v1/stray_transfers/{stray['id']}/resolve", {"action": "refund"})
    assert answer.status_code == 200, answer.text
    await world.carry_out()
    assert await world.ground.units(payer) == world.units(2_500)
    assert await world.in_suspense(session["id"]) == 0


async def test_under_and_over_payment_in_one_block_count_in_the_order_of_the_block(
    world: World,
) -> None:
    session = await world.session()
    first, second = await world.send(session, 4_000), await world.send(session, 9_000)
    await world.mine()
    paid = await world.read(session)
    assert completed(paid) == ("complete", "overpaid", ["overpaid"])
    assert [(p["tx"], p["counted_units"]) for p in paid["payments"]] == [
        (first, world.units(4_000)),
        (second, world.units(6_000)),
    ]
    assert paid["excess_units"] == world.units(3_000)
    assert paid["payment"]["tx"] == second


async def test_money_after_the_expiry_is_late_and_the_session_stays_expired(
    world: World,
) -> None:
    session = await world.session(expires_in_s=30)
    await world.pass_time(60)
    tx = await world.pay(session, 10_000)
    await world.finalize()
    assert completed(await world.read(session)) == ("expired", "late", ["late"])
    [stray] = await world.strays(tx)
    assert (stray["proposal"], stray["reasons"]) == ("accept", ["late"])
    assert await world.in_suspense(session["id"]) == world.units(10_000)


async def test_money_that_was_in_a_block_in_time_completes_though_it_was_seen_after_the_expiry(
    world: World,
) -> None:
    session = await world.session(expires_in_s=30)
    await world.send(session, 10_000)
    await world.ground.mine()
    await world.pass_time(60)
    assert await world.run("expire")
    assert (await world.read(session))["status"] == "expired"
    await world.follow()
    assert completed(await world.read(session)) == ("complete", "none", [])


async def test_money_to_the_deposit_address_of_an_old_session_is_a_duplicate_there(
    world: World,
) -> None:
    session = await world.session(expires_in_s=60)
    await world.pay(session, 10_000)
    await world.finalize()
    await world.pass_time(100_000)
    tx = await world.pay(session, 10_000)
    await world.finalize()
    paid = await world.read(session)
    assert completed(paid) == ("complete", "duplicate", ["duplicate"])
    assert [p["settlement_state"] for p in paid["payments"]] == ["unsettled", "none"]
    [stray] = await world.strays(tx)
    assert (stray["session"], stray["reasons"]) == (session["id"], ["duplicate"])
    assert await world.in_suspense(session["id"]) == world.units(10_000)
    assert (await world.told(session["id"])).count("checkout.session.completed") == 1


async def test_two_sessions_paid_in_one_transaction_are_both_complete(world: World) -> None:
    one, two = await world.session(), await world.session(500)
    parts = [
        (world.option(one), world.units(10_000)),
        (world.option(two), world.units(500)),
    ]
    tx = await world.ground.pay_together(world.customer, parts)
    await world.mine()
    await world.finalize()
    paid = [(await world.read(session))["payment"] for session in (one, two)]
    assert [(p["tx"], p["ordinal"], p["settlement_state"]) for p in paid] == [
        (tx, 0, "unsettled"),
        (tx, 1, "unsettled"),
    ]
    assert {p["from_address"] for p in paid} == {world.customer}


async def test_a_payment_that_fails_in_its_block_moves_nothing(world: World) -> None:
    session = await world.session()
    poor = await world.payer(100)
    tx = await world.ground.force(poor, world.place(session), world.units(10_000))
    await world.mine()
    assert await world.failure_of(tx) == "insufficient funds"
    read = await world.read(session)
    assert (completed(read), read["payments"]) == (("open", "none", []), [])
    assert await world.strays(tx) == []
    assert await world.ground.units(poor) == world.units(100)


async def test_the_link_read_by_its_specification_alone_pays_the_right_thing(
    world: World,
) -> None:
    session = await world.session(12_345)
    url = world.option(session)["url"]
    tx = await world.ground.pay_by_hand(world.customer, url)
    await world.mine()
    paid = await world.read(session)
    assert completed(paid) == ("complete", "none", [])
    assert (paid["payment"]["tx"], paid["received_units"]) == (tx, world.units(12_345))


async def test_every_session_is_paid_elsewhere_and_an_old_link_works_after_a_restart(
    world: World,
) -> None:
    one, two = await world.session(), await world.session()
    mine, other = world.option(one), world.option(two)
    assert mine["url"] != other["url"]
    assert (await world.read(one))["options"] == one["options"]
    again = await world.ground.restarted(world.database)
    try:
        assert again.own_addresses() == world.chain.own_addresses()
        if world.chain.sweep_batch:
            assert mine["address"] != other["address"]
            fields = again.receive_option(one["id"], mine["amount_units"], "").fields
            assert fields == {k: mine[k] for k in ("url", "token", "address", "amount_units")}
        else:
            assert mine["reference"] != other["reference"]
    finally:
        await again.aclose()  # type: ignore[attr-defined]  # of an adapter, which holds connections
    await world.pay(one, 10_000)
    assert (await world.read(one))["status"] == "complete"
    assert (await world.read(two))["status"] == "open"
