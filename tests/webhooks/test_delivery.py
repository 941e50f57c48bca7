import asyncio
import sys
from datetime import UTC, datetime

import orjson
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from sandbox.core import chance, clock
from sandbox.core.api_version import LATEST
from sandbox.core.db import Database
from sandbox.webhooks import deliveries, jobs, sending, service
from sandbox.webhooks.jobs import Courier
from sandbox.webhooks.schedule import DELAYS_S
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Received, Receiver, answer, silence


async def carry(courier: Courier) -> int:
    """Everything that is due, to its end."""
    started = 0
    while count := await courier.step():
        started += count
        await courier.drain()
    return started


async def the_delivery(world: World) -> object:
    [row] = await world.rows("SELECT * FROM webhook_delivery")
    return deliveries.delivery_object(row)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 400, 401, 404, 429, 500, 503])
async def test_only_2xx_counts_and_no_redirect_is_followed(
    world: World, receiver: Receiver, courier: Courier, status: int
) -> None:
    await world.endpoint(receiver.url)
    receiver.answer = answer(status, "no", f"Location: {receiver.url}")
    await world.facts(1)
    assert await carry(courier) == 1
    assert len(receiver.received) == 1
    found = await the_delivery(world)
    assert isinstance(found, dict)
    assert (found["status"], found["attempts"], found["last_status"]) == ("pending", 1, status)
    assert found["response_head"] == "no"


async def test_a_private_address_is_not_connected_to_though_the_row_names_it(
    world: World, receiver: Receiver, database: Database
) -> None:
    await world.endpoint(receiver.url)
    await world.facts(1)
    strict = Courier(database, "strict", allow_loopback=False)
    assert await strict.step() == 1
    await strict.drain()
    await strict.close()
    assert receiver.received == []
    [row] = await world.rows("SELECT status, last_error FROM webhook_delivery")
    assert row.status == "pending"
    assert "127.0.0.1 is this machine" in row.last_error


async def test_410_disables_the_endpoint_and_cancels_what_was_on_its_way(
    world: World, receiver: Receiver, courier: Courier
) -> None:
    endpoint = await world.endpoint(receiver.url)
    await world.facts(1)
    await world.run("UPDATE webhook_delivery SET next_attempt_at = sandbox_now() + interval '1 h'")
    await world.facts(1)
    receiver.answer = answer(410)
    assert await carry(courier) == 1
    [row] = await world.rows("SELECT id, status, status_reason FROM webhook_endpoint")
    assert tuple(row) == (endpoint.id, "disabled", "gone")
    found = await world.rows("SELECT status, last_status FROM webhook_delivery ORDER BY id")
    assert [tuple(row) for row in found] == [("canceled", None), ("canceled", 410)]


async def test_a_receiver_that_never_answers_or_is_not_there_fails_the_attempt(
    world: World, receiver: Receiver, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.3)
    receiver.answer = silence
    await world.endpoint(receiver.url)
    await world.endpoint("http://127.0.0.1:9/closed")
    await world.facts(1)
    assert await carry(courier) == 2
    found = await world.rows("SELECT status, last_status, last_error FROM webhook_delivery")
    assert {(row.status, row.last_status) for row in found} == {("pending", None)}
    errors = sorted(row.last_error for row in found)
    assert errors[0].startswith("ConnectionRefusedError")
    assert errors[1].startswith("no answer within")


async def test_a_silent_receiver_does_not_hold_up_another(
    world: World, receiver: Receiver, courier: Courier
) -> None:
    async with Receiver(silence) as silent:
        await world.endpoint(silent.url, "mch_1")
        await world.endpoint(receiver.url, "mch_2")
        await world.facts(40, "mch_1")
        await world.facts(3, "mch_2")
        async with asyncio.timeout(10):
            while len(receiver.received) < 3:
                await courier.step()
                await asyncio.sleep(0.01)
        assert len(silent.received) <= jobs.PER_ENDPOINT
        await courier.close()


