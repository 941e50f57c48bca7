"""The worker: every background loop of a world in one process, or some of them with `--only`.

Loops claim rows by lease or lead by term, so any number of workers may run (DESIGN 2).
"""

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

if __name__ == "__main__":
    gc.disable()  # until `memory.freeze`

import structlog
import uvloop

from sandbox import orders, wiring
from sandbox.core import chance, memory
from sandbox.core import log as logging
from sandbox.core.db import Database, LostLead, is_disconnect
from sandbox.core.errors import Unavailable
from sandbox.core.line import LineClosed
from sandbox.core.lookout import Lookout
from sandbox.core.settings import Settings
from sandbox.core.turns import turn
from sandbox.lab import worlds

log = structlog.get_logger()

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
LAST_STEP_S = 5.0
QUIET_AFTER_S = 5.0
QUIET_FACTOR = 5
QUIET_IDLE_S = 0.5
LOOK_S = 0.05
TURN_REST_S = 0.01
QUIET_LOOK_S = 0.1
AWAY_LOOK_S = 0.2


class Pace:
    """How long loops rest: a sandbox that nobody uses should cost a laptop next to nothing."""

    def __init__(self) -> None:
        self._worked = time.monotonic()

    def worked(self, loop: wiring.Loop) -> None:
        """A loop found something to do; a chain's empty blocks are no sign of use."""
        if not loop.follows:
            self._worked = time.monotonic()

    @property
    def is_quiet(self) -> bool:
        """Whether nobody has used the sandbox for a while."""
        return time.monotonic() - self._worked >= QUIET_AFTER_S

    def rest_s(self, loop: wiring.Loop) -> float:
        """Seconds until an idle loop looks again."""
        if not self.is_quiet:
            return loop.idle_s
        return max(loop.idle_s, min(loop.idle_s * QUIET_FACTOR, QUIET_IDLE_S))

    def look_s(self) -> float:
        """Seconds between looks for what is due."""
        return QUIET_LOOK_S if self.is_quiet else LOOK_S


class Bell:
    """What ends the rest of a loop: `due`, when it has something to do, `called`, when somebody
    knows that it has and waits for it, and `again`, when what it failed for may be over.
    """

    def __init__(self) -> None:
        self.due, self.called, self.again = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def call(self) -> None:
        self.due.set()
        self.called.set()

    def end(self) -> None:
        self.call()
        self.again.set()


async def drive(
    loop: wiring.Loop,
    stop: asyncio.Event,
    pace: Pace,
    bell: Bell,
    wakes: Sequence[Bell] = (),
) -> None:
    """Repeat one loop until `stop`: at once while there is work, with a pause after a failure.

    A loop that can tell when it is due rests until then, or looks by itself. Nothing a step does
    may end the loop: what failed is said and tried again from its rows. Whoever has the next turn
    with what a step did is not left to wait until that is looked for, nor for its rest: `wakes`.
    """
    pause = FIRST_PAUSE_S
    while not stop.is_set():
        bell.called.clear()
        bell.again.clear()
        asked, until_due, failed = bell.due.is_set(), False, False
        try:
            worked = await loop.step()
            if worked:
                pace.worked(loop)
                if loop.has_news():
                    for other in wakes:
                        other.call()
            # What seems due and is not, for a lock or a limit, is looked at in its usual rhythm.
            until_due = not worked and not asked and loop.due is not None
            wait = loop.busy_s if worked else pace.rest_s(loop)
            pause = FIRST_PAUSE_S
        except Exception as error:
            say(loop.name, error)
            failed, wait = True, pause
            if not isinstance(error, LostLead):
                pause = min(pause * 2, LONGEST_PAUSE_S)
        # Set before the step had read: if there is still something, the next look says so.
        bell.due.clear()
        if failed:
            await _rest(bell.again, wait)
        elif until_due and not bell.called.is_set():
            await _rest(bell.due, loop.undue_s)
        elif wait and not until_due:
            await _rest(bell.called, wait)
        else:
            # A loop that always finds work still lets the others run.
            await asyncio.sleep(0)


def say(name: str, error: Exception) -> None:
    """What ended a step of the loop `name`; it is tried again from its rows."""
    if isinstance(error, LostLead):
        log.warning("lead lost", loop=name)
    elif isinstance(error, Unavailable) or is_disconnect(error):
        log.warning("waiting for a part", loop=name, error=str(error))
    else:
        log.exception("a step failed", loop=name, exc_info=error)


