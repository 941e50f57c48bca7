"""What `explain` says of money that came right and wrong, on every real chain."""

from datetime import datetime

import pytest
from sqlalchemy import event as sqlalchemy_event

from tests.scenarios.world import Json, World
from tests.webhooks.receiver import Receiver, answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What no chain makes different; the other one has its turn in the long run.
on_one = pytest.mark.parametrize(
    "ground", ["solana", pytest.param("evm", marks=pytest.mark.long)], indirect=True
)


async def explained(world: World, path: str, role: str = "merchant") -> Json:
    await world.run("sequence")
    await world.app.state.request_log.flush()
    return await world.get(f"{path}/explain?lang=en", role)


async def of_session(world: World, session: Json, role: str = "merchant") -> Json:
    return await explained(world, f"/v1/checkout/sessions/{session['id']}", role)


def codes(found: Json, kind: str = "") -> list[str]:
    """Codes of the steps in their order, of one kind if it is named."""
    return [step["code"] for step in found["steps"] if kind in ("", step["kind"])]


def one(found: Json, code: str) -> Json:
    [step] = [step for step in found["steps"] if step["code"] == code]
    return dict(step)


def failing(step: Json) -> list[str]:
    return [rule["code"] for rule in step["rules"] if rule["passed"] is False]


def waits(found: Json) -> list[str]:
    return [wait["code"] for wait in found["waits"]]


async def test_an_open_session_tells_how_it_is_paid_and_until_when(world: World) -> None:
    session = await world.session(7_000, description="Two coffees")
    found = await of_session(world, session)
    assert found["of"] == {"object": "checkout_session", "id": session["id"]}
    assert (found["summary"]["code"], found["summary"]["reasons"]) == ("session.open", [])
    asked = one(found, "request.session")
    assert asked["values"]["description"] == "Two coffees"
    request = asked["values"]["request"]
    assert request["id"] == asked["values"]["request_id"]
    assert (request["method"], request["path"], request["status"]) == (
        "POST", "/v1/checkout/sessions", 201,
    )  # fmt: skip
    assert request["idempotency_key"].startswith("test-")
    assert request["idempotency_key"] in asked["text"]
    offer = one(found, "offer")
    assert offer["values"]["url"] == world.option(session)["url"]
    assert offer["values"]["recipient"] == world.place(session)
    [wait] = found["waits"]
    assert (wait["code"], wait["whose"], wait["until"]) == (
        "customer_pays", "customer", session["expires_at"],
    )  # fmt: skip


async def test_a_paid_session_tells_every_step_in_the_order_of_its_causes(world: World) -> None:
    session = await world.session()
    tx = await world.pay(session, 10_000)
    seen = await of_session(world, session)
    [payment] = (await world.read(session))["payments"]
    assert waits(seen) == ["block_final"]
    height = payment["height"]
    [wait] = seen["waits"]
    assert (wait["values"]["height"], wait["values"]["final_height"] < height) == (height, True)
    judged = one(seen, "payment.counted")
    assert failing(judged) == []
    assert [rule["code"] for rule in judged["rules"] if rule["result"] == "waiting"] == ["final"]
    await world.finalize()
    found = await of_session(world, session)
    assert codes(found) == [
        "request.session", "offer", "event.logged", "tx.sent", "payment.counted", "entry.pending",
        "event.logged", "event.logged", "entry.posted", "event.logged", "entry.posted",
        "event.logged",
    ]  # fmt: skip
    assert [step["values"]["type"] for step in found["steps"] if step["kind"] == "event"] == [
        "checkout.session.created", "payment.confirmed", "checkout.session.completed",
        "payment.final", "payment.captured",
    ]  # fmt: skip
    assert {rule["result"] for rule in one(found, "payment.counted")["rules"]} == {"pass"}
    sent = one(found, "tx.sent")["values"]
    assert (sent["tx"], sent["sender"]) == (tx, world.customer)
    assert sent["transaction"]["state"] == "final"
    moved = [act["values"].get("amount_units") for act in sent["transaction"]["acts"]]
    assert world.units(10_000) in moved
    assert waits(found) == ["settlement"]


