"""What `GET /v1/events` is asked for: types, spans, objects, from either end."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from sandbox.core import clock
from sandbox.core.db import Database, Leader
from sandbox.core.ids import new_id
from sandbox.eventlog import sequencer, service
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.types import NewEvent
from tests.eventlog.serving import Serving, bearer, create_app


@pytest.fixture
async def http(
    db_url: str, database: Database, leader: Leader, key: LogKey
) -> AsyncIterator[httpx2.AsyncClient]:
    """Ten payments of mch_1, a minute between them, with one of mch_2 behind each."""
    async with database.transaction() as db:
        await clock.freeze(db, True)
    for number in range(1, 11):
        async with database.transaction() as db:
            now = await clock.advance(db, 60)
            events = [
                NewEvent(
                    new_id("evt", now),
                    "payment.final" if number % 2 else "payment.captured",
                    now,
                    {"object": "payment", "id": f"pay_{merchant}_{number // 2}"},
                    merchant,
                )
                for merchant in ("mch_1", "mch_2")
            ]
            await service.append_many(db, events, {})
        await sequencer.Sequencer(database, leader, key).step()
    async with (
        Serving(create_app(db_url, signals=False)) as served,
        httpx2.AsyncClient(base_url=served.url, trust_env=False) as client,
    ):
        yield client


async def numbers(http: httpx2.AsyncClient, who: str = "m1", **asked: str) -> list[int]:
    found = await http.get("/v1/events", params=asked, headers=bearer(who))
    assert found.status_code == 200, found.text
    name = "sequence" if who == "m1" else "position"
    return [event[name] for event in found.json()["data"]]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"after": "x"}, "bad_cursor"),
        ({"before": "x"}, "bad_cursor"),
        ({"type": "%"}, "bad_event_type"),
        ({"from": "today"}, "invalid_request"),
        ({"from": "2026-11-21T00:00:00"}, "invalid_request"),
        ({"to": "9999-12-31T23:59:59-14:00"}, "invalid_request"),
        ({"from": "2026-11-22T00:00:00Z", "to": "2026-11-21T00:00:00Z"}, "bad_span"),
        ({"object": "x" * 65}, "invalid_request"),
        ({"limit": "101"}, "invalid_request"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    http: httpx2.AsyncClient, asked: dict[str, str], code: str
) -> None:
    refused = await http.get("/v1/events", params=asked, headers=bearer("m1"))
    assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_pages_go_forward_behind_a_number_and_backward_before_one(
    http: httpx2.AsyncClient,
) -> None:
    assert await numbers(http, after="3", limit="2") == [4, 5]
    assert await numbers(http, before="9", limit="3") == [6, 7, 8]
    assert await numbers(http, before="1:3") == [1, 2]
    assert await numbers(http, after="3", before="6") == [4, 5]
    assert await numbers(http, before="1") == []
    page = await http.get("/v1/events?before=4&limit=3", headers=bearer("m1"))
    assert page.json()["has_more"] is False
    page = await http.get("/v1/events?before=5&limit=3", headers=bearer("m1"))
    assert page.json()["has_more"] is True
    assert await numbers(http, "regulator", before="4", limit="2") == [2, 3]


async def test_types_objects_and_spans_choose_together(http: httpx2.AsyncClient) -> None:
    assert await numbers(http, type="payment.final") == [1, 3, 5, 7, 9]
    assert await numbers(http, object="pay_mch_1_2") == [4, 5]
    assert await numbers(http, object="pay_mch_2_2") == []
    assert await numbers(http, "regulator", object="pay_mch_2_2") == [7, 9]
    assert await numbers(http, object="pay_mch_1_2", type="payment.final") == [5]
    events = (await http.get("/v1/events", headers=bearer("m1"))).json()["data"]
    span = {"from": events[2]["created"], "to": events[5]["created"]}
    assert await numbers(http, **span) == [3, 4, 5]
    assert await numbers(http, **span, type="payment.captured") == [4]
    assert await numbers(http, **span, before="1000", limit="1") == [5]
