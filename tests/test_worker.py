"""How the worker's loops rest and wake, without a world around them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import text

from sandbox import worker
from sandbox.core import chance
from sandbox.core.db import Database, DatabaseUnavailable
from sandbox.core.lookout import Lookout
from sandbox.core.settings import Settings
from sandbox.core.turns import turn
from sandbox.wiring import Loop, World

FOREVER_S = 3600.0
WITHIN_S = 20.0


class Steps:
    """A loop's step: what it answers, one after another, then `False`; an exception is raised."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers, self.count = list(answers), 0
        self._more = asyncio.Condition()

    async def step(self) -> bool:
        async with self._more:
            self.count += 1
            self._more.notify_all()
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WITHIN_S), self._more:
            await self._more.wait_for(lambda: self.count >= count)


class Told:
    """Stands where the database is asked: what is due, told once, or why it cannot be told."""

    def __init__(self) -> None:
        self.due: set[str] = set()
        self.error: Exception | None = None
        self.looks = 0

    async def look(self) -> set[str]:
        self.looks += 1
        if self.error is not None:
            raise self.error
        found, self.due = self.due, set()
        return found


@asynccontextmanager
async def driven(loops: Sequence[Loop], told: Told) -> AsyncIterator[Callable[[], None]]:
    """The loops run; the yielded function stops them, and so does the end."""
    stop, pace = asyncio.Event(), worker.Pace()
    bells = {loop.name: worker.Bell() for loop in loops}
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        for loop in loops:
            wakes = [bells[name] for name in loop.wakes]
            group.create_task(worker.drive(loop, stop, pace, bells[loop.name], wakes))
            if loop.announced is not None:
                group.create_task(worker.hear(loop, bells[loop.name], stop, pace))
        group.create_task(worker.look(cast(Lookout, told), bells, stop, pace))
        group.create_task(worker.call_at_end(list(bells.values()), stop))
        yield stop.set
        stop.set()


async def test_while_nobody_can_tell_what_is_due_every_loop_looks_by_itself() -> None:
    steps, told = Steps(), Told()
    told.error = DatabaseUnavailable()
    async with driven([Loop("one", steps.step, 0.0, due="?", undue_s=FOREVER_S)], told):
        await steps.until(3)


async def test_a_loop_rests_until_it_is_due_and_goes_on_while_it_finds_something() -> None:
    due, other, told = Steps(), Steps(), Told()
    loops = [
        Loop("due", due.step, 0.0, due="?", undue_s=FOREVER_S),
        Loop("other", other.step, 0.001),
    ]
    async with driven(loops, told):
        await due.until(1)
        await other.until(20)
        assert due.count == 1
        due.answers = [True, True]
        told.due = {"due"}
        await due.until(4)
        await other.until(other.count + 20)
        assert due.count == 4


async def test_a_loop_that_is_never_told_looks_now_and_then() -> None:
    steps = Steps()
    async with driven([Loop("one", steps.step, 0.0, due="?", undue_s=0.001)], Told()):
        await steps.until(5)


async def test_a_step_that_breaks_is_tried_again() -> None:
    steps = Steps(ValueError("ours"), DatabaseUnavailable(), True)
    async with driven([Loop("one", steps.step, 0.0, due="?", undue_s=FOREVER_S)], Told()):
        await steps.until(4)


async def test_who_failed_for_want_of_the_database_goes_on_as_soon_as_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", FOREVER_S)
    steps, told = Steps(DatabaseUnavailable()), Told()
    told.error = DatabaseUnavailable()
    async with driven([Loop("one", steps.step, 0.0, due="?", undue_s=FOREVER_S)], told):
        await steps.until(1)
        told.error = None
        await steps.until(2)


async def test_a_stop_ends_the_pause_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", FOREVER_S)
    steps = Steps(ValueError("ours"))
    async with driven([Loop("one", steps.step, 0.0)], Told()) as stop:
        await steps.until(1)
        stop()


async def test_a_stop_wakes_the_loops_that_rest() -> None:
    steps, told = Steps(), Told()
    async with driven([Loop("one", steps.step, 0.0, due="?", undue_s=FOREVER_S)], told) as stop:
        await steps.until(1)
        stop()


async def test_a_loop_wakes_the_next_without_anybody_looking_but_only_with_news() -> None:
    first, second, told = Steps(), Steps(), Told()
    news = [False, True]
    loops = [
        Loop("first", first.step, 0.001, wakes=("second",), has_news=news.pop),
        Loop("second", second.step, 0.0, due="?", undue_s=FOREVER_S),
    ]
    async with driven(loops, told):
        await second.until(1)
        first.answers = [True, True]
        # Woken for nothing it looks once more, as it does when it was told.
        await second.until(3)
        await first.until(first.count + 20)
        assert (second.count, news) == (3, [])


async def test_who_is_woken_while_it_works_looks_again_without_its_rest() -> None:
    """What came after a step had read would else wait for the whole rest."""
    first, second, told = Steps(), Steps(), Told()
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> bool:
        worked = await second.step()
        started.set()
        await go_on.wait()
        return worked

    loops = [
        Loop("first", first.step, 0.001, wakes=("second",)),
        Loop("second", slow, FOREVER_S, busy_s=FOREVER_S),
    ]
    second.answers = [True]
    async with driven(loops, told):
        await started.wait()
        first.answers = [True]
        await first.until(first.count + 2)
        go_on.set()
        await second.until(2)


