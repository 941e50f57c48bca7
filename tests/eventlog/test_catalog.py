"""Every documented type of event is described, and each is sent and arrives as described."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jsonschema_rs
import orjson
import pytest

from sandbox.core import clock
from sandbox.core.db import Database, Leader
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.eventlog import catalog, sequencer, service
from sandbox.eventlog.errors import BadTypePattern, UnknownEventType
from sandbox.eventlog.keys import LogKey
from sandbox.eventlog.types import NewEvent
from sandbox.webhooks import fanout
from sandbox.webhooks import service as webhooks
from sandbox.webhooks.jobs import Courier
from sandbox.wiring import TOLD
from tests.docs.test_events import listed
from tests.eventlog.serving import Serving, bearer, create_app
from tests.webhooks.receiver import Receiver


@pytest.fixture
async def http(db_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        Serving(create_app(db_url, signals=False)) as served,
        httpx2.AsyncClient(base_url=served.url, trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize("pattern", ["payment", "payment.finall", "payments.*", "payment.final.*"])
def test_a_pattern_that_names_no_event_is_refused(pattern: str) -> None:
    with pytest.raises(UnknownEventType):
        catalog.check_pattern(pattern)


def test_a_pattern_that_is_none_and_a_type_that_is_unknown_are_refused() -> None:
    with pytest.raises(BadTypePattern):
        catalog.check_pattern("%")
    with pytest.raises(NotFound):
        catalog.described("payment.*", TOLD)


@pytest.mark.parametrize("pattern", ["*", "payment.*", "checkout.*", "checkout.session.created"])
def test_a_pattern_that_names_events_is_taken(pattern: str) -> None:
    catalog.check_pattern(pattern)


def test_the_types_described_are_those_of_the_documentation() -> None:
    assert catalog.types() == listed(), "run: python -m tests.eventlog.describe"


def test_schemas_are_valid_and_examples_fit_them_and_nothing_else() -> None:
    for type_ in catalog.types():
        schema, example = catalog.schema(type_, TOLD), catalog.example(type_)
        jsonschema_rs.meta.validate(schema)
        validator = jsonschema_rs.validator_for(schema)
        validator.validate(example)
        for name in schema["required"]:
            lacking = {key: value for key, value in example.items() if key != name}
            assert not validator.is_valid(lacking), (type_, name)
        told = schema["properties"]["data"]
        for name in set.intersection(*(set(one["required"]) for one in told.get("anyOf", [told]))):
            data = {key: value for key, value in example["data"].items() if key != name}
            assert not validator.is_valid({**example, "data": data}), (type_, name)


async def test_the_api_lists_and_describes_every_type(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/event_types")).status_code == 401
    answer = (await http.get("/v1/event_types", headers=bearer("issuer"))).json()
    assert [one["type"] for one in answer["data"]] == listed()
    one = (await http.get("/v1/event_types/payment.final", headers=bearer("m1"))).json()
    assert one["schema"] == catalog.schema("payment.final", TOLD)
    assert one["example"]["type"] == "payment.final"
    missing = await http.get("/v1/event_types/payment.*", headers=bearer("m1"))
    assert missing.status_code == 404


async def test_each_type_is_sent_and_arrives_as_described(
    database: Database, leader: Leader, key: LogKey, http: httpx2.AsyncClient
) -> None:
    async with Receiver() as receiver:
        wanted = webhooks.Wanted(receiver.url, ["*"])
        async with database.transaction() as db:
            await webhooks.create_endpoint(db, "mch_1", wanted, allow_loopback=True)
            now = await clock.now(db)
            events = [
                NewEvent(new_id("evt", now), type_, now, catalog.example(type_)["data"], "mch_1")
                for type_ in catalog.types()
            ]
            await service.append_many(db, events, {})
        await sequencer.Sequencer(database, leader, key).step()
        await fanout.step(database)
        courier = Courier(database, "test", allow_loopback=True)
        while await courier.step():
            await courier.drain()
        await courier.close()
        hooks = [orjson.loads(request.body) for request in receiver.received]
    assert sorted(hook["type"] for hook in hooks) == sorted(catalog.types())
    shown: list[dict[str, Any]] = []
    while len(shown) < len(hooks):
        after = {"after": str(shown[-1]["sequence"])} if shown else {}
        page = await http.get("/v1/events", params=after, headers=bearer("m1"))
        shown += page.json()["data"]
    for event in (*hooks, *shown):
        jsonschema_rs.validate(catalog.schema(event["type"], TOLD), event)
    by_id = {event["id"]: event for event in shown}
    for hook in hooks:
        assert hook.pop("timestamp") == hook["created"]
        assert hook == by_id[hook["id"]]
