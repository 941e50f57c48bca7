import base64
from typing import Any

import pytest

from sandbox.core.api_version import CURRENT
from sandbox.webhooks.jobs import Courier
from tests.webhooks.asking import Api
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Receiver


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"url": "http://shop.example/", "types": []}, "invalid_request"),
        ({"url": "http://shop.example/", "types": "*"}, "invalid_request"),
        ({"url": "http://shop.example/", "secret": "mine"}, "invalid_request"),
        ({"url": "http://shop.example/", "types": ["%"]}, "bad_event_type"),
        ({"url": "http://10.0.0.1/"}, "webhook_url_refused"),
        ({"url": "gopher://shop.example/"}, "webhook_url_refused"),
    ],
)
async def test_an_endpoint_that_cannot_be_served_is_refused_by_name(
    api: Api, body: dict[str, Any], code: str
) -> None:
    refused = await api.post("m1", **body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_only_merchants_make_and_delete_endpoints(api: Api) -> None:
    made = (await api.post("m1", url="https://shop.example/hooks")).json()
    for who in ("operator", "regulator", "issuer"):
        assert (await api.post(who, url="https://shop.example/")).status_code == 403
        assert (await api.delete(who, made["id"])).status_code == 403
    assert (await api.delete("m2", made["id"])).status_code == 404
    assert (await api.get("m2", f"webhook_endpoints/{made['id']}")).status_code == 404
    assert (await api.get("m2", "webhook_endpoints")).json()["data"] == []


async def test_the_secret_is_shown_once(api: Api) -> None:
    made = await api.post("m1", url="https://shop.example/hooks", types=["payment.*"])
    assert made.status_code == 201
    secret = made.json().pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    shown = made.json()
    del shown["secret"]
    assert shown | {"id": "", "created_at": ""} == {
        "object": "webhook_endpoint",
        "id": "",
        "url": "https://shop.example/hooks",
        "types": ["payment.*"],
        "ordering": "none",
        "api_version": CURRENT,
        "status": "active",
        "status_reason": None,
        "previous_secret_until": None,
        "created_at": "",
    }
    one = await api.get("m1", f"webhook_endpoints/{shown['id']}")
    assert one.json() == shown
    for who in ("m1", "operator", "regulator"):
        listed = (await api.get(who, "webhook_endpoints")).json()
        assert listed == {"object": "list", "data": [shown], "has_more": False}


async def test_a_deleted_endpoint_is_gone_for_its_owner(api: Api) -> None:
    made = (await api.post("m1", url="https://shop.example/hooks")).json()
    deleted = await api.delete("m1", made["id"])
    assert deleted.json() == {"object": "webhook_endpoint", "id": made["id"], "deleted": True}
    assert (await api.delete("m1", made["id"])).status_code == 404
    assert (await api.get("m1", "webhook_endpoints")).json()["data"] == []


async def test_lists_of_endpoints_go_newest_first_by_cursor(api: Api) -> None:
    ids = [(await api.post("m1", url="https://shop.example/")).json()["id"] for _ in range(5)]
    page = (await api.get("m1", "webhook_endpoints", limit="2")).json()
    assert [row["id"] for row in page["data"]] == [ids[4], ids[3]]
    assert page["has_more"] is True
    older = (await api.get("m1", "webhook_endpoints", starting_after=ids[1])).json()
    assert [row["id"] for row in older["data"]] == [ids[0]]
    newer = (await api.get("m1", "webhook_endpoints", ending_before=ids[3])).json()
    assert [row["id"] for row in newer["data"]] == [ids[4]]


async def test_deliveries_show_their_owner_what_the_receiver_answered(
    api: Api, world: World, receiver: Receiver, courier: Courier
) -> None:
    first = await world.endpoint(receiver.url)
    second = await world.endpoint(receiver.url)
    event, other = await world.facts(2)
    await world.endpoint(receiver.url, "mch_2")
    await world.facts(1, "mch_2")
    while await courier.step():
        await courier.drain()

    async def found(who: str, **params: str) -> list[tuple[str, str]]:
        answer = (await api.get(who, "webhook_deliveries", **params)).json()
        return sorted((row["endpoint"], row["event"]) for row in answer["data"])

    everything = sorted((e.id, id_) for e in (first, second) for id_ in (event, other))
    assert await found("m1") == everything
    assert await found("m1", endpoint=first.id) == sorted([(first.id, event), (first.id, other)])
    assert await found("m1", event=event) == sorted([(first.id, event), (second.id, event)])
    assert await found("m1", status="pending") == []
    assert await found("m2", endpoint=first.id) == []
    assert len(await found("regulator")) == 5
    page = (await api.get("m1", "webhook_deliveries", limit="1")).json()
    assert page["has_more"] is True
    [row] = page["data"]
    assert row["object"] == "webhook_delivery"
    assert row["webhook_id"] == f"e1_{row['event']}"
    assert (row["status"], row["attempts"], row["last_status"]) == ("delivered", 1, 200)
    assert (row["response_head"], row["next_attempt_at"]) == ("thanks", None)
    assert "secret" not in str(page)
