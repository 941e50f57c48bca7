"""One verb for getting events again: by id, by type and time, by sequence, anywhere."""

from typing import Any

import pytest

from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.webhooks import deliveries, resending
from sandbox.webhooks.jobs import Courier
from tests.webhooks.asking import Api
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Receiver, answer

PATH = "/v1/events/resend"
SPAN = {"from": "2026-11-20T06:00:00Z", "to": "2026-11-20T05:00:00Z"}


async def carry(courier: Courier) -> None:
    while await courier.step():
        await courier.drain()


async def resent(api: Api, **body: Any) -> dict[str, Any]:
    made = await api.ask("m1", PATH, **body)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "resend_unclear"),
        ({"endpoint": "we_1"}, 422, "resend_unclear"),
        ({"events": ["evt_1"], "type": "*"}, 422, "resend_unclear"),
        ({"type": "*", "after_sequence": 1}, 422, "resend_unclear"),
        (SPAN, 422, "resend_unclear"),
        ({"events": []}, 422, "invalid_request"),
        ({"from": "yesterday"}, 422, "invalid_request"),
        ({"from": "2026-11-20T06:00:00"}, 422, "invalid_request"),
        ({"from": "0001-01-01T00:00:00+14:00"}, 422, "invalid_request"),
        ({"after_sequence": 2**63}, 422, "invalid_request"),
        ({"type": "%"}, 422, "bad_event_type"),
        ({"events": ["evt_1"]}, 404, "not_found"),
        ({"type": "*", "endpoint": "we_1"}, 404, "not_found"),
    ],
)
async def test_what_names_no_events_or_no_endpoint_is_refused(
    api: Api, world: World, body: dict[str, Any], status: int, code: str
) -> None:
    refused = await api.ask("m1", PATH, **body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_nobody_resends_anothers_events_or_to_anothers_endpoint(
    api: Api, world: World, receiver: Receiver
) -> None:
    mine = await world.endpoint(receiver.url)
    [event] = await world.facts(1)
    theirs = await api.ask("m2", PATH, events=[event])
    assert theirs.status_code == 404
    assert (await api.ask("m2", PATH, type="*", endpoint=mine.id)).status_code == 404
    for who in ("operator", "regulator", "issuer"):
        assert (await api.ask(who, PATH, events=[event])).status_code == 403


async def test_a_disabled_endpoint_and_too_many_events_are_refused_by_name(
    api: Api, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = await world.endpoint(receiver.url)
    await world.facts(3)
    await world.run("UPDATE webhook_endpoint SET status = 'disabled'")
    refused = await api.ask("m1", PATH, type="*", endpoint=off.id)
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_disabled")
    monkeypatch.setattr(resending, "MAX_EVENTS", 2)
    refused = await api.ask("m1", PATH, type="*")
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_events")


async def test_an_event_that_is_sent_again_keeps_its_id_and_its_attempts_are_kept(
    api: Api, world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    await world.endpoint(receiver.url)
    receiver.answer = answer(500)
    [event] = await world.facts(1)
    await carry(courier)
    receiver.answer = answer(200)
    found = await resent(api, events=[event])
    assert found | {"id": "", "created_at": ""} == {
        "object": "event_resend",
        "id": "",
        "endpoint": None,
        "events": 1,
        "deliveries": 1,
        "created_at": "",
    }
    await carry(courier)
    assert receiver.ids == [f"e1_{event}"] * 2
    [row] = await world.rows("SELECT id FROM webhook_delivery")
    async with database.transaction() as db:
        delivery = await deliveries.delivery(db, row.id, "mch_1")
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 1)
    assert delivery["resend"] == found["id"]
    assert [(one["number"], one["status"]) for one in delivery["attempts_made"]] == [
        (1, 500),
        (2, 200),
    ]
    again = await resent(api, events=[event])
    await carry(courier)
    assert len(receiver.received) == 3
    async with database.transaction() as db:
        delivery = await deliveries.delivery(db, row.id, "mch_1")
    assert delivery["resend"] == again["id"]
    assert [one["number"] for one in delivery["attempts_made"]] == [1, 2, 3]


async def test_events_from_before_an_endpoint_come_when_they_are_asked_for(
    api: Api, world: World, receiver: Receiver, courier: Courier
) -> None:
    old = await world.facts(3)
    endpoint = await world.endpoint(receiver.url, types=("refund.*",))
    new = await world.facts(1)
    found = await resent(api, after_sequence=1, to_sequence=3)
    assert (found["events"], found["deliveries"]) == (2, 0)
    found = await resent(api, after_sequence=1, endpoint=endpoint.id)
    assert (found["events"], found["deliveries"]) == (3, 3)
    await carry(courier)
    assert receiver.ids == [f"e1_{id_}" for id_ in [*old[1:], *new]]


async def test_a_span_of_time_and_a_type_choose_for_every_endpoint_what_it_wants(
    api: Api, world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    await world.endpoint(receiver.url, types=("payment.*",))
    await world.facts(1)
    async with database.transaction() as db:
        moment = clock.iso(await clock.advance(db, 60))
    wanted = await world.facts(1)
    await world.facts(1, type_="refund.completed")
    await world.facts(1, "mch_2")
    async with database.transaction() as db:
        end = clock.iso(await clock.advance(db, 60))
    await world.facts(1)
    await carry(courier)
    receiver.received.clear()
    found = await resent(api, **{"from": moment, "to": end})
    assert (found["events"], found["deliveries"]) == (2, 1)
    await carry(courier)
    assert receiver.ids == [f"e1_{id_}" for id_ in wanted]
    found = await resent(api, **{"type": "refund.*", "from": moment})
    assert (found["events"], found["deliveries"]) == (1, 0)
