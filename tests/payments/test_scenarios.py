"""What customers do: the money of every scenario, seen through the real watcher."""

import pytest
from sqlalchemy import text

from sandbox.chains.memory import MemoryChain, Move
from sandbox.chains.watching import Seen, SeenBlock
from sandbox.ledger import accounts
from sandbox.payments.incoming import usable
from sandbox.payments.jobs import expire
from tests.payments.world import Json, World


async def in_suspense(world: World, owner: str) -> int:
    return await world.posted(accounts.suspense("memory", owner))


async def with_merchant(world: World) -> int:
    return await world.posted(accounts.merchant("memory", "mch_shop"))


async def in_custody(world: World) -> int:
    treasury = await world.posted(accounts.treasury("memory"))
    assert treasury == await world.posted(accounts.custody("memory"))
    return treasury


def state(session: Json) -> tuple[str, str, list[str]]:
    return session["status"], session["reason"], session["reasons"]


async def test_the_exact_amount_completes_at_confirmed_and_is_captured_at_final(
    world: World,
) -> None:
    session = await world.session()
    tx = await world.pay(session, 10_000)
    paid = await world.read(session)
    assert state(paid) == ("complete", "none", [])
    payment = paid["payment"]
    assert paid["payments"] == [payment]
    assert (payment["tx"], payment["chain_state"], payment["settlement_state"]) == (
        tx, "confirmed", "none",
    )  # fmt: skip
    assert paid["received_units"] == world.units(10_000)
    pending = await world.balance(accounts.suspense("memory", session["id"]))
    assert (pending.posted, pending.pending_credit) == (0, world.units(10_000))
    await world.finalize()
    payment = (await world.read(session))["payment"]
    assert (payment["chain_state"], payment["settlement_state"], payment["fee_tiyn"]) == (
        "final", "unsettled", 100,
    )  # fmt: skip
    assert payment["capture_entry"].startswith("ent_")
    assert await in_suspense(world, session["id"]) == 0
    assert await with_merchant(world) == await in_custody(world) == world.units(10_000)
    assert await world.told() == [
        "checkout.session.created",
        "payment.confirmed",
        "checkout.session.completed",
        "payment.final",
        "payment.captured",
    ]


async def test_partial_then_full_captures_both_only_when_both_are_final(world: World) -> None:
    session = await world.session()
    await world.pay(session, 4_000)
    assert state(await world.read(session)) == ("open", "underpaid", ["underpaid"])
    await world.finalize()
    assert await with_merchant(world) == 0
    await world.pay(session, 6_000)
    paid = await world.read(session)
    assert state(paid) == ("complete", "none", [])
    assert paid["payment"]["amount_units"] == world.units(6_000)
    assert await with_merchant(world) == 0
    await world.finalize()
    assert await with_merchant(world) == world.units(10_000)
    fees = [p["fee_tiyn"] for p in (await world.read(session))["payments"]]
    assert fees == [40, 60]
    assert (await world.told())[:3] == [
        "checkout.session.created",
        "payment.confirmed",
        "checkout.session.underpaid",
    ]


async def test_short_money_of_an_expired_session_waits_on_the_desk(world: World) -> None:
    session = await world.session(expires_in_s=60)
    await world.pay(session, 4_000)
    await world.finalize()
    assert await world.strays() == []
    await world.wait(100)
    assert await expire(world.database) == 1
    assert await expire(world.database) == 0
    assert state(await world.read(session)) == ("expired", "underpaid", ["underpaid"])
    [stray] = await world.strays()
    assert (stray["amount_units"], stray["reasons"]) == (world.units(4_000), ["underpaid"])
    assert await in_suspense(world, session["id"]) == world.units(4_000)
    assert await with_merchant(world) == 0