@on_one
async def test_what_is_short_names_the_rule_and_what_is_missing(world: World) -> None:
    session = await world.session(expires_in_s=60)
    await world.pay(session, 4_000)
    await world.finalize()
    found = await of_session(world, session)
    [wait] = found["waits"]
    assert (wait["code"], wait["values"]["left_tiyn"]) == ("customer_pays_rest", 6_000)
    amount = next(r for r in one(found, "payment.counted")["rules"] if r["code"] == "amount")
    assert (amount["result"], amount["values"]["asked_tiyn"]) == ("waiting", 10_000)
    await world.expire()
    found = await of_session(world, session)
    assert (found["summary"]["code"], found["summary"]["reasons"]) == (
        "session.expired", ["underpaid"],
    )  # fmt: skip
    assert failing(one(found, "payment.underpaid")) == ["amount"]
    assert waits(found) == ["desk_refund"]


@on_one
async def test_what_is_too_much_counts_and_the_rest_waits_at_the_desk(world: World) -> None:
    session = await world.session()
    payer = await world.payer(12_500)
    tx = await world.pay(session, 12_500, payer)
    await world.finalize()
    found = await of_session(world, session)
    judged = one(found, "payment.overpaid")
    assert failing(judged) == ["not_too_much"]
    [stray] = await world.strays(tx)
    assert [(w["whose"], w["values"]["stray"]) for w in found["waits"] if "desk" in w["code"]] == [
        ("merchant", stray["id"])
    ]
    about = await explained(world, f"/v1/stray_transfers/{stray['id']}")
    assert (about["summary"]["code"], about["summary"]["reasons"]) == ("stray.open", ["overpaid"])


@on_one
async def test_late_money_fails_the_rule_of_time_and_may_be_accepted(world: World) -> None:
    session = await world.session(expires_in_s=30)
    await world.pass_time(60)
    tx = await world.pay(session, 10_000)
    await world.finalize()
    found = await of_session(world, session)
    judged = one(found, "payment.late")
    assert failing(judged) == ["in_time"]
    compared = next(r for r in judged["rules"] if r["code"] == "in_time")["values"]
    assert datetime.fromisoformat(compared["block_at"]) > datetime.fromisoformat(
        compared["expires_at"]
    )
    assert waits(found) == ["desk_accept"]
    [stray] = await world.strays(tx)
    answer = await world.post(f"/v1/stray_transfers/{stray['id']}/resolve", {"action": "accept"})
    assert answer.status_code == 200, answer.text
    found = await of_session(world, session)
    judged = one(found, "payment.late")
    assert failing(judged) == ["in_time"]
    assert judged["rules"][-2]["text"].startswith("Decided by a person")
    assert (judged["rules"][-2]["code"], judged["rules"][-2]["passed"]) == ("decided_by_hand", True)
    assert "desk_accept" not in waits(found)


@on_one
async def test_a_second_payment_is_a_duplicate_of_the_one_that_it_names(world: World) -> None:
    session = await world.session()
    await world.pay(session, 10_000)
    await world.finalize()
    await world.pay(session, 10_000)
    await world.finalize()
    read = await world.read(session)
    found = await of_session(world, session)
    judged = one(found, "payment.duplicate")
    assert failing(judged) == ["not_paid_already"]
    rule = next(r for r in judged["rules"] if r["code"] == "not_paid_already")
    assert rule["values"]["completed_by"] == read["payment"]["id"]
    alone = await explained(world, f"/v1/payments/{read['payment']['id']}")
    assert "payment.duplicate" not in codes(alone)
    assert one(alone, "payment.counted")["values"]["payment"] == read["payment"]["id"]


@on_one
async def test_money_for_a_canceled_session_fails_that_rule(world: World) -> None:
    session = await world.session()
    canceled = await world.post(f"/v1/checkout/sessions/{session['id']}/cancel", {})
    assert canceled.status_code == 200
    await world.pay(session, 10_000)
    await world.finalize()
    found = await of_session(world, session)
    assert failing(one(found, "payment.late")) == ["not_canceled"]


