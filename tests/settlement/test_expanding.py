"""Answers that name other objects, with those objects in them."""

import pytest
from sqlalchemy import event

from sandbox import wiring
from sandbox.core.http.expand import FIELDS, MAX_PATHS, READ_BY
from sandbox.core.http.roles import RULES
from sandbox.parties import service as parties
from tests.settlement.conftest import OTHER_IBAN, Town


@pytest.fixture
async def told(town: Town) -> dict[str, str]:
    """A settled payment with a refund: the ids of each, by kind."""
    town.world.app.state.expanders = wiring.EXPANDERS
    payment = await town.pay(10_000)
    await town.refund(payment, 1_000)
    [refund] = (await town.get("/v1/refunds"))["data"]
    settlement = await town.settle()
    return {
        "payment": payment,
        "refund": refund["id"],
        "settlement": settlement["id"],
        "session": (await town.get(f"/v1/payments/{payment}"))["session"],
    }


WRONG = (
    ("/v1/payments/{payment}", "sesion", "session"),
    ("/v1/payments/{payment}", "tx", "session"),
    ("/v1/payments/{payment}", "", "session"),
    ("/v1/payments/{payment}", "session.payments.session.tx", "merchant"),
    ("/v1/payments/{payment}", "data.session", "session"),
    ("/v1/payments", "session", "data.session"),
    ("/v1/settlements/{settlement}", "lines.tx", "payment"),
)


async def test_a_field_that_names_nothing_is_refused_by_name(
    town: Town, told: dict[str, str]
) -> None:
    for path, expand, known in WRONG:
        answer = await town.world.get(f"{path.format(**told)}?expand[]={expand}", "shop")
        assert (answer.status_code, answer.json()["code"]) == (422, "expand_unknown"), expand
        assert answer.json()["path"] == expand
        assert known in answer.json()["known"]
        assert answer.json()["param"] == "/query/expand"


async def test_where_nothing_can_be_expanded_it_is_said_and_not_passed_over(town: Town) -> None:
    answer = await town.world.get("/v1/reserve?expand[]=merchant", "issuer")
    assert (answer.status_code, answer.json()["known"]) == (422, [])


async def test_too_deep_and_too_much_is_refused(town: Town, told: dict[str, str]) -> None:
    deep = "session.payments.session.payments.session"
    many = "&".join(["expand[]=session"] * (MAX_PATHS + 1))
    for query in (f"expand[]={deep}", many):
        answer = await town.world.get(f"/v1/payments/{told['payment']}?{query}", "shop")
        assert (answer.status_code, answer.json()["code"]) == (422, "expand_too_deep")
        assert answer.json()["max_levels"] == 4


async def test_a_post_with_a_wrong_expansion_does_nothing(town: Town, told: dict[str, str]) -> None:
    before = await town.world.count("checkout_session")
    body = {"amount_tiyn": 5_000}
    answer = await town.world.post("/v1/checkout/sessions?expand[]=nothing", body, "shop")
    assert (answer.status_code, answer.json()["code"]) == (422, "expand_unknown")
    assert await town.world.count("checkout_session") == before


async def test_a_key_expands_only_what_it_may_read(town: Town, told: dict[str, str]) -> None:
    async with town.database.transaction() as db:
        _, key = await parties.create_key(db, "merchant", town.shop, held=["refunds:write"])
    town.world.keys["restricted"] = key
    path = f"/v1/refunds/{told['refund']}"
    assert (await town.world.get(path, "restricted")).status_code == 200
    answer = await town.world.get(f"{path}?expand[]=payment", "restricted")
    assert (answer.status_code, answer.json()["permission"]) == (403, "payments:read")
    body = {"payment": told["payment"], "amount_tiyn": 1}
    before = await town.world.count("refund")
    refused = await town.world.post("/v1/refunds?expand[]=payment", body, "restricted")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")
    assert await town.world.count("refund") == before