async def test_overpaid_money_stays_in_suspense(world: World) -> None:
    session = await world.session()
    await world.pay(session, 12_500)
    await world.finalize()
    paid = await world.read(session)
    assert state(paid) == ("complete", "overpaid", ["overpaid"])
    assert paid["excess_units"] == world.units(2_500)
    assert paid["payment"]["counted_units"] == world.units(10_000)
    assert await with_merchant(world) == world.units(10_000)
    assert await in_suspense(world, session["id"]) == world.units(2_500)
    [stray] = await world.strays("shop")
    assert (stray["payment"], stray["session"]) == (paid["payment"]["id"], session["id"])
    assert (stray["amount_units"], stray["proposal"], stray["status"]) == (
        world.units(2_500), "refund", "open",
    )  # fmt: skip


async def test_late_money_leaves_the_session_expired(world: World) -> None:
    session = await world.session(expires_in_s=30)
    await world.wait(60)
    await world.pay(session, 10_000)
    await world.finalize()
    assert state(await world.read(session)) == ("expired", "late", ["late"])
    [stray] = await world.strays()
    assert (stray["proposal"], stray["reasons"]) == ("accept", ["late"])
    assert await in_suspense(world, session["id"]) == world.units(10_000)
    assert "checkout.session.expired" in await world.told()
    assert "checkout.session.completed" not in await world.told()


async def test_money_sent_in_time_and_seen_after_the_expiry_completes(world: World) -> None:
    session = await world.session(expires_in_s=30)
    world.send(session, 10_000)
    world.chain.mine()
    world.chain.offset_ms += 60_000
    world.chain.mine()
    await world.sync()
    assert await expire(world.database) == 1
    await world.follow()
    assert state(await world.read(session)) == ("complete", "none", [])


async def test_a_second_full_payment_is_a_duplicate(world: World) -> None:
    session = await world.session()
    await world.pay(session, 10_000)
    await world.pay(session, 10_000)
    await world.finalize()
    paid = await world.read(session)
    assert state(paid) == ("complete", "duplicate", ["duplicate"])
    assert len(paid["payments"]) == 2
    assert [p["settlement_state"] for p in paid["payments"]] == ["unsettled", "none"]
    assert await with_merchant(world) == world.units(10_000)
    assert await in_suspense(world, session["id"]) == world.units(10_000)
    assert (await world.told()).count("checkout.session.completed") == 1


async def test_money_to_a_canceled_session_is_late(world: World) -> None:
    session = await world.session()
    await world.post(f"/v1/checkout/sessions/{session['id']}/cancel")
    await world.pay(session, 10_000)
    assert state(await world.read(session)) == ("canceled", "late", ["late"])
    [stray] = await world.strays()
    assert stray["proposal"] == "refund"


async def test_partial_money_of_a_canceled_session_goes_to_the_desk(world: World) -> None:
    session = await world.session()
    await world.pay(session, 4_000)
    await world.post(f"/v1/checkout/sessions/{session['id']}/cancel")
    [stray] = await world.strays()
    assert (stray["session"], stray["amount_units"]) == (session["id"], world.units(4_000))


async def test_money_without_a_known_key_is_a_stray_of_nobody(world: World) -> None:
    await world.pay(None, 700, keys=("ref:unknown", "memo:cs_nobody"))
    [stray] = await world.strays()
    assert (stray["session"], stray["chain_state"], stray["proposal"]) == (
        None, "confirmed", "refund",
    )  # fmt: skip
    assert await world.strays("shop") == []
    await world.finalize()
    assert await in_suspense(world, stray["id"]) == await in_custody(world) == world.units(700)
    assert await world.told() == ["stray.recorded", "stray.final"]


@pytest.mark.parametrize("keys", [(), ("memo:" + "\0",), ("memo:" + "x" * 500, "memo:\ud800")])
async def test_keys_that_no_database_holds_are_no_keys(world: World, keys: tuple[str, ...]) -> None:
    assert usable(keys) == []


