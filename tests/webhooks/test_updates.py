"""Changing an endpoint, and the refusals of what no endpoint can ask for."""

from typing import Any

import pytest

from sandbox.core.api_version import LATEST
from sandbox.webhooks import keys
from sandbox.webhooks.jobs import Courier
from tests.webhooks.asking import Api
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Receiver, answer

URL = "https://shop.example/hooks"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://10.0.0.1/"}, "webhook_url_refused"),
        ({"types": []}, "invalid_request"),
        ({"types": ["payment.finall"]}, "unknown_event_type"),
        ({"types": ["*", "payments.*"]}, "unknown_event_type"),
        ({"types": ["payment"]}, "unknown_event_type"),
        ({"types": ["%"]}, "bad_event_type"),
        ({"ordering": "strict"}, "invalid_request"),
        ({"status": "deleted"}, "invalid_request"),
        ({"api_version": "2020-01-01"}, "version_unknown"),
        ({"secret": "mine"}, "invalid_request"),
    ],
)
async def test_what_cannot_be_served_is_refused_when_made_and_when_changed(
    api: Api, body: dict[str, Any], code: str
) -> None:
    made = (await api.post("m1", url=URL)).json()
    changed = await api.ask("m1", f"/v1/webhook_endpoints/{made['id']}", **body)
    assert (changed.status_code in (400, 422), changed.json()["code"]) == (True, code)
    if "status" not in body:
        refused = await api.post("m1", **{"url": URL, **body})
        assert (refused.status_code in (400, 422), refused.json()["code"]) == (True, code)
    shown = (await api.get("m1", f"webhook_endpoints/{made['id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}


async def test_only_its_owner_changes_an_endpoint_or_turns_its_secret(api: Api) -> None:
    made = (await api.post("m1", url=URL)).json()
    path = f"/v1/webhook_endpoints/{made['id']}"
    for end, body in (("", {"types": ["*"]}), ("/rotate_secret", {})):
        assert (await api.ask("m2", path + end, **body)).status_code == 404
        for who in ("operator", "regulator", "issuer"):
            assert (await api.ask(who, path + end, **body)).status_code == 403
    for overlap_s in (-1, 8 * 86_400, "1 h"):
        refused = await api.ask("m1", f"{path}/rotate_secret", overlap_s=overlap_s)
        assert refused.status_code == 422


async def test_a_change_shows_and_leaves_the_rest(api: Api) -> None:
    made = (await api.post("m1", url=URL, types=["payment.*"])).json()
    assert (made["ordering"], made["api_version"]) == ("none", LATEST)
    path = f"/v1/webhook_endpoints/{made['id']}"
    changed = (await api.ask("m1", path, ordering="per_object", types=["refund.*"])).json()
    assert "secret" not in changed
    expected = {**made, "ordering": "per_object", "types": ["refund.*"]}
    assert changed == {name: value for name, value in expected.items() if name != "secret"}
    turned = (await api.ask("m1", f"{path}/rotate_secret", overlap_s=60)).json()
    assert turned["secret"] != made["secret"]
    assert turned["previous_secret_until"] is not None


async def test_what_waits_goes_to_the_new_address(
    api: Api, world: World, receiver: Receiver, courier: Courier
) -> None:
    async with Receiver(answer(500)) as before:
        made = await world.endpoint(before.url)
        [event] = await world.facts(1)
        await courier.step()
        await courier.drain()
        changed = await api.ask("m1", f"/v1/webhook_endpoints/{made.id}", url=receiver.url)
        assert changed.status_code == 200
    await world.run("UPDATE webhook_delivery SET next_attempt_at = sandbox_now()")
    await courier.step()
    await courier.drain()
    assert receiver.ids == [f"e1_{event}"]


async def test_a_disabled_endpoint_gives_up_what_waits_and_an_enabled_one_goes_on(
    api: Api, world: World, receiver: Receiver, courier: Courier
) -> None:
    made = await world.endpoint(receiver.url)
    path = f"/v1/webhook_endpoints/{made.id}"
    await world.facts(1)
    off = (await api.ask("m1", path, status="disabled")).json()
    assert (off["status"], off["status_reason"]) == ("disabled", "by_owner")
    await world.facts(1)
    assert await courier.step() == 0
    [row] = await world.rows("SELECT status FROM webhook_delivery")
    assert row.status == "canceled"
    on = (await api.ask("m1", path, status="active")).json()
    assert (on["status"], on["status_reason"]) == ("active", None)
    [event] = await world.facts(1)
    await courier.step()
    await courier.drain()
    assert receiver.ids == [f"e1_{event}"]


async def test_what_was_made_while_its_endpoint_was_disabled_is_not_sent(
    world: World, receiver: Receiver, courier: Courier
) -> None:
    await world.endpoint(receiver.url)
    await world.facts(1)
    # As when the fan-out had read the endpoint just before somebody disabled it.
    await world.run("UPDATE webhook_endpoint SET status = 'disabled'")
    assert len(await world.busy()) == 1
    await courier.step()
    assert await world.busy() == []
    [row] = await world.rows("SELECT status, attempts, lease_owner FROM webhook_delivery")
    assert tuple(row) == ("canceled", 0, None)
    assert receiver.received == []


async def test_a_delivery_shows_its_owner_every_attempt(
    api: Api, world: World, receiver: Receiver, courier: Courier
) -> None:
    await world.endpoint(receiver.url)
    receiver.answer = answer(502, "bad gateway")
    await world.facts(1)
    await courier.step()
    await courier.drain()
    [row] = await world.rows("SELECT id FROM webhook_delivery")
    path = f"webhook_deliveries/{row.id}"
    found = (await api.get("m1", path)).json()
    [made] = found["attempts_made"]
    assert made["duration_ms"] >= 0
    assert {**made, "duration_ms": 0} == {
        "number": 1,
        "at": found["last_attempt_at"],
        "status": 502,
        "error": None,
        "duration_ms": 0,
        "response_head": "bad gateway",
    }
    assert (await api.get("m2", path)).status_code == 404
    assert (await api.get("regulator", path)).json() == found
    assert (await api.get("issuer", path)).status_code == 403


async def test_the_public_keys_are_for_everybody_and_show_no_private_half(
    api: Api, keys_dir: Any
) -> None:
    found = await api.client.get("/.well-known/webhook-keys.json")
    assert found.status_code == 200
    [shown] = found.json()["keys"]
    [key] = keys.load(keys_dir)
    assert shown == key.as_public()
    assert shown["public_key"].startswith("whpk_")
    assert key.private.private_bytes_raw().hex() not in found.text
