"""75 hours of retries when the clock is moved over all of them at once, and what comes of them."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.webhooks import deliveries
from sandbox.webhooks.jobs import Courier
from sandbox.webhooks.outcomes import GIVEN_UP_IN_A_ROW
from sandbox.webhooks.schedule import DELAYS_S
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Receiver, answer

LONG_S = 76 * 3_600
DEAD = "http://127.0.0.1:9/closed"


async def carry(courier: Courier) -> None:
    while await courier.step():
        await courier.drain()


async def advance(database: Database, seconds: int) -> None:
    async with database.transaction() as db:
        await clock.advance(db, seconds)


async def freeze(database: Database) -> None:
    async with database.transaction() as db:
        await clock.freeze(db, True)


async def shown(world: World) -> list[dict[str, Any]]:
    rows = await world.rows("SELECT id FROM webhook_delivery ORDER BY position")
    async with world.database.transaction() as db:
        return [await deliveries.delivery(db, row.id, "mch_1") for row in rows]


@pytest.mark.parametrize("is_frozen", [True, False])
async def test_every_attempt_of_75_hours_is_made_in_order_at_its_own_moment(
    world: World, courier: Courier, database: Database, is_frozen: bool
) -> None:
    await world.endpoint(DEAD)
    if is_frozen:
        await freeze(database)
    await world.facts(3)
    await carry(courier)
    await advance(database, LONG_S)
    assert await world.busy() == ["3 webhook deliveries are due"]
    await carry(courier)
    assert await world.busy() == []
    for found in await shown(world):
        assert (found["status"], found["attempts"]) == ("exhausted", len(DELAYS_S))
        made = found["attempts_made"]
        assert [one["number"] for one in made] == list(range(1, len(DELAYS_S) + 1))
        moments = [datetime.fromisoformat(one["at"]) for one in made]
        for delay_s, before, after in zip(DELAYS_S[1:], moments[:-1], moments[1:], strict=True):
            # What the machine takes in between counts too, unless time stands still.
            late_s = 0.002 if is_frozen else 20
            assert delay_s * 0.9 <= (after - before).total_seconds() <= delay_s + late_s
        assert all(one["error"].startswith("ConnectionRefusedError") for one in made)
        assert found["last_attempt_at"] == made[-1]["at"]


async def test_what_a_receiver_takes_again_keeps_the_moment_at_which_it_was_due(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    await world.endpoint(receiver.url)
    await freeze(database)
    await world.facts(1)
    receiver.answer = answer(503)
    await carry(courier)
    receiver.answer = answer(200, "thanks")
    await advance(database, LONG_S)
    await carry(courier)
    [found] = await shown(world)
    first, second = found["attempts_made"]
    assert (first["status"], second["status"], second["response_head"]) == (503, 200, "thanks")
    wait = datetime.fromisoformat(second["at"]) - datetime.fromisoformat(first["at"])
    assert timedelta(seconds=4.5) <= wait <= timedelta(seconds=5)


async def test_a_worker_that_was_away_tries_no_more_often_than_the_schedule_says(
    world: World, courier: Courier, database: Database
) -> None:
    await world.endpoint(DEAD)
    await world.facts(1)
    await carry(courier)
    # Two hours pass on the wall, in which no worker ran: the clock was not moved.
    await world.run(
        "UPDATE webhook_delivery SET next_attempt_at = next_attempt_at - interval '2 hours'"
    )
    await carry(courier)
    [found] = await shown(world)
    assert found["attempts"] == 2
    async with database.transaction() as db:
        now = await clock.now(db)
    made = datetime.fromisoformat(found["attempts_made"][1]["at"])
    assert now - made < timedelta(seconds=20)


async def test_an_endpoint_at_which_all_is_given_up_is_disabled_and_its_owner_is_told(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    dead = await world.endpoint(DEAD, types=("payment.final",))
    await world.endpoint(receiver.url, types=("webhook_endpoint.*",))
    await freeze(database)
    for number in range(GIVEN_UP_IN_A_ROW):
        [row] = await world.rows(f"SELECT status FROM webhook_endpoint WHERE id = '{dead.id}'")
        assert row.status == "active", number
        await world.facts(1)
        await advance(database, LONG_S)
        await carry(courier)
        await carry(courier)
    [row] = await world.rows(
        f"SELECT status, status_reason FROM webhook_endpoint WHERE id = '{dead.id}'"
    )
    assert tuple(row) == ("disabled", "failing")
    await world.facts(0)
    await carry(courier)
    [request] = receiver.received
    assert b'"webhook_endpoint.disabled"' in request.body
    assert dead.id.encode() in request.body
    assert b"secret" not in request.body.replace(b'"previous_secret_until"', b"")


async def test_one_success_forgets_the_failures_before_it(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    await world.endpoint(receiver.url)
    await freeze(database)
    for status in (*[500] * (GIVEN_UP_IN_A_ROW - 1), 200, 500):
        receiver.answer = answer(status)
        await world.facts(1)
        await advance(database, LONG_S)
        await carry(courier)
    [row] = await world.rows("SELECT status, failing FROM webhook_endpoint")
    assert tuple(row) == ("active", 1)