async def test_a_loop_looks_at_once_when_its_chain_is_announced_to_have_moved() -> None:
    steps, tellers = Steps(), asyncio.Queue[Callable[[], None]]()

    async def announced(told: Callable[[], None]) -> None:
        tellers.put_nowait(told)
        await asyncio.Event().wait()

    async with driven([Loop("one", steps.step, FOREVER_S, announced=announced)], Told()):
        await steps.until(1)
        tell = await tellers.get()
        for count in (2, 3):
            tell()
            await steps.until(count)


# A seeded world: turns.


@asynccontextmanager
async def turning(loops: Sequence[Loop], database: Database) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        worker.in_turns(group, loops, stop, worker.Pace(), database)
        yield
        stop.set()


async def test_loops_take_turns_in_their_order_with_those_that_follow_a_chain_first(
    database: Database,
) -> None:
    order, last = list[str](), Steps()

    def noted(name: str) -> Callable[[], Awaitable[bool]]:
        async def step() -> bool:
            assert chance.is_turn()
            order.append(name)
            return False

        return step

    loops = [
        Loop("one", noted("one"), 0.0),
        Loop("two", noted("two"), 0.0),
        Loop("watch", noted("watch"), 0.0, follows=True),
        Loop("last", last.step, 0.0),
    ]
    async with turning(loops, database):
        await last.until(3)
    assert order[:9] == ["watch", "one", "two"] * 3


async def test_in_turns_a_step_that_fails_holds_nobody_up(database: Database) -> None:
    bad, good = Steps(*(ValueError("a bug") for _ in range(3))), Steps()
    async with turning([Loop("bad", bad.step, 0.0), Loop("good", good.step, 0.0)], database):
        await good.until(4)
    assert bad.count >= 4


async def test_in_turns_who_is_not_due_is_passed_over(database: Database) -> None:
    never, always, other = Steps(), Steps(), Steps()
    loops = [
        Loop("never", never.step, 0.0, due="false", undue_s=FOREVER_S),
        Loop("always", always.step, 0.0, due="true", undue_s=FOREVER_S),
        Loop("other", other.step, 0.0),
    ]
    async with turning(loops, database):
        await other.until(5)
    assert always.count >= 4
    assert never.count <= 1


async def test_in_turns_what_one_did_is_found_by_all_behind_it_in_the_same_turn(
    database: Database,
) -> None:
    never, worker_ = Steps(), Steps(False, True, False, True)
    loops = [
        Loop("busy", worker_.step, 0.0),
        Loop("never", never.step, 0.0, due="false", undue_s=FOREVER_S),
    ]
    async with turning(loops, database):
        await worker_.until(5)
    assert never.count == 3  # the first time, and behind what was done


async def test_in_turns_what_a_killed_worker_held_is_free_from_the_first_turn_on(
    database: Database,
) -> None:
    async with database.transaction() as db:
        await db.execute(
            text(
                "INSERT INTO attestation (id, cause, status, asked_at, lease_owner, lease_until)"
                " VALUES ('att_1', 'asked', 'pending', sandbox_now(), 'dead',"
                " clock_timestamp() + interval '1 hour')"
            )
        )
    held = list[int]()

    async def look() -> bool:
        async with database.transaction() as db:
            held.append(await db.scalar(text("SELECT count(lease_owner) FROM attestation")) or 0)
        return False

    steps = Steps()
    async with turning([Loop("one", look, 0.0), Loop("two", steps.step, 0.0)], database):
        await steps.until(1)
    assert held[0] == 0


async def test_in_turns_what_a_step_set_going_ends_before_the_next_turn_and_holds_no_request_up(
    database: Database,
) -> None:
    steps, is_answered = Steps(), asyncio.Event()

    async def ended() -> None:
        assert not chance.is_turn()
        await is_answered.wait()

    async with turning([Loop("one", steps.step, 0.0, ended=ended)], database):
        await steps.until(1)
        async with turn(database):  # free, as for a request of whoever is asked
            assert steps.count == 1
            is_answered.set()
        await steps.until(3)


async def test_in_turns_who_looks_on_takes_no_part(database: Database) -> None:
    watching, other = asyncio.Event(), Steps()

    async def look_on() -> bool:
        assert not chance.is_turn()
        watching.set()
        return False

    loops = [Loop("on", look_on, 0.0, looks_on=True), Loop("other", other.step, 0.0)]
    async with turning(loops, database):
        await watching.wait()
        await other.until(2)


async def test_who_looks_on_is_not_waited_for_at_the_end(database: Database) -> None:
    watching = asyncio.Event()

    async def waits_for_others() -> bool:
        watching.set()
        await asyncio.sleep(FOREVER_S)
        return False

    shift = worker.Shift(cast(Settings, None))
    shift.world = cast(World, SimpleNamespace(database=database))
    shift.loops = [Loop("on", waits_for_others, 0.0, looks_on=True)]
    await shift.start()
    async with asyncio.timeout(WITHIN_S):
        await watching.wait()
        await shift.rest(FOREVER_S)