async def test_a_block_that_left_is_told_and_so_is_the_return(world: World) -> None:
    session = await world.session()
    await world.ground.mine(2)
    tx = await world.pay(session, 10_000)
    raw = await world.ground.raw(tx)
    await world.ground.reorg(1, "drop")
    await world.follow()
    lost = await of_session(world, session)
    assert lost["summary"]["reasons"] == ["reverted"]
    assert failing(one(lost, "payment.reverted")) == ["in_chain"]
    assert one(lost, "block.left")["fault"] is True
    assert set(waits(lost)) == {"customer_pays", "tx_returns"}
    assert "entry.voided" in codes(lost)
    # The chain itself does not know it any more.
    assert one(lost, "tx.unknown")["values"]["transaction"] is None
    await world.ground.resend(raw)
    await world.mine()
    await world.finalize()
    found = await of_session(world, session)
    assert found["summary"]["code"] == "session.complete"
    order = [c for c in codes(found) if c in ("tx.sent", "block.left", "payment.counted")]
    assert order == ["tx.sent", "block.left", "payment.counted"]
    judged = one(found, "payment.counted")
    assert (judged["values"]["inclusion"], failing(judged)) == (2, [])


async def test_a_refund_tells_who_asked_what_is_sent_and_when_it_is_final(world: World) -> None:
    payment = await world.captured(10_000)
    refund = await world.refund(payment, 4_000)
    path = f"/v1/refunds/{refund['id']}"
    due = await explained(world, path)
    assert (due["summary"]["code"], waits(due)) == ("refund.pending", ["order_due"])
    assert one(due, "request.refund")["values"]["amount_tiyn"] == 4_000
    await world.send_due()
    signed = await explained(world, path)
    assert waits(signed) == ["order_final"]
    await world.carry_out()
    done = await explained(world, path)
    assert (done["summary"]["code"], waits(done)) == ("refund.completed", [])
    orders = [code for code in codes(done) if code.startswith("order.")]
    assert orders == ["order.signed", "order.done"]
    sent = one(done, "order.signed")["values"]
    assert sent["transaction"]["state"] == "final"
    assert sent["tx"] == done["summary"]["values"]["tx"]


async def test_a_transfer_without_a_mark_fails_to_name_a_session(world: World) -> None:
    payer, treasury = await world.payer(700), world.ground.treasury
    tx = await world.ground.force(payer, treasury, world.units(700))
    await world.mine()
    await world.finalize()
    [stray] = await world.strays(tx)
    path = f"/v1/stray_transfers/{stray['id']}"
    found = await explained(world, path, "operator")
    judged = one(found, "stray.unmatched")
    assert failing(judged) == ["named"]
    assert [(wait["code"], wait["whose"]) for wait in found["waits"]] == [
        ("desk_unnamed", "operator")
    ]
    # It is no merchant's, so none of them finds it.
    mine = await world.http.get(
        f"{path}/explain", headers={"Authorization": f"Bearer {world.keys['merchant']}"}
    )
    assert mine.status_code == 404


async def test_another_token_fails_the_rule_of_the_token_and_cannot_be_sent_back(
    world: World,
) -> None:
    session = await world.session()
    token = await world.ground.other_token(world.customer)
    tx = await world.ground.send_other(world.customer, token, world.option(session), 777)
    await world.mine()
    await world.finalize()
    found = await of_session(world, session)
    judged = one(found, "stray.wrong_token")
    assert (failing(judged), judged["values"]["token"]) == (["token"], token)
    assert "desk_foreign" in waits(found)
    assert one(found, "tx.sent")["values"]["tx"] == tx


