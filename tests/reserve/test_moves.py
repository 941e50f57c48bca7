"""Moves between chains: burned on one, made anew on the other, one figure with the bridge."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sandbox.core.db import Database
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import intake_jobs, minting
from tests.opened import Opening, Openings
from tests.reserve.two_chains import OPENED, Json, TwoChains


@pytest.fixture
def opening(request: pytest.FixtureRequest) -> Opening | None:
    return OPENED if "world" in request.fixturenames else None


@pytest.fixture
async def world(database: Database, openings: Openings) -> AsyncIterator[TwoChains]:
    world = TwoChains.copied(database, openings.kept(OPENED))
    yield world
    await world.audit()
    await world.end()


@pytest.fixture(params=["plain", "deposits"])
def start(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def halt(world: TwoChains, reason: str) -> None:
    async with world.database.transaction() as db:
        await ledger.record(db, Changes(events=await minting.halt(db, reason)))


async def resume(world: TwoChains) -> None:
    async with world.database.transaction() as db:
        await ledger.record(db, Changes(events=[await minting.resume(db)]))


async def burned(world: TwoChains, made: Json) -> None:
    """Its first half is done, and nothing asked for the second yet."""
    await world.received(made)
    for _ in range(3):
        if (await world.read(made))["units_state"] == "burned":
            return
        await world.work()
        await world.runner.step()
        await world.finalize()
    raise AssertionError("the burn does not come")


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"from_chain": "nowhere"}, (422, "chain_unknown")),
        ({"to_chain": "nowhere"}, (422, "chain_unknown")),
        ({"to_chain": "plain"}, (422, "same_chain")),
        ({"recipient": "nobody"}, (422, "invalid_address")),
        ({"amount_tiyn": "1000"}, (422, "invalid_request")),
        ({"amount_tiyn": 10**13 + 1}, (422, "invalid_request")),
    ],
)
async def test_what_is_wrong_is_refused_by_name(
    world: TwoChains, changed: Json, refusal: tuple[int, str]
) -> None:
    body: Json = {"from_chain": "plain", "to_chain": "deposits", "amount_tiyn": 1_000}
    assert await world.refused("moves", body | {"recipient": world.holder} | changed) == refusal


async def test_nothing_moves_to_the_treasury_itself(world: TwoChains) -> None:
    body = {
        "from_chain": "plain",
        "to_chain": "deposits",
        "amount_tiyn": 1_000,
        "recipient": world.deposits.treasury,
    }
    assert await world.refused("moves", body) == (422, "invalid_address")


async def test_what_does_not_stand_still_is_neither_retried_nor_given_back(
    world: TwoChains, start: str
) -> None:
    made = await world.move(start)
    path = f"moves/{made['id']}"
    back = {"recipient": world.holder}
    assert await world.refused(f"{path}/retry", {}) == (409, "wrong_status")
    assert await world.refused(f"{path}/give_back", back) == (409, "wrong_status")
    await world.carried_out(made)
    assert await world.refused(f"{path}/retry", {}) == (409, "wrong_status")
    assert await world.refused(f"{path}/give_back", back) == (409, "wrong_status")
    assert await world.refused("moves/red_x/retry", {}) == (404, "not_found")


@pytest.mark.parametrize("decimals", [2, 6])
async def test_supply_is_conserved_in_every_state_of_a_move(
    database: Database, decimals: int, start: str
) -> None:
    world = TwoChains(database, decimals)
    await world.begin()
    per_tiyn = 10 ** (decimals - 2)
    made = await world.move(start, 1_234)
    world.send(made)
    seen = set()
    for _ in range(12):
        await world.work()
        await world.runner.step()
        await world.finalize()
        seen.add((await world.read(made))["status"])
        bridge = await world.owed("l:bridge:")
        assert sum(await world.supplies()) + bridge * per_tiyn == 100_000 * per_tiyn
        assert await world.owed("l:outstanding:") + bridge == 100_000
        await world.audit()
    assert {"waiting", "minted"} <= seen
    there = world.chains[made["to_chain"]]
    assert (await there.balance(world.holder)).units == (50_000 + 1_234) * per_tiyn
    assert (await world.read(made))["owed_for_s"] is None
    await world.end()


async def test_while_minting_is_off_a_move_waits_in_the_bridge_and_shows_its_age(
    world: TwoChains, start: str
) -> None:
    made = await world.move(start)
    await halt(world, "somebody looks at it")
    await burned(world, made)
    await world.work()
    await world.set_clock("2026-11-19T13:00")
    await world.work()
    found = await world.read(made)
    assert (found["status"], found["owed_for_s"]) == ("waiting", 3_600)
    assert "somebody looks at it" in found["mint_reason"]
    assert await world.owed("l:bridge:") == 1_000
    assert await world.count("chain_intent WHERE kind = 'bridge_mint'") == 0
    listed = (await world.get("/v1/reserve/moves?status=waiting&min_age_s=3600")).json()
    assert [one["id"] for one in listed["data"]] == [made["id"]]
    await world.audit()
    await resume(world)
    await world.carry_out()
    assert (await world.read(made))["status"] == "minted"
    assert await world.owed("l:bridge:") == 0


async def test_a_mint_that_cannot_happen_gets_stuck_and_is_retried_by_the_same_id(
    world: TwoChains, start: str
) -> None:
    made = await world.move(start)
    await burned(world, made)
    there = world.chains[made["to_chain"]]
    await world.lose(there, made, "reserve.move_mint_failed", times=3)
    assert (await world.read(made))["status"] == "stuck"
    assert await world.owed("l:bridge:") == 1_000
    await world.audit()
    await world.done(f"moves/{made['id']}/retry", {})
    await world.carry_out()
    found = await world.read(made)
    assert (found["status"], found["mint_chain"]) == ("minted", made["to_chain"])


async def test_a_stuck_move_is_given_back_on_its_own_chain_and_on_no_other(
    world: TwoChains, start: str
) -> None:
    made = await world.move(start)
    await burned(world, made)
    await world.lose(world.chains[made["to_chain"]], made, "reserve.move_mint_failed", times=3)
    path = f"moves/{made['id']}/give_back"
    assert await world.refused(path, {"recipient": "nobody"}) == (422, "invalid_address")
    await world.done(path, {"recipient": world.holder})
    await world.carry_out()
    found = await world.read(made)
    assert (found["status"], found["mint_chain"]) == ("given_back", start)
    for chain in world.chains.values():
        assert (await chain.balance(world.holder)).units == 50_000
    assert await world.refused(path, {"recipient": world.holder}) == (409, "wrong_status")


async def test_a_retry_and_a_give_back_at_once_mint_on_one_chain_only(
    world: TwoChains, start: str
) -> None:
    made = await world.move(start)
    await burned(world, made)
    await world.lose(world.chains[made["to_chain"]], made, "reserve.move_mint_failed", times=3)
    path = f"/v1/reserve/moves/{made['id']}"
    await asyncio.gather(
        world.post(f"{path}/retry", {}),
        world.post(f"{path}/give_back", {"recipient": world.holder}),
        *(intake_jobs.follow(world.database, world.chains) for _ in range(3)),
    )
    await world.carry_out()
    assert (await world.read(made))["status"] in ("minted", "given_back")
    assert sum(await world.supplies()) == 100_000


async def test_two_moves_cross_each_other(world: TwoChains) -> None:
    there, back = await world.move("plain", 700), await world.move("deposits", 400)
    world.send(there)
    world.send(back)
    await world.finalize()
    await world.carry_out()
    assert [(await world.read(one))["status"] for one in (there, back)] == ["minted"] * 2
    assert await world.supplies() == [50_000 - 700 + 400, 50_000 + 700 - 400]