def in_turns(
    group: asyncio.TaskGroup,
    loops: Sequence[wiring.Loop],
    stop: asyncio.Event,
    pace: Pace,
    database: Database,
) -> list["asyncio.Task[None]"]:
    """The loops of a seeded world as tasks of `group`: one for all that take turns, and one for
    each that looks on beside them.
    """
    # Others wait for what watchers saw, and do not within a turn: it comes first.
    ordered = sorted((one for one in loops if not one.looks_on), key=lambda one: not one.follows)
    tasks = [group.create_task(take_turns(ordered, stop, database), name="turns")]
    bells = [Bell() for loop in loops if loop.looks_on]
    for loop, bell in zip([one for one in loops if one.looks_on], bells, strict=True):
        with chance.within(f"loop {loop.name}"):  # the task keeps it
            looking_on = drive(loop, stop, pace, bell)
            tasks.append(group.create_task(looking_on, name=loop.name))
    tasks.append(group.create_task(call_at_end(bells, stop), name="end"))
    return tasks


async def take_turns(loops: Sequence[wiring.Loop], stop: asyncio.Event, database: Database) -> None:
    """All loops of a seeded world, until `stop`: one step of each in their order, then again.

    While they have their turn nobody else changes anything and the clock stands, and the next one
    waits for what they set going in this one: so they find the same whatever this machine was
    doing. What can tell that it has nothing to do is passed over.
    """
    lookout = Lookout(database, {loop.name: loop.due for loop in loops if loop.due is not None})
    stepped, failed, is_first = dict[str, float](), set[str](), True
    while not stop.is_set():
        worked, wait = False, 0.0
        try:
            async with turn(database):
                if is_first:
                    # Of who was killed: until they ran out, what else there is would go first.
                    await worlds.give_back_leases(database)
                    is_first = False
                due = await lookout.look()
                for loop in loops:
                    since = time.monotonic() - stepped.get(loop.name, float("-inf"))
                    # What one did in this turn may be for another, which was not due before.
                    is_due = worked or loop.due is None or loop.name in due
                    if not is_due and since < loop.undue_s:
                        continue
                    stepped[loop.name] = time.monotonic()
                    try:
                        with chance.within(f"loop {loop.name}", is_turn=True):
                            worked |= await loop.step()
                        failed.discard(loop.name)
                    except Exception as error:
                        # Once: the others go on at their own pace.
                        if loop.name not in failed:
                            say(loop.name, error)
                        failed.add(loop.name)
                        wait = FIRST_PAUSE_S
            # Not within the turn: whom they ask may ask us, and would wait for its end.
            for loop in loops:
                if loop.ended is not None:
                    await loop.ended()
        except Exception as error:
            say("turn", error)
            wait = FIRST_PAUSE_S
        await _rest(stop, wait or (TURN_REST_S if worked else LOOK_S))


async def _rest(until: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), seconds)


async def hear(loop: wiring.Loop, bell: Bell, stop: asyncio.Event, pace: Pace) -> None:
    """Call a loop when its chain is announced to have moved, until `stop`.

    Not while nobody uses the sandbox: then it looks by itself, now and then.
    """

    def told() -> None:
        if not pace.is_quiet:
            bell.call()

    assert loop.announced is not None
    following = asyncio.ensure_future(loop.announced(told))
    try:
        await stop.wait()
    finally:
        following.cancel()
        await asyncio.wait([following])


async def look(
    lookout: Lookout, bells: Mapping[str, Bell], stop: asyncio.Event, pace: Pace
) -> None:
    """Wake what is due, until `stop`; everything when that cannot be told.

    When it can be told again, who failed meanwhile does not sit out a pause that grew with each
    failure: the database is back.
    """
    is_away = False
    while not stop.is_set():
        try:
            found, wait = await lookout.look(), pace.look_s()
            if is_away:
                for bell in bells.values():
                    bell.again.set()
            is_away = False
        except Exception as error:
            if not is_away:
                log.warning("cannot tell what is due", error=str(error))
            found, wait, is_away = set(bells), AWAY_LOOK_S, True
        for name in found:
            bells[name].due.set()
        await _rest(stop, wait)


async def call_at_end(bells: Sequence[Bell], stop: asyncio.Event) -> None:
    """Rouse who rests when it is time to stop."""
    await stop.wait()
    for bell in bells:
        bell.end()