async def test_a_batch_tells_its_burn_the_bank_and_a_payout_that_comes_back(world: World) -> None:
    await world.captured(10_000)
    lost = {"fault": "bank.answer_lost", "times": 1}
    assert (await world.post("/v1/sandbox/faults", lost, "operator")).status_code == 200
    batch = await world.ask_settlement()
    path = f"/v1/settlements/{batch['id']}"
    asked = await explained(world, path)
    assert asked["summary"]["code"] == "settlement.pending"
    assert {"payout_burns"} <= set(waits(asked))
    assert {"order_due", "sweeps"} & set(waits(asked))
    settled = await world.settled(batch)
    found = await explained(world, path)
    told = codes(found)
    assert "order.done" in told
    again = told.index("bank.ordered_again")
    assert told.index("bank.ordered") < again < told.index("bank.accepted")
    assert one(found, "bank.ordered_again")["fault"] is True
    assert told.count("bank.accepted") == told.count("bank.ordered")
    assert {"payout_value_date", "fee_pending"} <= set(waits(found))
    assert (
        await world.post("/v1/sandbox/faults", {"fault": "bank.return"}, "operator")
    ).status_code == 200
    await world.pass_time(6 * 86_400)
    await world.bank()
    payout = settled["payout"]["id"]
    back = await explained(world, f"/v1/payouts/{payout}")
    assert back["summary"]["code"] == "payout.returned"
    assert one(back, "bank.returned")["fault"] is True
    assert [(w["code"], w["whose"]) for w in back["waits"]] == [("payout_held", "merchant")]
    # What it takes to recover is said, and done.
    assert "POST /v1/settlements" in back["waits"][0]["text"]
    await world.settled(await world.ask_settlement())
    await world.pass_time(6 * 86_400)
    await world.bank()
    again = await explained(world, f"/v1/payouts/{payout}")
    assert waits(again) == []
    await world.agrees()


@on_one
async def test_a_receiver_that_fails_is_named_with_the_next_attempt_and_then_with_its_success(
    world: World,
) -> None:
    async with Receiver() as receiver:
        receiver.answer = answer(503)
        made = await world.post(
            "/v1/webhook_endpoints",
            {"url": receiver.url, "types": ["checkout.session.created"]},
        )
        assert made.status_code == 201, made.text
        session = await world.session()
        await deliver(world)
        found = await of_session(world, session)
        sent = one(found, "webhook.retrying")
        assert (sent["fault"], sent["values"]["status"]) == (True, 503)
        wait = next(w for w in found["waits"] if w["code"] == "webhook_retry")
        assert wait["until"] == sent["values"]["next_at"]
        assert "HTTP 503" in wait["text"]
        receiver.answer = answer(200)
        await world.pass_time(10)
        await deliver(world)
        found = await of_session(world, session)
        sent = one(found, "webhook.delivered")
        assert (sent["fault"], sent["values"]["attempts"]) == (False, 2)
        first = one(found, "webhook.failed")
        assert (first["values"]["attempts"], first["values"]["status"]) == (1, 503)
        assert "webhook_retry" not in waits(found)
        lost = {"fault": "webhook.answer_lost"}
        assert (await world.post("/v1/sandbox/faults", lost, "operator")).status_code == 200
        session = await world.session()
        before = len(receiver.received)
        await deliver(world)
        sent = one(await of_session(world, session), "webhook.retrying")
        assert (sent["fault"], sent["values"]["error"]) == (True, "simulated: webhook.answer_lost")
        await world.pass_time(10)
        await deliver(world)
        found = await of_session(world, session)
        assert one(found, "webhook.failed")["fault"] is True
        assert one(found, "webhook.delivered")["fault"] is False
        assert len(receiver.received) - before == 2
        delivery = sent["values"]["delivery"]
        alone = await explained(world, f"/v1/webhook_deliveries/{delivery}")
        assert (alone["summary"]["code"], waits(alone)) == ("webhook_delivery.delivered", [])
        event = await explained(world, f"/v1/events/{sent['values']['event']}")
        assert codes(event) == [
            "request.object", "event.logged", "webhook.failed", "webhook.delivered",
        ]  # fmt: skip
        gone = await world.http.delete(
            f"/v1/webhook_endpoints/{made.json()['id']}",
            headers={"Authorization": f"Bearer {world.keys['merchant']}"},
        )
        assert gone.status_code == 200


