import asyncio

import pytest

from sandbox.webhooks import fanout, service
from sandbox.webhooks.errors import TooManyEndpoints
from tests.webhooks.conftest import World

URL = "http://127.0.0.1:9/hooks"


async def test_a_merchant_has_a_bounded_number_of_endpoints(world: World) -> None:
    for _ in range(service.MAX_ENDPOINTS):
        await world.endpoint(URL)
    with pytest.raises(TooManyEndpoints):
        await world.endpoint(URL)
    await world.endpoint(URL, "mch_2")


async def test_nothing_is_made_for_other_merchants_or_unwanted_types(world: World) -> None:
    mine = await world.endpoint(URL, "mch_1", ("payment.final", "refund.*"))
    await world.facts(1, "mch_2")
    await world.facts(1, None)
    await world.facts(1, "mch_1", "payment.captured")
    await world.facts(1, "mch_1", "payment_final")
    [wanted] = await world.facts(1, "mch_1", "payment.final")
    [grouped] = await world.facts(1, "mch_1", "refund.completed")
    found = await world.rows("SELECT endpoint, event_id FROM webhook_delivery ORDER BY id")
    assert [tuple(row) for row in found] == [(mine.id, wanted), (mine.id, grouped)]


async def test_an_endpoint_sees_events_from_its_creation_on(world: World) -> None:
    await world.sequenced(3)
    await world.endpoint(URL)
    later = await world.facts(2)
    found = await world.rows("SELECT event_id FROM webhook_delivery ORDER BY id")
    assert [row.event_id for row in found] == later


async def test_a_disabled_or_deleted_endpoint_gets_nothing_more(world: World) -> None:
    off = await world.endpoint(URL)
    deleted = await world.endpoint(URL)
    await world.facts(1)
    await world.run(f"UPDATE webhook_endpoint SET status = 'disabled' WHERE id = '{off.id}'")
    async with world.database.transaction() as db:
        await service.delete_endpoint(db, deleted.id, "mch_1")
    await world.facts(1)
    found = await world.rows("SELECT endpoint, status FROM webhook_delivery ORDER BY endpoint")
    expected = sorted([(off.id, "pending"), (deleted.id, "canceled")])
    assert [tuple(row) for row in found] == expected


async def test_many_workers_make_one_delivery_per_event_and_endpoint(world: World) -> None:
    await world.endpoint(URL)
    await world.endpoint(URL)
    ids = await world.sequenced(120)

    async def worker() -> int:
        return sum([await fanout.step(world.database, batch=7) for _ in range(20)])

    read = await asyncio.gather(*(worker() for _ in range(4)))
    while await fanout.step(world.database, batch=7):
        pass
    assert sum(read) <= 120
    found = await world.rows("SELECT event_id, count(*) AS n FROM webhook_delivery GROUP BY 1")
    assert {row.event_id: row.n for row in found} == dict.fromkeys(ids, 2)


async def test_what_is_not_read_or_not_sent_is_named_as_busy(world: World) -> None:
    await world.endpoint(URL)
    await world.sequenced(2)
    assert await world.busy() == ["2 events are not turned into deliveries yet"]
    while await fanout.step(world.database):
        pass
    assert await world.busy() == ["2 webhook deliveries are due"]
    await world.run("UPDATE webhook_delivery SET next_attempt_at = sandbox_now() + interval '1 s'")
    assert await world.busy() == []
