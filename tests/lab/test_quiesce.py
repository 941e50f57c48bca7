import asyncio

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.memory import new_address
from tests.lab.conftest import fill
from tests.reserve.world import World


@pytest.mark.parametrize("body", [{"timeout_s": -1}, {"timeout_s": 301}, {"timeout_s": "1"}])
async def test_a_wait_that_is_not_one_is_refused(world: World, body: dict[str, object]) -> None:
    answer = await world.post("/v1/sandbox/quiesce", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_what_is_left_is_named_when_time_is_up(world: World) -> None:
    await fill(world)
    body = {"chain": "memory", "address": new_address(), "amount_tiyn": 5}
    grant = (await world.post("/v1/sandbox/faucet", body)).json()
    answer = await world.post("/v1/sandbox/quiesce", {"timeout_s": 0})
    assert (answer.status_code, answer.json()["code"]) == (504, "still_busy")
    assert answer.json()["left"] == [f"intent {grant['id']}: due"]


async def test_a_silent_chain_is_busy_not_a_failure(world: World) -> None:
    await world.follow()
    world.chain.down = True
    answer = await world.post("/v1/sandbox/quiesce", {"timeout_s": 0})
    assert (answer.status_code, answer.json()["left"]) == (504, ["memory: does not answer"])


async def test_a_watcher_that_is_behind_is_waited_for(world: World) -> None:
    world.chain.mine(3)
    await world.follow()
    world.chain.mine(3)
    waiting = asyncio.create_task(world.post("/v1/sandbox/quiesce", {"timeout_s": 20}))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await world.follow()
    answer = await waiting
    assert answer.status_code == 200
    assert answer.json()["quiet"] is True
    assert any("cursor at" in name for name in answer.json()["waited_for"])


async def test_a_sandbox_at_rest_answers_at_once(world: World) -> None:
    await fill(world)
    answer = await world.post("/v1/sandbox/quiesce", {}, "seeded")
    assert answer.status_code == 200
    assert answer.json()["waited_for"] == []
    assert answer.json()["waited_ms"] < 5_000


async def test_probes_must_be_empty_twice_in_a_row(world: World) -> None:
    await world.follow()
    answers = iter([["a"], [], ["b"], []])
    looked = 0

    async def probe(db: AsyncSession) -> list[str]:
        nonlocal looked
        looked += 1
        return next(answers, [])

    world.app.state.busy_probes = [probe]
    answer = await world.post("/v1/sandbox/quiesce", {"timeout_s": 20})
    assert answer.json()["waited_for"] == ["a", "b"]
    assert looked == 6


async def test_in_one_look_all_are_asked_in_one_transaction_so_that_no_turn_lies_between(
    world: World,
) -> None:
    await world.follow()
    begun = list[object]()

    async def probe(db: AsyncSession) -> list[str]:
        begun.append(await db.scalar(text("SELECT now()")))
        return []

    world.app.state.busy_probes = [probe, probe]
    await world.post("/v1/sandbox/quiesce", {"timeout_s": 20})
    assert begun[0] == begun[1] != begun[2] == begun[3]


async def test_no_transaction_is_open_while_it_waits(world: World) -> None:
    await world.follow()
    done = asyncio.Event()

    async def probe(db: AsyncSession) -> list[str]:
        await db.execute(text("SELECT 1"))
        return [] if done.is_set() else ["not done"]

    world.app.state.busy_probes = [probe]
    waiting = asyncio.create_task(world.post("/v1/sandbox/quiesce", {"timeout_s": 20}))
    await asyncio.sleep(0.2)
    open_ = 0
    for _ in range(20):
        async with world.database.transaction() as db:
            open_ += await db.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND state LIKE 'idle in transaction%'"
                    " AND clock_timestamp() - xact_start > interval '150 milliseconds'"
                )
            )
        await asyncio.sleep(0.01)
    done.set()
    assert (await waiting).status_code == 200
    assert open_ == 0