async def deliver(world: World) -> None:
    await world.run("sequence")
    await world.run("webhooks")
    await world.run("deliveries")
    await world.wired.courier.drain()


@on_one
async def test_a_node_that_is_silent_is_said_and_the_rest_is_told(world: World) -> None:
    session = await world.session()
    await world.pay(session, 10_000)
    await world.door.shut()
    try:
        found = await of_session(world, session)
    finally:
        await world.door.reopen()
    assert one(found, "tx.silent")["values"]["transaction"] is None
    assert [note["code"] for note in found["notes"]] == ["chain_silent"]
    assert failing(one(found, "payment.counted")) == []


@on_one
async def test_a_merchant_sees_its_own_legs_and_numbers_and_the_operator_all_but_private(
    world: World,
) -> None:
    session = await world.session(description="Secret wish", client_reference_id="order-7")
    await world.pay(session, 10_000)
    await world.finalize()
    mine, theirs = await of_session(world, session), await of_session(world, session, "operator")
    legs = [leg["code"] for step in mine["steps"] for leg in step["values"].get("legs", ())]
    assert set(legs) == {f"suspense:{session['id']}", f"merchant:{session['merchant']}"}
    assert all(
        step["values"]["position"] is None and step["values"]["sequence"] > 0
        for step in mine["steps"] if step["kind"] == "event"
    )  # fmt: skip
    assert "Secret wish" in str(mine)
    assert "Secret wish" not in str(theirs)
    assert "order-7" not in str(theirs)
    assert f"treasury:{world.name}" in str(theirs) or f"dep:{world.name}:unswept" in str(theirs)
    assert all(link["url"] != "/v1/ledger/entries" for link in mine["links"])


@on_one
async def test_what_is_read_does_not_grow_with_the_payments(world: World) -> None:
    few, many = await world.session(), await world.session()
    await world.pay(few, 100)
    for n in range(6):
        await world.send(many, 101 + n)
    await world.mine()
    await world.finalize()
    assert await statements(world, few) == await statements(world, many) <= 16


@on_one
async def test_of_many_payments_and_failures_the_ends_and_what_decided_are_told(
    world: World,
) -> None:
    async with Receiver() as receiver:
        receiver.answer = answer(503)
        made = await world.post(
            "/v1/webhook_endpoints", {"url": receiver.url, "types": ["payment.confirmed"]}
        )
        session = await world.session(10_000)
        txs = [await world.send(session, 10 + n) for n in range(12)]
        txs.append(await world.send(session, 10_000 - sum(10 + n for n in range(12))))
        await world.mine()
        txs += [await world.send(session, 30 + n) for n in range(12)]
        await world.mine()
        await world.finalize()
        await deliver(world)
        for seconds in (6, 400, 2_000):
            await world.pass_time(seconds)
            await deliver(world)
        found = await of_session(world, session)
        gone = await world.http.delete(
            f"/v1/webhook_endpoints/{made.json()['id']}",
            headers={"Authorization": f"Bearer {world.keys['merchant']}"},
        )
        assert gone.status_code == 200
    judged = [step["values"]["tx"] for step in found["steps"] if step["kind"] == "judgement"]
    # The one in the middle completed the session.
    assert set(judged) == {*txs[:10], txs[12], *txs[-10:]}
    cut = {note["values"]["what"]: note for note in found["notes"]}
    assert cut["payments"]["values"]["total"] == len(txs)
    assert cut["payments"]["values"]["where"] == f"/v1/checkout/sessions/{session['id']}"
    assert f"/v1/checkout/sessions/{session['id']}" in cut["payments"]["text"]
    # Chains are asked about a few; of the others nobody says that their chain is silent.
    assert {"tx.sent", "tx.stored"} <= set(codes(found))
    assert "tx.silent" not in codes(found)
    counted = next(w for w in found["waits"] if w["code"] == "settlement")
    assert counted["values"]["count"] == 13
    retries = [w for w in found["waits"] if w["code"] == "webhook_retry"]
    others = next(w for w in found["waits"] if w["code"] == "more_until")
    confirmed = sum(step["code"] == "webhook.retrying" for step in found["steps"])
    assert (len(retries), others["values"]["count"]) == (3, confirmed - 3)
    assert others["until"] >= max(w["until"] for w in retries)
    more = [step for step in found["steps"] if step["code"] == "webhook.failed_more"]
    assert {step["values"]["count"] for step in more} == {2}


