"""How the worker's loops rest and wake, without a world around them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from sandbox import worker
from sandbox.core.db import DatabaseUnavailable
from sandbox.core.lookout import Lookout
from sandbox.wiring import Loop

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
    dues = {loop.name: asyncio.Event() for loop in loops}
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        for loop in loops:
            wakes = [dues[name] for name in loop.wakes]
            group.create_task(worker.drive(loop, stop, pace, dues[loop.name], wakes))
        group.create_task(worker.look(cast(Lookout, told), dues, stop, pace))
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
