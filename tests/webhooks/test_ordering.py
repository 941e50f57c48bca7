"""`ordering: per_object`: one object's events arrive in their order, others wait for nobody."""

from typing import Any

import pytest

from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.ids import new_id
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.subject import subject_of
from sandbox.eventlog.types import NewEvent
from sandbox.webhooks.jobs import Courier
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Received, Receiver, answer


@pytest.mark.parametrize(
    ("data", "subject"),
    [
        ({"object": "checkout_session", "id": "cs_1", "payment": {"id": "pay_1"}}, "cs_1"),
        ({"object": "payment", "id": "pay_1", "session": "cs_1", "settlement": None}, "cs_1"),
        ({"object": "refund", "id": "re_1", "payment": "pay_1"}, "pay_1"),
        ({"object": "refund", "id": "re_2", "payment": None, "stray_transfer": "str_1"}, "str_1"),
        ({"object": "stray_transfer", "id": "str_1", "session": None, "payment": None}, "str_1"),
        ({"object": "payout", "id": "po_1", "settlement": "stl_1"}, "stl_1"),
        ({"reason": "i1"}, "minting.halted"),
    ],
)
def test_what_belongs_together_has_one_subject(data: dict[str, Any], subject: str) -> None:
    assert subject_of("minting.halted", data) == subject


async def told(world: World, *sessions: str) -> list[str]:
    """One event of a payment of each session, in this order."""
    async with world.database.transaction() as db:
        now = await clock.now(db)
        events = [
            NewEvent(
                new_id("evt", now),
                "payment.final",
                now,
                {"object": "payment", "id": f"pay_{number}", "session": session},
                "mch_1",
            )
            for number, session in enumerate(sessions)
        ]
        await eventlog.append_many(db, events, {})
    await world.facts(0)
    return [f"e1_{event.id}" for event in events]


class Picky:
    """Answers 500 to some webhook ids."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    async def __call__(self, request: Received) -> bytes:
        status = 500 if request.headers["webhook-id"] in self.refused else 200
        return await answer(status)(request)


async def carry(courier: Courier) -> None:
    while await courier.step():
        await courier.drain()


async def advance(database: Database, seconds: int) -> None:
    async with database.transaction() as db:
        await clock.advance(db, seconds)


@pytest.fixture
async def picky(receiver: Receiver, database: Database) -> Picky:
    receiver.answer = picky = Picky()
    async with database.transaction() as db:
        await clock.freeze(db, True)
    return picky


async def test_an_event_waits_for_the_one_before_it_and_no_other_object_or_endpoint_does(
    world: World, receiver: Receiver, courier: Courier, database: Database, picky: Picky
) -> None:
    ordered = await world.endpoint(receiver.url, ordering="per_object")
    async with Receiver() as other:
        await world.endpoint(other.url, ordering="per_object")
        one, two, elsewhere = await told(world, "cs_1", "cs_1", "cs_2")
        picky.refused = {one}
        await carry(courier)
        assert receiver.ids == [one, elsewhere]
        assert other.ids[0] == one
        assert sorted(other.ids) == sorted([one, two, elsewhere])
    assert await world.busy() == []
    picky.refused = set()
    await advance(database, 5)
    await carry(courier)
    assert receiver.ids == [one, elsewhere, one, two]
    found = await world.rows(
        f"SELECT subject, out_of_order FROM webhook_delivery WHERE endpoint = '{ordered.id}'"
        " ORDER BY position"
    )
    assert [tuple(row) for row in found] == [("cs_1", False), ("cs_1", False), ("cs_2", False)]


async def test_events_of_one_object_never_overtake_whatever_fails(
    world: World, receiver: Receiver, courier: Courier, database: Database, picky: Picky
) -> None:
    await world.endpoint(receiver.url, ordering="per_object")
    ids = await told(world, *["cs_1"] * 5, *["cs_2"] * 5)
    delivered: list[str] = []
    for turn in range(12):
        picky.refused = set(ids[turn % 3 :: 3]) if turn < 2 else set()
        before = len(receiver.received)
        await carry(courier)
        delivered += [id_ for id_ in receiver.ids[before:] if id_ not in picky.refused]
        await advance(database, 301)
    assert [id_ for id_ in delivered if id_ in ids[:5]] == ids[:5]
    assert [id_ for id_ in delivered if id_ in ids[5:]] == ids[5:]


async def test_order_is_given_up_after_an_hour_and_the_delivery_says_so(
    world: World, receiver: Receiver, courier: Courier, database: Database, picky: Picky
) -> None:
    await world.endpoint(receiver.url, ordering="per_object")
    poison, behind = await told(world, "cs_1", "cs_1")
    picky.refused = {poison}
    for seconds in (0, 5, 300, 1_800):
        await advance(database, seconds)
        await carry(courier)
    assert behind not in receiver.ids
    await advance(database, 3_600 - 5 - 300 - 1_800)
    await carry(courier)
    assert receiver.ids[-1] == behind
    found = await world.rows(
        "SELECT status, out_of_order, last_attempt_at - created_at AS after FROM webhook_delivery"
        " ORDER BY position"
    )
    assert [(row.status, row.out_of_order) for row in found] == [
        ("pending", False),
        ("delivered", True),
    ]
    assert found[1].after.total_seconds() == 3_600


async def test_a_far_move_of_the_clock_keeps_the_order_and_the_moments(
    world: World, receiver: Receiver, courier: Courier, database: Database, picky: Picky
) -> None:
    await world.endpoint(receiver.url, ordering="per_object")
    one, two, three = await told(world, "cs_1", "cs_1", "cs_1")
    picky.refused = {one}
    await carry(courier)
    assert receiver.ids == [one]
    picky.refused = set()
    await advance(database, 76 * 3_600)
    await carry(courier)
    assert receiver.ids == [one, one, two, three]
    found = await world.rows(
        "SELECT out_of_order, last_attempt_at - created_at AS after FROM webhook_delivery"
        " ORDER BY position"
    )
    assert not any(row.out_of_order for row in found)
    assert all(4.5 <= row.after.total_seconds() <= 5 for row in found)