async def statements(world: World, session: Json) -> int:
    """How many statements an explanation takes, with its authentication."""
    await world.run("sequence")
    counted: list[str] = []

    def count(connection: object, cursor: object, statement: str, *more: object) -> None:
        counted.append(statement)

    engine = world.database.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", count)
    try:
        await world.get(f"/v1/checkout/sessions/{session['id']}/explain")
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", count)
    return len(counted)


async def asked(world: World, session: Json, tx: str) -> Json:
    """Why this transaction pays the session, or not."""
    path = f"/v1/checkout/sessions/{session['id']}/explain?lang=en&tx={tx}"
    return await world.get(path)


async def test_a_transaction_that_pays_a_stranger_fails_the_rule_of_the_recipient(
    world: World,
) -> None:
    session, stranger = await world.session(), await world.ground.payer()
    tx = await world.ground.force(world.customer, stranger, world.units(10_000))
    await world.mine()
    found = await asked(world, session, tx)
    judged = one(found, "lookup.not_paid")
    assert failing(judged) == ["recipient"]
    rule = next(r for r in judged["rules"] if r["code"] == "recipient")
    assert rule["values"]["found"] == stranger
    assert rule["values"]["expected"] == world.place(session)


async def test_a_transaction_that_failed_says_why_it_moved_nothing(world: World) -> None:
    session, poor = await world.session(), await world.payer(100)
    tx = await world.ground.force(poor, world.place(session), world.units(10_000))
    await world.mine()
    found = await asked(world, session, tx)
    judged = one(found, "lookup.not_paid")
    assert failing(judged) == ["happened"]
    assert "insufficient funds" in judged["rules"][-1]["text"]
    assert one(found, "tx.failed")["values"]["error"] == "insufficient funds"


async def test_a_transaction_for_another_session_does_not_name_this_one(world: World) -> None:
    session, other = await world.session(), await world.session()
    tx = await world.pay(other, 10_000)
    found = await asked(world, session, tx)
    judged = one(found, "lookup.not_paid")
    assert set(failing(judged)) <= {"named", "recipient"}
    assert failing(judged)
    assert other["id"] not in str(judged["values"])
    paid = await asked(world, other, tx)
    assert failing(one(paid, "payment.counted")) == []
    assert not [code for code in codes(paid) if code.startswith("lookup.")]


@on_one
async def test_a_transaction_of_another_network_is_known_to_no_chain(world: World) -> None:
    session = await world.session()
    for tx in ("0x" + "ab" * 32, "5" * 88, "nothing of the kind"):
        found = await asked(world, session, tx)
        assert failing(one(found, "lookup.unknown")) == ["known"]


@on_one
async def test_coin_for_a_stranger_fails_the_rule_of_the_token(world: World) -> None:
    session, stranger = await world.session(), await world.ground.payer()
    tx = await world.ground.send_coin(world.customer, stranger, 5_000_000)
    await world.mine()
    assert failing(one(await asked(world, session, tx), "lookup.not_paid")) == ["token"]


@pytest.mark.parametrize("ground", ["evm"], indirect=True)
async def test_money_sent_to_the_token_contract_is_explained_as_refused_by_it(
    world: World,
) -> None:
    session, payer = await world.session(), await world.payer(10_000)
    token: str = world.option(session)["token"]
    tx = await world.ground.force(payer, token, world.units(10_000))
    await world.mine()
    judged = one(await asked(world, session, tx), "lookup.not_paid")
    assert failing(judged) == ["happened"]
    assert "frozen" in judged["rules"][-1]["text"]
