import asyncio

import pytest

from sandbox.chains.memory import new_address
from sandbox.core.money import units_per_tiyn
from sandbox.ledger.chart import accounts
from sandbox.reserve.checks import supply_matches
from tests.lab.conftest import fill
from tests.reserve.world import World


def _request(world: World, amount_tiyn: int = 30_000) -> dict[str, object]:
    return {"chain": "memory", "address": new_address(), "amount_tiyn": amount_tiyn}


@pytest.mark.parametrize("role", ["merchant", "issuer", "regulator", "fund_officer"])
async def test_only_the_sandboxs_own_roles_use_the_faucet(world: World, role: str) -> None:
    answer = await world.post("/v1/sandbox/faucet", _request(world), role)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"chain": "bitcoin"}, "chain_unknown"),
        ({"address": "nowhere"}, "invalid_address"),
        ({"address": "TREASURY"}, "faucet_to_own_address"),
        ({"amount_tiyn": 0}, "invalid_request"),
        ({"amount_tiyn": "5"}, "invalid_request"),
        ({"amount_tiyn": 10**13 + 1}, "invalid_request"),
    ],
)
async def test_a_grant_is_refused_by_name_and_leaves_nothing(
    world: World, changed: dict[str, object], code: str
) -> None:
    body = _request(world) | changed
    if body["address"] == "TREASURY":
        body["address"] = world.chain.treasury
    answer = await world.post("/v1/sandbox/faucet", body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await world.count("faucet_grant") == 0
    assert await world.count("chain_intent") == 0


async def test_an_empty_float_is_refilling_and_the_same_request_works_later(world: World) -> None:
    body = _request(world)
    short = await world.post("/v1/sandbox/faucet", body, key="mine")
    assert (short.status_code, short.json()["code"]) == (503, "float_refilling")
    assert short.headers["Retry-After"] == "1"
    await fill(world)
    later = await world.post("/v1/sandbox/faucet", body, key="mine")
    assert later.status_code == 201


async def test_an_unknown_grant_is_not_found(world: World) -> None:
    answer = await world.get("/v1/sandbox/faucet/fau_none")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_grants_at_once_never_give_more_than_the_float_holds(world: World) -> None:
    await fill(world)
    answers = await asyncio.gather(
        *(world.post("/v1/sandbox/faucet", _request(world, 3 * 10**9)) for _ in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [503] * 2
    await world.carry_out()
    assert await world.posted(accounts.float_("memory")) == 10**9
    assert (await world.chain.balance(world.chain.treasury)).units == 10**9


async def test_a_grant_answers_before_the_tokens_arrive_and_credits_exactly(
    any_world: World, decimals: int
) -> None:
    world, scale = any_world, units_per_tiyn(decimals)
    body = _request(world)
    answer = await world.post("/v1/sandbox/faucet", body, "seeded")
    assert answer.status_code == 201
    made = answer.json()
    assert made["object"] == "faucet_grant"
    assert made["id"].startswith("fau_")
    assert (made["status"], made["tx"]) == ("pending", None)
    address = str(body["address"])
    assert (await world.chain.balance(address, final=False)).units == 0
    assert await world.available(accounts.float_("memory")) == (10**10 - 30_000) * scale
    assert await world.posted(accounts.float_("memory")) == 10**10 * scale

    await world.carry_out()
    assert (await world.chain.balance(address)).units == 30_000 * scale
    assert world.chain.gas(address) == 1
    read = (await world.get(f"/v1/sandbox/faucet/{made['id']}", "developer")).json()
    assert read["status"] == "sent"
    assert read["tx"] is not None
    for account, amount in {
        accounts.float_("memory"): 10**10 - 30_000,
        accounts.treasury("memory"): 10**10 - 30_000,
        accounts.custody("memory"): 10**10 - 30_000,
        accounts.external("memory"): 30_000,
        accounts.supply("memory"): 10**10,
    }.items():
        assert await world.posted(account) == amount * scale, account
    assert (await world.event_types())[-1] == "faucet.sent"
    [check] = await supply_matches(world.database, world.chains, wait_s=0)
    assert check.ok


async def test_one_idempotency_key_grants_once(world: World) -> None:
    await fill(world)
    body = _request(world)
    answers = [await world.post("/v1/sandbox/faucet", body, key="once") for _ in range(3)]
    assert len({answer.json()["id"] for answer in answers}) == 1
    await world.carry_out()
    await world.carry_out()
    assert (await world.chain.balance(str(body["address"]))).units == 30_000


async def test_a_grant_that_cannot_arrive_gives_the_float_back(world: World) -> None:
    await fill(world)
    made = (await world.post("/v1/sandbox/faucet", _request(world))).json()
    world.chain.losing = True
    for _ in range(10):
        await world.runner.step()
        world.chain.mine(40)
        await world.follow()
    read = (await world.get(f"/v1/sandbox/faucet/{made['id']}")).json()
    assert (read["status"], read["reason"]) == ("failed", "expired")
    assert await world.available(accounts.float_("memory")) == 10**10
    assert (await world.event_types())[-1] == "faucet.failed"
