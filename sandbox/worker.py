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
from collections.abc import Sequence

if __name__ == "__main__":
    gc.disable()  # until `memory.freeze`

import structlog
import uvloop

from sandbox import wiring
from sandbox.core import log as logging
from sandbox.core import memory
from sandbox.core.db import LostLead, is_disconnect
from sandbox.core.errors import Unavailable
from sandbox.core.settings import Settings

log = structlog.get_logger()

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
LAST_STEP_S = 5.0
QUIET_AFTER_S = 5.0
QUIET_FACTOR = 5
QUIET_IDLE_S = 0.5


class Pace:
    """How long loops rest: a sandbox that nobody uses should cost a laptop next to nothing."""

    def __init__(self) -> None:
        self._worked = time.monotonic()

    def worked(self, loop: wiring.Loop) -> None:
        """A loop found something to do; a chain's empty blocks are no sign of use."""
        if not loop.follows:
            self._worked = time.monotonic()

    def rest_s(self, loop: wiring.Loop) -> float:
        """Seconds until an idle loop looks again."""
        if time.monotonic() - self._worked < QUIET_AFTER_S:
            return loop.idle_s
        return max(loop.idle_s, min(loop.idle_s * QUIET_FACTOR, QUIET_IDLE_S))


async def drive(loop: wiring.Loop, stop: asyncio.Event, pace: Pace) -> None:
    """Repeat one loop until `stop`: at once while there is work, with a pause after a failure.

    Nothing a step does may end the loop: what failed is said and tried again from its rows.
    """
    pause = FIRST_PAUSE_S
    while not stop.is_set():
        try:
            worked = await loop.step()
            if worked:
                pace.worked(loop)
            wait = loop.busy_s if worked else pace.rest_s(loop)
            pause = FIRST_PAUSE_S
        except LostLead:
            log.warning("lead lost", loop=loop.name)
            wait = pause
        except Exception as error:
            wait, pause = pause, min(pause * 2, LONGEST_PAUSE_S)
            if isinstance(error, Unavailable) or is_disconnect(error):
                log.warning("waiting for a part", loop=loop.name, error=str(error))
            else:
                log.exception("a step failed", loop=loop.name)
        # A loop that always finds work still lets the others run.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait) if wait else await asyncio.sleep(0)


async def run(settings: Settings, only: Sequence[str] = ()) -> None:
    """Open the world and drive its loops until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with wiring.open_world(settings, signing=True) as world:
        loops = [loop for loop in wiring.loops(world) if not only or loop.name in only]
        pace = Pace()
        log.info("worker runs", pid=os.getpid(), loops=[loop.name for loop in loops])
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(drive(loop, stop, pace), name=loop.name) for loop in loops]
            await stop.wait()
            # Some wait for others, which have ended: what is cut off is done again from its rows.
            _, late = await asyncio.wait(tasks, timeout=LAST_STEP_S)
            for task in late:
                task.cancel()


def main() -> None:
    """`python -m sandbox.worker [--only LOOP …]`."""
    parser = argparse.ArgumentParser(prog="sandbox.worker")
    parser.add_argument("--only", action="append", default=[], metavar="LOOP")
    options = parser.parse_args()
    settings = Settings()
    logging.configure(settings.log_level)
    memory.freeze()
    uvloop.run(run(settings, options.only))


if __name__ == "__main__":
    main()