async def test_many_silent_receivers_do_not_hold_up_one_that_answers(
    world: World, receiver: Receiver, courier: Courier
) -> None:
    async with Receiver(silence) as silent:
        for _ in range(2 * jobs.SLOTS // jobs.PER_ENDPOINT):
            await world.endpoint(silent.url)
        await world.endpoint(receiver.url)
        sent = await world.facts(40)
        async with asyncio.timeout(10):
            while len(receiver.received) < len(sent):
                await courier.step()
                await asyncio.sleep(0.02)
        assert len(silent.received) <= jobs.SLOW_SLOTS
        await courier.close()


async def test_with_a_seed_one_attempt_follows_the_other_and_their_outcomes_are_written_at_once(
    world: World, receiver: Receiver, courier: Courier
) -> None:
    asking, most = 0, 0

    async def counted(request: Received) -> bytes:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        await asyncio.sleep(0)  # another one could come in
        asking -= 1
        return await answer(500)(request)

    receiver.answer = counted
    await world.endpoint(receiver.url)
    sent = await world.facts(5)
    chance.sow(7)
    try:
        assert await courier.step() == 5
        await courier.drain()
    finally:
        chance.sow(None)
    assert (most, receiver.ids) == (1, [service.webhook_id(1, id_) for id_ in sent])
    [row] = await world.rows("SELECT count(*), count(DISTINCT xmin::text) FROM webhook_attempt")
    assert tuple(row) == (5, 1)


@pytest.mark.parametrize("answers_promptly", [True, False])
async def test_what_one_merchant_has_queued_does_not_hold_up_another(
    world: World, receiver: Receiver, courier: Courier, answers_promptly: bool
) -> None:
    async with Receiver(answer(200)) as slow:
        for _ in range(2 * jobs.SLOTS // jobs.PER_ENDPOINT):
            await world.endpoint(slow.url, "mch_1")
        await world.endpoint(receiver.url, "mch_2")
        if answers_promptly:
            await world.facts(1, "mch_1")
            await carry(courier)
        # From here on it takes its time, as long as it likes.
        slow.answer = silence
        before = len(slow.received)
        await world.facts(2 * jobs.PER_ENDPOINT, "mch_1")
        for _ in range(2 * jobs.SLOTS // jobs.PER_ENDPOINT):
            await courier.step()
        taken = jobs.PROMPT_PER_MERCHANT if answers_promptly else jobs.SLOW_PER_MERCHANT
        assert sum(courier._per_endpoint.values()) == taken
        await world.facts(3, "mch_2")
        async with asyncio.timeout(10):
            while len(receiver.received) < 3:
                await courier.step()
                await asyncio.sleep(0.01)
        assert len(slow.received) - before <= taken
        await courier.close()


async def test_an_answer_is_read_up_to_its_head_only(
    world: World, receiver: Receiver, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "HEAD_TIMEOUT_S", 0.2)

    async def endless(request: Received) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"\0ab" * 100_000

    async def dripping(request: Received) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nshort"

    for give, head in ((endless, "\ufffdab" * 683), (dripping, "short")):
        receiver.answer = give
        await world.endpoint(receiver.url)
        await world.facts(1)
        await carry(courier)
        [row] = await world.rows(
            "SELECT status, response_head FROM webhook_delivery ORDER BY id DESC LIMIT 1"
        )
        assert row.status == "delivered"
        assert row.response_head == head[: sending.HEAD_CHARACTERS]
        await world.run("UPDATE webhook_endpoint SET status = 'disabled'")


async def test_an_outcome_is_not_written_after_the_lease_was_lost(
    world: World, receiver: Receiver, courier: Courier
) -> None:
    await world.endpoint(receiver.url)
    await world.facts(1)

    async def late(request: Received) -> bytes:
        await world.run("UPDATE webhook_delivery SET lease_owner = 'another'")
        return await answer(200)(request)

    receiver.answer = late
    assert await courier.step() == 1
    await courier.drain()
    [row] = await world.rows("SELECT status, attempts, lease_owner FROM webhook_delivery")
    assert tuple(row) == ("pending", 0, "another")


async def test_a_leased_delivery_is_not_claimed_twice(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    receiver.answer = silence
    await world.endpoint(receiver.url)
    await world.facts(1)
    other = Courier(database, "other", allow_loopback=True)
    assert [await courier.step(), await other.step(), await courier.step()] == [1, 0, 0]
    await other.close()


async def test_after_kill_9_the_delivery_is_made_again_with_the_same_id(
    world: World, receiver: Receiver, courier: Courier, db_url: str
) -> None:
    receiver.answer = silence
    await world.endpoint(receiver.url)
    [event_id] = await world.facts(1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.webhooks.carrying", db_url
    )
    try:
        async with asyncio.timeout(30):
            while not receiver.received:
                await asyncio.sleep(0.02)
    finally:
        process.kill()
        await process.wait()
    assert await courier.step() == 0
    await world.run("UPDATE webhook_delivery SET lease_until = clock_timestamp()")
    receiver.answer = answer(204)
    assert await carry(courier) == 1
    assert receiver.ids == [f"e1_{event_id}"] * 2
    first, second = (request.body for request in receiver.received)
    assert first == second
    [row] = await world.rows("SELECT status, attempts FROM webhook_delivery")
    assert tuple(row) == ("delivered", 1)


async def test_ten_attempts_follow_the_sandbox_clock_and_then_it_gives_up(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    receiver.answer = answer(500)
    await world.endpoint(receiver.url)
    [event_id] = await world.facts(1)
    async with database.transaction() as db:
        await clock.freeze(db, True)
    for attempt, delay_s in enumerate(DELAYS_S):
        if attempt:
            [row] = await world.rows(
                "SELECT next_attempt_at - last_attempt_at AS wait,"
                " next_attempt_at - sandbox_now() AS left_ FROM webhook_delivery"
            )
            assert delay_s * 0.9 <= row.wait.total_seconds() <= delay_s
            left_s = int(row.left_.total_seconds())
            async with database.transaction() as db:
                await clock.advance(db, left_s)
            assert await carry(courier) == 0
            async with database.transaction() as db:
                await clock.advance(db, 1)
        assert await carry(courier) == 1
        [row] = await world.rows("SELECT attempts, status FROM webhook_delivery")
        assert row.attempts == attempt + 1
    assert row.status == "exhausted"
    async with database.transaction() as db:
        await clock.advance(db, 30 * 86_400)
    assert await carry(courier) == 0
    assert receiver.ids == [f"e1_{event_id}"] * 10
    assert await world.busy() == []


async def test_retry_after_postpones_the_next_attempt(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    receiver.answer = answer(429, "", "Retry-After: 600")
    await world.endpoint(receiver.url)
    await world.facts(1)
    async with database.transaction() as db:
        await clock.freeze(db, True)
    await carry(courier)
    [row] = await world.rows(
        "SELECT next_attempt_at - last_attempt_at AS wait FROM webhook_delivery"
    )
    assert 600 <= row.wait.total_seconds() < 660


async def test_a_receiver_verifies_the_body_as_it_came_and_sees_its_own_event_whole(
    world: World, receiver: Receiver, courier: Courier
) -> None:
    endpoint = await world.endpoint(receiver.url)
    [event_id] = await world.facts(1)
    await carry(courier)
    [request] = receiver.received
    webhook = Webhook(endpoint.secret)
    event = webhook.verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        webhook.verify(request.body + b" ", request.headers)
    created = event["created"]
    assert event == {
        "object": "event",
        "id": event_id,
        "type": "payment.final",
        "created": created,
        "timestamp": created,
        "epoch": 1,
        "position": None,
        "sequence": 1,
        "api_version": LATEST,
        "data": {"object": "payment", "amount_units": 0, "description": "note 0"},
    }
    assert request.headers["webhook-id"] == f"e1_{event_id}"
    assert request.path == "/hooks?shop=1"
    assert request.headers["host"] == receiver.url.split("/")[2]
    assert request.headers["content-type"] == "application/json"
    sent = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    assert abs((datetime.now(UTC) - sent).total_seconds()) < 30
    found = await the_delivery(world)
    assert isinstance(found, dict)
    assert (found["status"], found["last_status"], found["response_head"]) == (
        "delivered",
        200,
        "thanks",
    )


async def test_each_attempt_is_signed_anew_in_wall_time_whatever_the_sandbox_clock_says(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    endpoint = await world.endpoint(receiver.url)
    async with database.transaction() as db:
        await clock.advance(db, 40 * 86_400)
    await world.facts(1)
    await carry(courier)
    event = Webhook(endpoint.secret).verify(receiver.received[0].body, receiver.received[0].headers)
    assert orjson.loads(receiver.received[0].body) == event
