"""What the simulated bank can be told to do to the reserve."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.chains.memory import MemoryChain
from sandbox.core.db import Database
from sandbox.lab import bank_routes
from sandbox.reserve import crediting, routes
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from tests.reserve.world import World

CREDIT = {"amount_tiyn": 700, "bank_reference": "CAMT-1", "status": "PDNG"}
PATH = "/v1/sandbox/bank"


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    world = World(
        database,
        MemoryChain(),
        [ReserveWatch()],
        {"issuance": IssuanceHandler()},
        [routes.router, bank_routes.router],
    )
    await world.begin()
    yield world
    await world.end()


@pytest.mark.parametrize("role", ["merchant", "issuer", "regulator", "fund_officer"])
async def test_only_who_may_play_with_the_sandbox_moves_the_banks_money(
    world: World, role: str
) -> None:
    for path, body in (("credits", CREDIT), ("reversals", {"bank_reference": "CAMT-1"})):
        answer = await world.post(f"{PATH}/{path}", body, role)
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "changed", [{"amount_tiyn": 0}, {"status": "RCVD"}, {"bank_reference": ""}, {"currency": "USD"}]
)
async def test_a_credit_that_does_not_fit_the_schema_is_refused(
    world: World, changed: dict[str, object]
) -> None:
    answer = await world.post(f"{PATH}/credits", CREDIT | changed)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_credit_that_is_not_booked_cannot_be_taken_back(world: World) -> None:
    await world.post(f"{PATH}/credits", CREDIT)
    answer = await world.post(f"{PATH}/reversals", {"bank_reference": "CAMT-1"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_credit_is_announced_booked_and_taken_back(world: World) -> None:
    kinds = []
    for path, body in (
        ("credits", CREDIT),
        ("credits", CREDIT | {"status": "BOOK"}),
        ("reversals", {"bank_reference": "CAMT-1"}),
    ):
        answer = await world.post(f"{PATH}/{path}", body, "seeded")
        assert answer.status_code == 201, answer.text
        kinds.append(answer.json()["kind"])
        await crediting.step(world.database)
    assert kinds == ["camt.054.PDNG", "camt.054.CRDT", "camt.054.RVSL"]
    assert await world.event_types() == [
        "reserve.deposit_announced",
        "reserve.deposit_received",
        "reserve.deposit_reversed",
    ]
    found = (await world.get("/v1/reserve")).json()
    assert (found["reserve_tiyn"], found["owed_tiyn"], found["minting"]) == (0, 0, "on")