async def test_another_token_is_a_stray_without_legs(world: World) -> None:
    session = await world.session()
    world.chain.send_foreign("USDT", world.customer, world.chain.treasury, 2**70)
    world.chain.mine()
    await world.follow()
    await world.finalize()
    [stray] = await world.strays()
    assert (stray["token"], stray["amount_units"], stray["chain_state"]) == (
        "USDT", 2**70, "final",
    )  # fmt: skip
    assert await in_custody(world) == 0
    assert (await world.read(session))["payments"] == []
    assert await world.told() == ["checkout.session.created", "stray.recorded", "stray.final"]


async def test_another_token_with_a_sessions_reference_points_to_it(world: World) -> None:
    session = await world.session()
    world.chain.send(
        Move("foreign", world.customer, world.chain.treasury, 5, world.keys_of(session), "USDT")
    )
    world.chain.mine()
    await world.follow()
    [stray] = await world.strays("shop")
    assert (stray["session"], stray["reasons"]) == (session["id"], ["wrong_token"])


async def test_a_reference_on_money_for_somebody_else_is_a_note_only(world: World) -> None:
    session = await world.session()
    tx = await world.pay(session, 10_000, to="a stranger")
    read = await world.read(session)
    assert (read["status"], read["payments"], read["received_units"]) == ("open", [], 0)
    assert [(note["what"], note["tx"]) for note in read["notes"]] == [
        ("reference_used_elsewhere", tx)
    ]
    assert await world.strays() == []
    await world.pay(session, 10_000)
    assert (await world.read(session))["status"] == "complete"


async def test_a_speck_of_dust_with_the_reference_does_not_mask_the_payment(world: World) -> None:
    session = await world.session()
    await world.pay(session, 0, units=1)
    await world.pay(session, 10_000)
    paid = await world.read(session)
    assert (paid["status"], paid["reason"], paid["excess_units"]) == ("complete", "overpaid", 1)


async def test_the_reference_goes_before_the_memo(world: World) -> None:
    first, second = await world.session(), await world.session()
    keys = (world.keys_of(first)[0], world.keys_of(second)[1])
    await world.pay(None, 10_000, keys=keys)
    assert (await world.read(first))["status"] == "complete"
    assert (await world.read(second))["status"] == "open"


async def test_a_revert_undoes_the_completion_and_the_same_transaction_heals_it(
    world: World,
) -> None:
    session = await world.session(expires_in_s=100)
    await world.pay(session, 10_000)
    completed = await world.read(session)
    world.chain.reorg(1)
    world.chain.mine(2)
    await world.follow()
    back = await world.read(session)
    assert (back["status"], back["reason"], back["completion"]) == ("complete", "none", 2)
    assert [p["id"] for p in back["payments"]] == [completed["payment"]["id"]]
    assert back["payment"]["inclusion"] == 2
    assert back["expires_at"] > completed["expires_at"]
    await world.finalize()
    assert await with_merchant(world) == world.units(10_000)
    assert await world.told() == [
        "checkout.session.created",
        "payment.confirmed",
        "checkout.session.completed",
        "payment.reverted",
        "checkout.session.reverted",
        "payment.confirmed",
        "checkout.session.completed",
        "payment.final",
        "payment.captured",
    ]
    completions = [d["completion"] for _, d in await world.events("checkout.session.completed")]
    assert completions == [1, 2]


async def test_a_payment_that_never_comes_back_leaves_the_session_open(world: World) -> None:
    session = await world.session(expires_in_s=100)
    await world.pay(session, 10_000)
    world.chain.reorg(1, what="drop")
    world.chain.mine(2)
    await world.follow()
    open_again = await world.read(session)
    assert state(open_again) == ("open", "reverted", ["reverted"])
    assert (open_again["payment"], open_again["received_units"]) == (None, 0)
    [(_, told)] = await world.events("checkout.session.reverted")
    assert (told["status"], told["payment"], told["reason"]) == ("open", None, "reverted")
    pending = await world.balance(accounts.suspense("memory", session["id"]))
    assert (pending.posted, pending.pending_credit, pending.pending_debit) == (0, 0, 0)
    await world.pay(session, 10_000)
    assert (await world.read(session))["completion"] == 2
    await world.finalize()
    assert await in_custody(world) == world.units(10_000)


