from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.memory import MemoryChain
from sandbox.chains.port import ChainUnavailable
from sandbox.core import clock
from sandbox.core.clock import iso
from sandbox.core.zone import ALMATY
from sandbox.lab import clockwork, jobs
from sandbox.lab.errors import StillBusy
from tests.reserve.world import World


class _Stubborn(MemoryChain):
    """A chain without control methods, such as a public one."""

    async def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> bool:
        return False


class _Noting(MemoryChain):
    """Remembers every setting it was given."""

    given: list[tuple[int, int | None]]

    async def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> bool:
        self._answer()
        self.given.append((offset_ms, frozen_at_ms))
        return True


def _noting(world: World) -> _Noting:
    chain = _Noting()
    chain.given = []
    world.chains["memory"] = chain
    return chain


async def _offset(world: World) -> int:
    async with world.database.transaction() as db:
        return (await clock.state(db))[0]


@pytest.mark.parametrize("role", ["merchant", "issuer", "regulator", "fund_officer"])
async def test_only_the_sandboxs_own_roles_move_time(world: World, role: str) -> None:
    answer = await world.post("/v1/sandbox/clock", {"advance_s": 1}, role)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"advance_s": 1, "freeze": True},
        {"advance_s": -1},
        {"advance_s": "1"},
        {"advance_s": 1.5},
        {"advance_s": 401 * 86_400},
        {"freeze": 1},
        {"freeze": True, "step": True},
        {"advance_s": 1, "until": "next_cut_off"},
        {"step": True},
        {"back_s": 1},
    ],
)
async def test_a_move_that_is_not_one_is_refused(world: World, body: dict[str, object]) -> None:
    answer = await world.post("/v1/sandbox/clock", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await _offset(world) == 0


@pytest.mark.parametrize("body", [{"advance_s": 60}, {"freeze": True}])
async def test_time_does_not_move_when_a_chain_cannot_follow(
    world: World, body: dict[str, object]
) -> None:
    world.chains["stubborn"] = _Stubborn("stubborn")
    answer = await world.post("/v1/sandbox/clock", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "clock_not_movable")
    assert answer.json()["chain"] == "stubborn"
    assert await _offset(world) == 0
    assert (await world.get("/v1/sandbox/clock")).json()["frozen"] is False
    assert await world.event_types() == []


async def test_time_does_not_move_while_a_chain_does_not_answer(world: World) -> None:
    world.chain.down = True
    answer = await world.post("/v1/sandbox/clock", {"advance_s": 60})
    assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
    assert await _offset(world) == 0


async def test_time_moves_here_on_the_chain_and_in_the_log(world: World) -> None:
    before = datetime.fromisoformat((await world.get("/v1/sandbox/clock")).json()["now"])
    answer = await world.post("/v1/sandbox/clock", {"advance_s": 86_400}, "seeded")
    assert answer.status_code == 200
    moved = answer.json()
    assert moved["fired"] == []
    ahead = datetime.fromisoformat(moved["now"]) - before
    assert timedelta(days=1) <= ahead < timedelta(days=1, minutes=1)
    assert world.chain.offset_ms == 86_400_000
    assert await world.event_types() == ["clock.moved"]
    read = (await world.get("/v1/sandbox/clock", "developer")).json()
    assert (read["offset_ms"], read["frozen"]) == (86_400_000, False)


async def test_a_move_needs_no_idempotency_key_and_counts_each_time(world: World) -> None:
    for _ in range(2):
        await world.post("/v1/sandbox/clock", {"advance_s": 10}, key="same")
    assert await _offset(world) == 20_000


async def test_frozen_time_stands_moves_when_told_and_goes_on_from_there(world: World) -> None:
    chain = _noting(world)
    frozen = (await world.post("/v1/sandbox/clock", {"freeze": True})).json()["now"]
    assert chain.given[-1] == (0, clock.milliseconds(datetime.fromisoformat(frozen)))
    assert (await world.get("/v1/sandbox/clock")).json()["now"] == frozen
    later = (await world.post("/v1/sandbox/clock", {"advance_s": 60})).json()["now"]
    assert datetime.fromisoformat(later) - datetime.fromisoformat(frozen) == timedelta(seconds=60)
    assert (await world.get("/v1/sandbox/clock")).json() | {"offset_ms": 0} == {
        "object": "clock",
        "now": later,
        "offset_ms": 0,
        "frozen": True,
        "epoch": 1,
    }
    freed = (await world.post("/v1/sandbox/clock", {"freeze": False})).json()["now"]
    assert datetime.fromisoformat(freed) >= datetime.fromisoformat(later)
    assert datetime.fromisoformat(freed) - datetime.fromisoformat(later) < timedelta(seconds=5)
    assert chain.given[-1][1] is None


async def test_what_a_move_makes_due_is_told_in_order_of_due_time(world: World) -> None:
    frozen = (await world.post("/v1/sandbox/clock", {"freeze": True})).json()
    base = datetime.fromisoformat(frozen["now"])

    def timer(type_: str, *seconds: int) -> Any:
        async def due(db: AsyncSession, before: datetime, after: datetime) -> list[dict[str, Any]]:
            assert before == base
            assert after == base + timedelta(seconds=100)
            moments = [base + timedelta(seconds=s) for s in seconds]
            return [
                {"type": type_, "id": f"{type_}{n}", "due_at": iso(moment)}
                for n, moment in enumerate(moments)
                if before < moment <= after
            ]

        return due

    world.app.state.timers = [timer("b", 90, 30, 101), timer("a", 60, 100)]
    fired = (await world.post("/v1/sandbox/clock", {"advance_s": 100})).json()["fired"]
    assert [item["id"] for item in fired] == ["b1", "a0", "b0", "a1"]


async def test_a_chain_that_missed_the_move_is_told_again_and_then_left_alone(
    world: World,
) -> None:
    chain = _noting(world)
    async with world.database.transaction() as db:
        await clock.advance(db, 5)
    shown: dict[str, tuple[int, int | None]] = {}
    chain.down = True
    with pytest.raises(ChainUnavailable):
        await jobs.sync_clocks(world.database, world.chains, shown)
    chain.down = False
    assert await jobs.sync_clocks(world.database, world.chains, shown)
    assert not await jobs.sync_clocks(world.database, world.chains, shown)
    assert chain.given == [(5_000, None)]


async def test_a_chain_that_fails_right_after_the_move_does_not_undo_it(world: World) -> None:
    class _DropsSecond(MemoryChain):
        calls = 0

        async def set_clock(self, offset_ms: int, frozen_at_ms: int | None) -> bool:
            self.calls += 1
            if self.calls == 2:
                raise ChainUnavailable(self.name)
            self.offset_ms = offset_ms
            return True

    chain = world.chains["memory"] = _DropsSecond()
    answer = await world.post("/v1/sandbox/clock", {"advance_s": 7})
    assert answer.status_code == 200
    assert (await _offset(world), chain.offset_ms) == (7_000, 0)
    assert await jobs.sync_clocks(world.database, world.chains)
    assert chain.offset_ms == 7_000


class _Chores:
    """Things that fall due, and a worker that does what is due when the sandbox comes to rest."""

    def __init__(self, world: World, *due: datetime) -> None:
        self.world, self.due, self.done = world, list(due), list[datetime]()
        self.seen_frozen = list[bool]()

    async def timer(
        self, db: AsyncSession, before: datetime, after: datetime
    ) -> list[dict[str, Any]]:
        return [
            {"type": "chore", "id": iso(at), "due_at": iso(at)}
            for at in self.due
            if before < at <= after
        ]

    async def rest(self) -> None:
        """Each chore is due again a minute after it was done, at most three times."""
        async with self.world.database.transaction() as db:
            now, (_, frozen_at, _) = await clock.now(db), await clock.state(db)
        self.seen_frozen.append(frozen_at is not None)
        for at in [one for one in self.due if one < now]:
            self.due.remove(at)
            self.done.append(at)
            if len(self.done) < 3:
                self.due.append(now + timedelta(minutes=1))

    async def move(self, seconds: int) -> dict[str, Any]:
        return await clockwork.advance_in_steps(
            self.world.database, self.world.chains, [self.timer], self.rest, seconds
        )


async def _now(world: World) -> datetime:
    async with world.database.transaction() as db:
        return await clock.now(db)


async def test_a_jump_misses_what_becomes_due_because_of_what_fired_and_steps_do_not(
    world: World,
) -> None:
    chores = _Chores(world, await _now(world) + timedelta(hours=20))
    world.app.state.timers = [chores.timer]
    jumped = (await world.post("/v1/sandbox/clock", {"advance_s": 86_400})).json()
    await chores.rest()
    assert (len(jumped["fired"]), len(chores.done)) == (1, 1)

    chores = _Chores(world, await _now(world) + timedelta(hours=20))
    before = await _now(world)
    moved = await chores.move(86_400)
    assert (moved["stops"], moved["complete"]) == (3, True)
    due = [item["due_at"] for item in moved["fired"]]
    assert due == sorted(due) == [iso(at) for at in chores.done]
    assert all(chores.seen_frozen)
    assert datetime.fromisoformat(moved["now"]) - before >= timedelta(days=1)
    assert (await world.get("/v1/sandbox/clock")).json()["frozen"] is False


async def test_a_clock_that_stood_still_stands_after_steps_at_the_instant_asked_for(
    world: World,
) -> None:
    frozen = (await world.post("/v1/sandbox/clock", {"freeze": True})).json()["now"]
    moved = await _Chores(world).move(90_000)
    ahead = datetime.fromisoformat(moved["now"]) - datetime.fromisoformat(frozen)
    assert (ahead, moved["stops"]) == (timedelta(seconds=90_000), 0)
    assert (await world.get("/v1/sandbox/clock")).json()["frozen"] is True


async def test_a_stop_that_does_not_come_to_rest_lets_the_clock_go_on(world: World) -> None:
    chores = _Chores(world, await _now(world) + timedelta(hours=1))

    async def restless() -> None:
        raise StillBusy(0, ["a chore"])

    with pytest.raises(StillBusy):
        await clockwork.advance_in_steps(
            world.database, world.chains, [chores.timer], restless, 7_200
        )
    assert (await world.get("/v1/sandbox/clock")).json()["frozen"] is False


@pytest.mark.parametrize(
    ("until", "status", "code"),
    [
        ("tomorrow", 422, "not_an_instant"),
        ("2026-11-23T18:00:00", 422, "not_an_instant"),
        ("2020-01-01T00:00:00+05:00", 409, "clock_moves_forward_only"),
        ("2098-12-31T00:00:00Z", 409, "clock_moves_forward_only"),
    ],
)
async def test_an_instant_that_cannot_be_moved_to_is_refused(
    world: World, until: str, status: int, code: str
) -> None:
    answer = await world.post("/v1/sandbox/clock", {"until": until})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await _offset(world) == 0


async def test_time_moves_to_an_instant_and_to_the_next_cut_off(world: World) -> None:
    await world.post("/v1/sandbox/clock", {"freeze": True})
    asked = (await _now(world) + timedelta(hours=3)).isoformat()
    moved = (await world.post("/v1/sandbox/clock", {"until": asked})).json()
    ahead = datetime.fromisoformat(moved["now"]) - datetime.fromisoformat(asked)
    assert timedelta(0) <= ahead < timedelta(seconds=1)
    moved = (await world.post("/v1/sandbox/clock", {"until": "next_cut_off"})).json()
    at = datetime.fromisoformat(moved["now"]).astimezone(ALMATY)
    assert (at.hour, at.minute, at.second) == (18, 0, 0)
