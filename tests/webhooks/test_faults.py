"""Attempts that are lost on their way, and answers that are: each is made again."""

from sandbox.core import switches
from sandbox.core.db import Database
from sandbox.webhooks import checks, faults
from sandbox.webhooks.jobs import Courier
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_retries import advance, carry, freeze, shown


async def switch(database: Database, name: str, times: int = 1) -> None:
    async with database.transaction() as db:
        await switches.arm(db, name, times)


async def test_a_lost_attempt_reaches_nobody_and_is_made_again(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    await world.endpoint(receiver.url)
    await freeze(database)
    await switch(database, faults.REQUEST_LOST)
    await world.facts(1)
    await carry(courier)
    assert receiver.received == []
    await advance(database, 5)
    await carry(courier)
    assert len(receiver.received) == 1
    [found] = await shown(world)
    made = [(one["status"], one["error"]) for one in found["attempts_made"]]
    assert made == [(None, "simulated: webhook.request_lost"), (200, None)]
    assert found["status"] == "delivered"


async def test_what_was_taken_without_an_answer_comes_twice_under_one_id(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    await world.endpoint(receiver.url)
    await freeze(database)
    await switch(database, faults.ANSWER_LOST)
    await world.facts(1)
    await carry(courier)
    assert len(receiver.received) == 1
    await advance(database, 5)
    await carry(courier)
    first, again = receiver.received
    assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
    [found] = await shown(world)
    made = [(one["status"], one["error"]) for one in found["attempts_made"]]
    assert made == [(None, "simulated: webhook.answer_lost"), (200, None)]


async def test_so_many_attempts_are_struck_as_were_asked_for_and_no_more(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    await world.endpoint(receiver.url)
    await freeze(database)
    await switch(database, faults.REQUEST_LOST, 2)
    await switch(database, faults.ANSWER_LOST, 1)
    await world.facts(5)
    await carry(courier)
    assert len(receiver.received) == 3
    async with database.transaction() as db:
        assert set((await switches.left(db, faults.MEANINGS)).values()) == {0}
    await advance(database, 5)
    await carry(courier)
    assert len(receiver.received) == 6
    assert len(set(receiver.ids)) == 5
    assert {one["status"] for one in await shown(world)} == {"delivered"}
    async with database.transaction() as db:
        assert [
            check.detail for check in await checks.deliveries_are_whole(db) if not check.ok
        ] == []


async def test_a_failure_that_is_switched_off_strikes_nobody(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    await world.endpoint(receiver.url)
    await switch(database, faults.REQUEST_LOST, 9)
    await switch(database, faults.REQUEST_LOST, 0)
    await world.facts(2)
    await carry(courier)
    assert len(receiver.received) == 2
