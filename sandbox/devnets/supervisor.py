"""Starts the stack in order, keeps it up, ends it in the reverse order; one per data directory.

It knows no command of its own: the cli hands the children in.
"""

import asyncio
import contextlib
import json
import shutil
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sandbox.devnets.children import Child, ChildFailed, ChildSpec, Context, rotate
from sandbox.devnets.datadir import (
    has_data,
    held,
    holder,
    open_data_dir,
    read_json,
    remove_endpoints,
    write_endpoints,
    write_private,
)
from sandbox.devnets.errors import DevnetError
from sandbox.devnets.ports import PortInUse, Ports, Wanted
from sandbox.devnets.processes import Process, kill_group

_CHILDREN: Final = "children.json"
_ORPHAN_S: Final = 10.0
_LET_GO_S: Final = 5.0
# PostgreSQL needs a segment of its log to start, and some more to recover.
_ROOM_BYTES: Final = 40_000_000
_LOOK_S: Final = 0.5

Endpoints = Callable[[Context], Awaitable[Mapping[str, Any]]]
Then = Callable[[Context], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened, for whoever shows it; `seconds` is how long it took."""

    kind: Literal[
        "orphan_ended",
        "starting",
        "ready",
        "died",
        "no_room",
        "restarted",
        "up",
        "stopping",
        "stopped",
    ]
    child: str | None
    text: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """A child that ends `deaths` times within `window_s` is not started again."""

    deaths: int = 4
    window_s: float = 30.0
    first_pause_s: float = 0.1
    longest_pause_s: float = 2.0


class KeepsDying(DevnetError):
    code = "child_keeps_dying"

    def __init__(self, child: Child, patience: Patience, why: DevnetError) -> None:
        self.name = child.name
        super().__init__(
            f"{child.name} died {patience.deaths} times within {patience.window_s:g} s; "
            f"the last time: {why.message}",
            why.remedy,
        )


class DoesNotStop(DevnetError):
    code = "does_not_stop"

    def __init__(self, pid: int, timeout_s: float) -> None:
        self.pid = pid
        super().__init__(
            f"the sandbox (pid {pid}) still runs after {timeout_s:g} s",
            f"wait, or end it with `kill -9 {pid}`: its children end with it",
        )


def _silent(_: Progress) -> None:
    pass


class Supervisor:
    """The stack of one data directory. `run` may be called once.

    Children of one stage start together, each stage when the one before it is ready.
    """

    def __init__(
        self,
        data_dir: Path,
        stages: Sequence[Sequence[ChildSpec]],
        *,
        wanted: Sequence[Wanted] = (),
        report: Callable[[Progress], None] = _silent,
        patience: Patience | None = None,
    ) -> None:
        names = [spec.name for stage in stages for spec in stage]
        assert len(set(names)) == len(names)
        self.data_dir = data_dir
        self._stages, self._wanted = stages, wanted
        self._report = report
        self._patience = patience or Patience()
        self._children: list[Child] = []
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Ask for the ordered stop; a second time: end everything at once."""
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def run(self, endpoints: Endpoints, then: Then | None = None) -> int:
        """Start all, write endpoints.json with what `endpoints` says, stay up, stop all.

        Ends with 0 when asked to (signal or `stop`), or with what `then` answers when it is done.
        Raises a DevnetError after the stop: AlreadyUp, OtherVersion, ChildFailed, KeepsDying, ...
        Must run in the main thread, which children are tied to.
        """
        self.data_dir = open_data_dir(self.data_dir)
        with held(self.data_dir), self._signals():
            work = asyncio.create_task(self._work(endpoints, then))
            stop = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
                return work.result() if work.done() else 0
            finally:
                await _cancelled(stop)
                await self._let_go(work)
                await self._stop_all()

    async def _let_go(self, work: "asyncio.Task[int]") -> None:
        """Cancel it; what it still waits for may be a child that hangs, and ends with that."""
        work.cancel()
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({work, hurry}, timeout=_LET_GO_S, return_when=asyncio.FIRST_COMPLETED)
        await _cancelled(hurry)

    async def _work(self, endpoints: Endpoints, then: Then | None) -> int:
        await self._end_orphans()
        context = Context(self.data_dir, Ports(self.data_dir, self._wanted))
        context.ports.check()
        keepers: set[asyncio.Task[None]] = set()
        main = asyncio.create_task(self._start_all(context, endpoints, then, keepers))
        try:
            while True:
                done, _ = await asyncio.wait(
                    {main, *keepers}, return_when=asyncio.FIRST_COMPLETED, timeout=0.5
                )
                for keeper in done - {main}:
                    keeper.result()  # a keeper ends only by its failure
                if main in done:
                    return main.result()
        finally:
            await _cancelled(main, *keepers)

    async def _start_all(
        self,
        context: Context,
        endpoints: Endpoints,
        then: Then | None,
        keepers: "set[asyncio.Task[None]]",
    ) -> int:
        began = time.monotonic()
        for stage in self._stages:
            try:
                async with asyncio.TaskGroup() as starting:
                    for spec in stage:
                        starting.create_task(self._start(spec, context, keepers))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
        write_endpoints(self.data_dir, await endpoints(context))
        self._say("up", None, "the sandbox is up", time.monotonic() - began)
        if then is not None:
            return await then(context)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def _start(
        self, spec: ChildSpec, context: Context, keepers: "set[asyncio.Task[None]]"
    ) -> None:
        rotate(context.data_dir / "logs" / f"{spec.name}.log")
        child = Child(spec, context)
        self._children.append(child)
        self._say("starting", child, f"{spec.name} starts")
        began = time.monotonic()
        deaths: deque[float] = deque()
        while True:
            try:
                await self._spawn(child)
                await child.become_ready()
                break
            except (ChildFailed, PortInUse) as why:
                if spec.one_shot or child.running():
                    raise
                if not context.ports.choose_again(*spec.ports):
                    await self._pause(child, deaths, why)
        self._say("ready", child, f"{spec.name} is ready", time.monotonic() - began)
        if spec.on_ready is not None:
            await spec.on_ready()
        if spec.one_shot:
            self._record()
        else:
            keepers.add(asyncio.create_task(self._keep(child, deaths)))

    async def _keep(self, child: Child, deaths: "deque[float]") -> None:
        while True:
            await child.ended()
            why: DevnetError = child.failed(child.how_it_ended())
            while True:
                began = time.monotonic()
                await self._pause(child, deaths, why)
                try:
                    await self._spawn(child)
                    await child.become_ready()
                    break
                except (ChildFailed, PortInUse) as failure:
                    if child.running():  # deaf, not dead: another start would not help
                        raise
                    why = failure
            self._say("restarted", child, f"{child.name} is back", time.monotonic() - began)

    async def _pause(self, child: Child, deaths: "deque[float]", why: DevnetError) -> None:
        """Wait until a dead child may be started again. Raises KeepsDying for one too often dead.

        On a full disk it would die for nothing: it is started when there is room again.
        """
        await self._room(child, why)
        now = time.monotonic()
        deaths.append(now)
        while now - deaths[0] > self._patience.window_s:
            deaths.popleft()
        if len(deaths) >= self._patience.deaths:
            raise KeepsDying(child, self._patience, why)
        self._say("died", child, f"{why.message}; it is started again")
        pause_s = self._patience.first_pause_s * 2 ** (len(deaths) - 1)
        await asyncio.sleep(min(pause_s, self._patience.longest_pause_s))

    async def _room(self, child: Child, why: DevnetError) -> None:
        is_said = False
        while (free := shutil.disk_usage(self.data_dir).free) < _ROOM_BYTES:
            if not is_said:
                text = f"{why.message}; {free // 1_000_000} MB are free at {self.data_dir}:"
                self._say("no_room", child, f"{text} it is started when there is more room")
            is_said = True
            await asyncio.sleep(_LOOK_S)

    async def _spawn(self, child: Child) -> None:
        await child.spawn()
        self._record()

    def _record(self) -> None:
        """Write down which children run."""
        recorded = []
        for each in self._children:
            process = Process.of(each.pid) if each.pid and each.running() else None
            if process is not None:
                record = {**asdict(process), "name": each.name, "stop": each.spec.stop_signal.name}
                recorded.append(record)
        # Only for orphans, of which there are next to none: no reason to end on a full disk.
        with contextlib.suppress(OSError):
            write_private(self.data_dir / _CHILDREN, json.dumps(recorded) + "\n")

    async def _stop_all(self) -> None:
        remove_endpoints(self.data_dir)
        self._say("stopping", None, "the sandbox stops")
        began = time.monotonic()
        for child in reversed(self._children):
            if not child.running():
                continue
            child_began = time.monotonic()
            await self._stop_one(child)
            self._say("stopped", child, f"{child.name} stopped", time.monotonic() - child_began)
        if self._children:  # else they are another one's, not ended yet
            (self.data_dir / _CHILDREN).unlink(missing_ok=True)
        self._say("stopped", None, "the sandbox is stopped", time.monotonic() - began)

    async def _stop_one(self, child: Child) -> None:
        stop = asyncio.create_task(child.stop())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({stop, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            await child.kill()
        await stop
        await _cancelled(hurry)

    async def _end_orphans(self) -> None:
        """End what a killed supervisor left; PDEATHSIG has done so for most."""
        remove_endpoints(self.data_dir)
        await end_orphans(self.data_dir, self._report)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        # nohup ignores HUP on purpose; INT is heard even where a shell's `&` has it ignored.
        heard = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            heard.append(signal.SIGHUP)
        for sign in heard:
            loop.add_signal_handler(sign, self.stop)
        try:
            yield
        finally:
            for sign in heard:
                loop.remove_signal_handler(sign)

    def _say(self, kind: Any, child: Child | None, text: str, seconds: float | None = None) -> None:
        # A closed terminal or pipe must not spoil the ordered stop.
        with contextlib.suppress(OSError):
            self._report(Progress(kind, child.name if child else None, text, seconds))


def down(data_dir: Path, *, timeout_s: float = 60.0) -> bool:
    """Stop the sandbox of this directory and wait for its end; False when none was up.

    Ends nothing that it did not start. Raises DoesNotStop, NotADataDir, OtherVersion.
    """
    if not has_data(data_dir):
        return False
    data_dir = open_data_dir(data_dir)
    first = holder(data_dir)
    if first is None:
        with held(data_dir):
            remove_endpoints(data_dir)
            return asyncio.run(end_orphans(data_dir, _silent))
    first.signal(signal.SIGTERM)
    if not first.wait(timeout_s):
        raise DoesNotStop(first.pid, timeout_s)
    return True


async def end_orphans(data_dir: Path, report: Callable[[Progress], None]) -> bool:
    """End recorded children that outlived their supervisor; call it only while holding the lock.

    Whom a cancelled one has not ended stays recorded.
    """
    path = data_dir / _CHILDREN
    records = read_json(path)
    found = False
    # The last started goes first, as in an ordered stop.
    for record in reversed(records if isinstance(records, list) else []):
        process = Process.read(record)
        if process is None or not process.alive():
            continue
        found = True
        process.signal(signal.Signals[record["stop"]])
        if not await process.gone(_ORPHAN_S):
            kill_group(process.pid)
            await process.gone(_ORPHAN_S)
        text = f"{record['name']} (pid {process.pid}) of a killed sandbox ended"
        report(Progress("orphan_ended", record["name"], text))
    path.unlink(missing_ok=True)
    return found


async def _cancelled(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