class Shift:
    """A world that this process works on: opened and let go of, its loops started and ended."""

    def __init__(self, settings: Settings, only: Sequence[str] = ()) -> None:
        self.settings, self._only = settings, only
        self._opened = contextlib.AsyncExitStack()
        self.world: wiring.World | None = None
        self.loops: list[wiring.Loop] = []
        self._stop = asyncio.Event()
        self._patience_s = LAST_STEP_S
        self._working: asyncio.Task[None] | None = None
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> wiring.World:
        """Connect, unless that was done before."""
        if self.world is None:
            opening = wiring.open_world(self.settings, signing=True)
            self.world = await self._opened.enter_async_context(opening)
            self.loops = wiring.loops(self.world)
        return self.world

    async def start(self) -> None:
        """Let the loops run, unless they do."""
        await self.open()
        if self._working is None:
            self._stop = asyncio.Event()
            self._working = asyncio.create_task(self._drive(), name="loops")
            self._working.add_done_callback(self._ended)

    async def rest(self, patience_s: float = LAST_STEP_S) -> None:
        """End the loops; a step that takes longer is cut off: it is done again from its rows."""
        if self._working is not None:
            self._patience_s = patience_s
            self._stop.set()
            working, self._working = self._working, None
            await working

    async def close(self) -> None:
        """Let go of the world and of all that is remembered of it."""
        await self.rest()
        self.world, self.loops = None, []
        await self._opened.aclose()

    def _ended(self, working: "asyncio.Task[None]") -> None:
        # A loop ends only by a bug of its own: then the process ends, and is started anew.
        if not working.cancelled() and (error := working.exception()) and not self.broken.done():
            self.broken.set_exception(error)

    async def _drive(self) -> None:
        assert self.world is not None
        loops = [loop for loop in self.loops if not self._only or loop.name in self._only]
        begin = self._in_turns if chance.is_sown() else self._side_by_side
        async with asyncio.TaskGroup() as group:
            tasks = begin(group, loops, self.world.database)
            await self._stop.wait()
            looking_on = {loop.name for loop in loops if loop.looks_on}
            for task in tasks:
                # It may wait for what the others would do, who end now; it begins anew anyway.
                if task.get_name() in looking_on:
                    task.cancel()
            # Some wait for others, which have ended: what is cut off is done again from its rows.
            _, late = await asyncio.wait(tasks, timeout=self._patience_s)
            for task in late:
                task.cancel()

    def _in_turns(
        self, group: asyncio.TaskGroup, loops: Sequence[wiring.Loop], database: Database
    ) -> list[asyncio.Task[None]]:
        log.info("worker runs in turns", pid=os.getpid(), loops=[loop.name for loop in loops])
        return in_turns(group, loops, self._stop, Pace(), database)

    def _side_by_side(
        self, group: asyncio.TaskGroup, loops: Sequence[wiring.Loop], database: Database
    ) -> list[asyncio.Task[None]]:
        pace, bells = Pace(), {loop.name: Bell() for loop in loops}
        conditions = {loop.name: loop.due for loop in loops if loop.due is not None}
        lookout = Lookout(database, conditions)
        log.info("worker runs", pid=os.getpid(), loops=[loop.name for loop in loops])
        tasks = [
            group.create_task(
                drive(
                    loop,
                    self._stop,
                    pace,
                    bells[loop.name],
                    [bells[name] for name in loop.wakes if name in bells],
                ),
                name=loop.name,
            )
            for loop in loops
        ]
        for loop in loops:
            if loop.announced is not None:
                hearing = hear(loop, bells[loop.name], self._stop, pace)
                tasks.append(group.create_task(hearing, name=f"hear {loop.name}"))
        looking = look(lookout, bells, self._stop, pace)
        tasks.append(group.create_task(looking, name="lookout"))
        ending = call_at_end(list(bells.values()), self._stop)
        tasks.append(group.create_task(ending, name="end"))
        return tasks


async def run(settings: Settings, only: Sequence[str] = ()) -> None:
    """Open the world and drive its loops until SIGTERM or SIGINT.

    Under a supervisor: as often as it says so.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    shift = Shift(settings, only)
    try:
        async with orders.taken(settings, "worker", orders.OfWorker(shift)):
            stopping = asyncio.create_task(stop.wait())
            ends: set[asyncio.Future[Any]] = {stopping, shift.broken}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if shift.broken.done():
                shift.broken.result()
    finally:
        await shift.close()


def main() -> None:
    """`python -m sandbox.worker [--only LOOP …]`."""
    parser = argparse.ArgumentParser(prog="sandbox.worker")
    parser.add_argument("--only", action="append", default=[], metavar="LOOP")
    options = parser.parse_args()
    settings = Settings()
    logging.configure(settings.log_level)
    memory.freeze()
    try:
        uvloop.run(run(settings, options.only))
    except LineClosed:
        log.warning("the supervisor stopped before there was a world to work on")


if __name__ == "__main__":
    main()
