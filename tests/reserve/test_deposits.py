import asyncio

import pytest

from sandbox.ledger.chart import accounts
from tests.reserve.world import World

DEPOSIT = {"amount_tiyn": 100_000, "bank_reference": "CAMT-1"}


@pytest.mark.parametrize("role", ["merchant", "developer", "regulator", "fund_officer"])
async def test_only_issuer_and_operator_take_deposits(world: World, role: str) -> None:
    answer = await world.post("/v1/reserve/deposits", DEPOSIT, role)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_tiyn": 0},
        {"amount_tiyn": -1},
        {"amount_tiyn": 10**13 + 1},
        {"amount_tiyn": "100"},
        {"amount_tiyn": "1 250,50"},
        {"amount_tiyn": "1\u00a0250,50"},
        {"amount_tiyn": "1\u202f250,50 ₸"},
        {"amount_tiyn": 1.0},
        {"amount_tiyn": True},
        {"bank_reference": ""},
        {"bank_reference": "x" * 65},
        {"bank_reference": "line\nbreak"},
        {"currency": "USD"},
    ],
)
async def test_a_deposit_that_does_not_fit_the_schema_is_refused(
    world: World, changed: dict[str, object]
) -> None:
    answer = await world.post("/v1/reserve/deposits", DEPOSIT | changed)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await world.count("bank_sim.booking") == 0


@pytest.mark.parametrize("changed", [{"amount_tiyn": 99_999}, {"customer": "somebody else"}])
async def test_a_bank_reference_with_other_content_is_refused(
    world: World, changed: dict[str, object]
) -> None:
    await world.post("/v1/reserve/deposits", DEPOSIT)
    answer = await world.post("/v1/reserve/deposits", DEPOSIT | changed)
    assert (answer.status_code, answer.json()["code"]) == (409, "bank_reference_conflict")
    assert await world.posted(accounts.reserve_bank()) == 100_000


async def test_an_unknown_deposit_is_not_found(world: World) -> None:
    answer = await world.get("/v1/reserve/deposits/dep_none")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_repeated_bank_reference_answers_the_first_deposit(world: World) -> None:
    first = await world.post("/v1/reserve/deposits", DEPOSIT)
    again = await world.post("/v1/reserve/deposits", DEPOSIT)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert await world.posted(accounts.reserve_bank()) == 100_000
    assert await world.event_types() == ["reserve.deposit_received"]


async def test_the_same_bank_reference_at_once_counts_once(world: World) -> None:
    answers = await asyncio.gather(*(world.post("/v1/reserve/deposits", DEPOSIT) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await world.posted(accounts.reserve_bank()) == 100_000
    assert await world.count("bank_sim.booking") == 1
    assert await world.count("deposit") == 1


async def test_a_deposit_stands_in_books_bank_and_log_at_once(world: World) -> None:
    answer = await world.post("/v1/reserve/deposits", DEPOSIT, "issuer")
    assert answer.status_code == 201
    made = answer.json()
    assert made["object"] == "deposit"
    assert made["id"].startswith("dep_")
    assert (made["amount_tiyn"], made["unminted_tiyn"]) == (100_000, 100_000)
    assert await world.posted(accounts.reserve_bank()) == 100_000
    assert await world.posted(accounts.unminted(made["id"])) == 100_000
    figures = (await world.get("/v1/reserve", "merchant")).json()
    assert figures == {
        "object": "reserve",
        "outstanding_units": {"memory": 0},
        "reserve_tiyn": 100_000,
        "ratio": "1.0000",
        "minting": "on",
    }
    assert (await world.get(f"/v1/reserve/deposits/{made['id']}")).json() == made
    listed = (await world.get("/v1/reserve/deposits", "regulator")).json()
    assert listed == {"object": "list", "data": [made], "has_more": False}


async def test_nothing_owed_has_no_ratio(world: World) -> None:
    figures = (await world.get("/v1/reserve")).json()
    assert figures["ratio"] is None
    assert (figures["reserve_tiyn"], figures["owed_tiyn"]) == (0, 0)
