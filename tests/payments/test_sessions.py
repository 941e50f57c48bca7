"""`/v1/checkout/sessions`: refusals first, then the shape of what is made."""

from typing import Any

import pytest

from tests.payments.world import BASE_URL, World

PATH = "/v1/checkout/sessions"


@pytest.mark.parametrize("amount", [0, -1, 10**11 + 1, 1.5, "12", True, None, 1e3, [100], 10**30])
async def test_an_amount_that_is_no_whole_tiyn_within_the_limit_is_refused(
    world: World, amount: Any
) -> None:
    answer = await world.post(PATH, {"amount_tiyn": amount})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount_tiyn": 100, "currency": "USD"},
        {"amount_tiyn": 100, "currency": "kzt"},
        {"amount_tiyn": 100, "expires_in_s": 0},
        {"amount_tiyn": 100, "expires_in_s": 86_401},
        {"amount_tiyn": 100, "expires_in_s": 60.0},
        {"amount_tiyn": 100, "description": "x" * 501},
        {"amount_tiyn": 100, "description": "nul \0"},
        {"amount_tiyn": 100, "metadata": {str(n): "x" for n in range(21)}},
        {"amount_tiyn": 100, "metadata": {"a": 1}},
        {"amount_tiyn": 100, "metadata": {"a\0": "x"}},
        {"amount_tiyn": 100, "unknown": 1},
    ],
)
async def test_a_body_outside_the_contract_is_refused(world: World, body: Any) -> None:
    answer = await world.post(PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_half_a_character_is_refused_not_a_bug(world: World) -> None:
    raw = b'{"amount_tiyn": 100, "description": "\\ud800"}'
    headers = world.headers("shop") | {
        "Idempotency-Key": "half",
        "Content-Type": "application/json",
    }
    answer = await world.http.post(PATH, content=raw, headers=headers)
    assert answer.status_code == 422


async def test_a_session_without_an_idempotency_key_is_refused(world: World) -> None:
    answer = await world.http.post(PATH, json={"amount_tiyn": "x"}, headers=world.headers("shop"))
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


async def test_without_a_key_and_by_a_wrong_role_nothing_is_made(world: World) -> None:
    assert (await world.http.post(PATH, json={"amount_tiyn": 1})).status_code == 401
    for role in ("issuer", "operator", "regulator"):
        assert (await world.post(PATH, {"amount_tiyn": 1}, role)).status_code == 403


async def test_the_session_of_another_merchant_is_not_found(world: World) -> None:
    session = await world.session()
    for path in ("", "/cancel"):
        url = f"{PATH}/{session['id']}{path}"
        answer = await (world.post(url, {}, "other") if path else world.get(url, "other"))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await world.get(PATH, "other")).json()["data"] == []


async def test_what_does_not_exist_is_not_found(world: World) -> None:
    for path in (f"{PATH}/cs_x", "/v1/payments/pay_x", "/v1/refunds/re_x", "/v1/stray_transfers/s"):
        assert (await world.get(path)).status_code == 404


async def test_a_session_has_the_shape_of_the_contract(world: World) -> None:
    session = await world.session(
        250_000, description="Кофе", client_reference_id="order-1", metadata={"a": "b"},
        expires_in_s=60,
    )  # fmt: skip
    [option] = session.pop("options")
    assert option["amount_units"] == world.units(250_000)
    assert (option["chain"], option["method"]) == ("memory", "transfer")
    assert option["recipient"] == world.chain.treasury
    expected = {
        "object": "checkout_session", "status": "open", "reason": "none", "reasons": [],
        "amount_tiyn": 250_000, "currency": "KZT", "description": "Кофе",
        "client_reference_id": "order-1", "metadata": {"a": "b"},
        "url": f"{BASE_URL}/pay/{session['id']}", "payments": [], "payment": None,
        "received_units": 0, "excess_units": 0,
    }  # fmt: skip
    assert {key: session[key] for key in expected} == expected
    assert session["id"].startswith("cs_")
    assert len(session["id"]) == 29
    assert session["expires_at"] > session["created_at"]
    read = await world.read(session)
    assert read.pop("options") == [option]
    assert read == session


async def test_the_created_event_is_the_session_without_its_private_fields(world: World) -> None:
    session = await world.session(description="Secret", client_reference_id="order-1")
    [(_, data)] = await world.events("checkout.session.created")
    assert (data["id"], data["amount_tiyn"]) == (session["id"], 10_000)
    assert "description" not in data
    assert "client_reference_id" not in data


async def test_the_regulator_sees_every_session_without_the_private_fields(world: World) -> None:
    session = await world.session(description="Secret")
    seen = (await world.get(f"{PATH}/{session['id']}", "regulator")).json()
    assert (seen["id"], seen["description"]) == (session["id"], None)


async def test_lists_page_by_id_newest_first(world: World) -> None:
    ids = [(await world.session())["id"] for _ in range(3)]
    first = (await world.get(f"{PATH}?limit=2")).json()
    assert ([row["id"] for row in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
    rest = (await world.get(f"{PATH}?starting_after={ids[1]}")).json()
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    before = (await world.get(f"{PATH}?ending_before={ids[0]}&limit=1")).json()
    assert ([row["id"] for row in before["data"]], before["has_more"]) == ([ids[1]], True)


async def test_one_order_has_one_open_session_when_asked_for(world: World) -> None:
    body = {"amount_tiyn": 500, "client_reference_id": "order-7", "unique_reference": True}
    first, second = await world.post(PATH, body), await world.post(PATH, body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    other = await world.post(PATH, body | {"amount_tiyn": 501})
    assert (other.status_code, other.json()["code"]) == (409, "reference_in_use")
    assert (await world.post(PATH, body | {"unique_reference": False})).status_code == 201


async def test_a_session_is_canceled_once(world: World) -> None:
    session = await world.session()
    canceled = await world.post(f"{PATH}/{session['id']}/cancel")
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    again = await world.post(f"{PATH}/{session['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "session_not_open")
    assert (await world.told())[-1] == "checkout.session.canceled"