async def test_a_revert_heals_a_session_that_expired_meanwhile(world: World) -> None:
    session = await world.session(expires_in_s=20)
    await world.pay(session, 10_000)
    world.chain.reorg(1)
    waiting, world.chain._mempool = world.chain._mempool, {}
    world.chain.mine(2)
    await world.follow()
    await world.wait(200)
    await expire(world.database)
    assert (await world.read(session))["status"] == "expired"
    world.chain._mempool = waiting
    world.chain.mine()
    await world.follow()
    assert state(await world.read(session)) == ("complete", "none", [])


async def test_a_stray_that_reverts_and_returns_keeps_its_place_on_the_desk(world: World) -> None:
    await world.pay(None, 700)
    world.chain.reorg(1)
    world.chain.mine(2)
    await world.follow()
    [stray] = await world.strays()
    assert (stray["status"], stray["chain_state"]) == ("open", "confirmed")
    await world.finalize()
    assert await in_suspense(world, stray["id"]) == world.units(700)
    assert await world.told() == [
        "stray.recorded", "stray.reverted", "stray.recorded", "stray.final",
    ]  # fmt: skip


async def test_two_payments_in_one_transaction_are_two_payments(world: World) -> None:
    one, two = await world.session(), await world.session(500)
    treasury = world.chain.treasury
    tx = world.chain.send(
        Move("transfer", world.customer, treasury, world.units(10_000), world.keys_of(one)),
        Move("transfer", world.customer, treasury, world.units(500), world.keys_of(two)),
    )
    world.chain.mine()
    await world.follow()
    await world.finalize()
    paid = [(await world.read(session))["payment"] for session in (one, two)]
    assert [(p["tx"], p["ordinal"], p["settlement_state"]) for p in paid] == [
        (tx, 0, "unsettled"),
        (tx, 1, "unsettled"),
    ]


async def test_the_same_transaction_seen_twice_is_one_payment(world: World) -> None:
    session = await world.session()
    await world.pay(session, 10_000)
    # A watcher whose cursor was lost reads the same block once more.
    head = (await world.chain.heads()).confirmed
    [block] = await world.chain.blocks(head, head)
    async with world.database.transaction() as db:
        rows = (await db.execute(text("SELECT id FROM chain_transfer"))).all()
        seen = tuple(
            Seen(row.id, transfer, 1, None, "treasury", "")
            for row, transfer in zip(rows, block.transfers, strict=True)
        )
        again = SeenBlock("memory", world.chain.decimals, head, block.id.hash, block.time, seen, ())
        changes = await world.handler.on_block(db, again)
    assert (changes.entries, changes.events) == ([], [])
    assert len((await world.read(session))["payments"]) == 1


async def test_the_policy_final_completes_at_final_only(world: World) -> None:
    session = await world.session(role="careful")
    await world.pay(session, 10_000)
    waiting = await world.read(session)
    assert (waiting["status"], waiting["received_units"]) == ("open", world.units(10_000))
    await world.finalize()
    assert (await world.read(session))["payment"]["settlement_state"] == "unsettled"
    assert (await world.told())[1:] == [
        "payment.confirmed",
        "payment.final",
        "checkout.session.completed",
        "payment.captured",
    ]


async def test_what_the_sandbox_sends_itself_is_nobodys_payment(
    world: World, chain: MemoryChain
) -> None:
    chain.mint_unasked(chain.treasury, 5)
    chain.mine()
    await world.follow()
    assert await world.told() == []
    assert await world.strays() == []