async def test_another_merchants_object_stays_an_id(town: Town, told: dict[str, str]) -> None:
    """Rows of one merchant that name another's do not exist; if one did, it would show an id."""
    await town.merchant("other", OTHER_IBAN)
    theirs = await town.done("/v1/checkout/sessions", {"amount_tiyn": 5_000}, "other")
    await town.as_owner(
        f"UPDATE payment SET session = '{theirs['id']}' WHERE id = '{told['payment']}'"
    )
    path = f"/v1/payments/{told['payment']}?expand[]=session"
    assert (await town.get(path))["session"] == theirs["id"]
    assert (await town.get(path, "operator"))["session"]["id"] == theirs["id"]


async def test_what_a_buyer_wrote_is_the_owners_to_read_when_expanded_too(
    town: Town, told: dict[str, str]
) -> None:
    await town.as_owner(
        f"UPDATE checkout_session SET description = 'tea' WHERE id = '{told['session']}'"
    )
    path = f"/v1/payments/{told['payment']}?expand[]=session"
    assert (await town.get(path))["session"]["description"] == "tea"
    assert (await town.get(path, "operator"))["session"]["description"] is None


async def test_ids_become_the_objects_that_their_own_addresses_show(
    town: Town, told: dict[str, str]
) -> None:
    refund = await town.get(
        f"/v1/refunds/{told['refund']}"
        "?expand[]=payment.session.payments.settlement&expand[]=merchant"
    )
    plain = await town.get(f"/v1/refunds/{told['refund']}")
    payment = await town.get(f"/v1/payments/{told['payment']}")
    session = await town.get(f"/v1/checkout/sessions/{told['session']}")
    settlement = await town.get(f"/v1/settlements/{told['settlement']}")
    assert (plain["payment"], plain["merchant"]) == (told["payment"], town.shop)
    assert refund["merchant"]["id"] == town.shop
    got = refund["payment"]
    assert got | {"session": payment["session"]} == payment
    assert [one["settlement"] for one in got["session"]["payments"]] == [settlement]
    shown = [one | {"settlement": told["settlement"]} for one in got["session"]["payments"]]
    assert got["session"] | {"payments": shown} == session


async def test_lists_and_lines_are_expanded_with_one_read_a_level(
    town: Town, told: dict[str, str]
) -> None:
    await town.pay_many(3, 1_000)
    reads = []
    engine = town.database.engine.sync_engine

    @event.listens_for(engine, "before_cursor_execute")
    def count(*args: object) -> None:
        reads.append(str(args[2]))

    found = await town.get("/v1/payments?limit=100&expand[]=data.session.merchant")
    event.remove(engine, "before_cursor_execute", count)
    assert len(found["data"]) == 4
    assert all(one["session"]["merchant"]["id"] == town.shop for one in found["data"])
    for table in ("checkout_session", "merchant"):
        assert sum(f"FROM {table} " in " ".join(read.split()) + " " for read in reads) == 1, table
    path = f"/v1/settlements/{told['settlement']}?expand[]=lines.payment.session"
    [line] = (await town.get(path))["lines"]
    assert line["payment"]["session"]["id"] == told["session"]
    assert line["amount_tiyn"] == 10_000


async def test_the_answer_of_a_post_is_expanded_and_its_repeat_too(
    town: Town, told: dict[str, str]
) -> None:
    path, body = "/v1/checkout/sessions?expand[]=merchant", {"amount_tiyn": 5_000}
    headers = town.world._headers("shop") | {"Idempotency-Key": "once"}
    first = await town.world.http.post(path, json=body, headers=headers)
    again = await town.world.http.post(path, json=body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first.json()["merchant"]["id"] == town.shop
    assert again.headers["idempotency-replayed"] == "true"
    plain = await town.world.http.post(path.partition("?")[0], json=body, headers=headers)
    assert plain.json() == first.json() | {"merchant": town.shop}, "it is kept as it is by default"


def test_every_kind_that_can_be_expanded_has_a_reader_and_a_rule() -> None:
    led_to = {kind for fields in FIELDS.values() for kind in fields.values()} - {"line"}
    assert led_to <= set(wiring.EXPANDERS) == set(READ_BY)
    assert set(READ_BY) | {"line"} == set(FIELDS)
    assert all(("GET", route) in RULES for route in READ_BY.values())
