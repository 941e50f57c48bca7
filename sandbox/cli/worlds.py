"""The supervisor's part in snapshots and restores: who is told what, in which order (ADR 0026)."""

import asyncio
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from sandbox.cli import forking
from sandbox.cli.control_db import (
    INITIAL,
    LEFT,
    NEXT,
    SNAP,
    WORLD,
    Connections,
    Control,
    Snapshot,
    iso,
    on_chains,
    renewal,
)
from sandbox.cli.world_chains import ChainRefused, Chains, ChainSilent
from sandbox.cli.world_errors import (
    BadSnapshotName,
    NoRoom,
    SnapshotDamaged,
    SnapshotExists,
    SnapshotKept,
    TooManySnapshots,
    WorldCommandUnderWay,
    WorldNotChanged,
    WorldNotReady,
    WorldUnfinished,
)
from sandbox.core import failpoints
from sandbox.core.errors import NotFound, SandboxError
from sandbox.core.line import Line, LineClosed, Values
from sandbox.devnets import datadir
from sandbox.devnets.children import Context
from sandbox.devnets.postgres_cluster import Cluster

MOST: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ROOM_BYTES: Final = 64_000_000
_ANSWER_S: Final = 30.0
_FINISH_S: Final = 60.0
# What a step of a worker may still take: before a snapshot it ends well, a world that is left
# needs nothing of it any more.
_LAST_STEP_S, _LEFT_STEP_S = 5.0, 0.05
_FAILURES: Final = (
    OSError,
    TimeoutError,
    LineClosed,
    ChainRefused,
    ChainSilent,
    SandboxError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts of the world are that is changed."""

    data_dir: Path
    cluster: Cluster
    databases: Connections
    rpcs: Mapping[str, str]


@dataclass(slots=True, eq=False)
class Host:
    """A process that holds the world open, or would."""

    role: str
    line: Line
    is_open: bool

    async def ask(self, what: str, **values: Any) -> Values:
        async with asyncio.timeout(_ANSWER_S):
            return await self.line.ask(what, **values)


class Worlds:
    """Commands on the one live world; one at a time. `place` is known when all are started."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.broken: asyncio.Future[int] | None = None
        self._hosts: list[Host] = []
        self._is_changing = False
        self._command: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sealing = asyncio.Lock()

    async def serve(self, end: socket.socket) -> None:
        """A child's control line, until the child has ended."""
        joined: list[Host] = []

        async def answer(what: str, values: Values) -> Values:
            if what != "join":
                return await self._asked(what, values)
            host = Host(values["role"], line, is_open=not self._is_changing)
            joined.append(host)
            self._hosts.append(host)
            return {"open": host.is_open}

        line = await Line.over(end, answer)
        try:
            await line.run()
        finally:
            for host in joined:
                self._hosts.remove(host)

    async def _asked(self, what: str, values: Values) -> Values:
        commands: dict[str, Callable[..., Awaitable[Values]]] = {
            "snapshot": self.save,
            "restore": self.restore,
            "delete": self.delete,
            "fork": self.fork,
        }
        if what == "list":
            async with self._place.databases.one() as db:
                return {"data": [one.as_json() for one in await db.snapshots()]}
        # Who asked may end: what was begun is not left half done for that.
        return await asyncio.shield(self._task(commands[what](**values)))

    def _task(self, work: Any) -> "asyncio.Task[Values]":
        task: asyncio.Task[Values] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def _place(self) -> Place:
        if self.place is None:
            raise WorldNotReady("world")
        return self.place

    @asynccontextmanager
    async def _alone(self, what: str) -> AsyncIterator[Control]:
        if self._command is not None:
            raise WorldCommandUnderWay(self._command)
        self._command = what
        try:
            async with self._place.databases.one() as db:
                yield db
        finally:
            self._command = None

    # Commands.

    async def save(self, name: str) -> Values:
        """Keep the world as it is under a name."""
        if not _NAME.fullmatch(name):
            raise BadSnapshotName
        async with self._alone("snapshot") as db, self._chains() as chains:
            known = await db.snapshots()
            if any(one.name == name for one in known):
                raise SnapshotExists(name)
            if len(known) >= MOST:
                raise TooManySnapshots(MOST)
            self._check_room(await db.size_of(WORLD))
            number = await db.next_number()
            async with self._standing_still(chains):
                where = await self._settled(to_heads=True)
                await self._close_all()
                await db.clear_out(WORLD)
                failpoints.passed("snapshot.begun")
                await asyncio.gather(
                    db.copy(WORLD, f"{SNAP}{number}"), chains.snapshot(on_chains(number))
                )
                now = where["frozen_ms"] or _wall_ms() + where["offset_ms"]
                failpoints.passed("snapshot.copied")
                size = await db.size_of(f"{SNAP}{number}") + self._on_disk(on_chains(number))
                await db.close_to_all(f"{SNAP}{number}")
                kept = await db.keep(number, name, {**where, "at_ms": now, "size_bytes": size})
                failpoints.passed("snapshot.kept")
            return kept.as_json()

    async def restore(self, name: str) -> Values:
        """Another world moves in: the snapshot's, in an epoch of its own."""
        began = time.monotonic()
        async with self._alone("restore") as db, self._chains() as chains:
            snapshot = await self._existing(db, name)
            self._check_room(2 * snapshot.size_bytes)
            if not await chains.have(snapshot.on_chains):
                raise SnapshotDamaged(name)
            epoch, former = await db.next_epoch(), await db.epoch()
            copying = self._task(self._copy(snapshot.database, f"{NEXT}{epoch}"))
            is_chosen = False
            try:
                async with self._standing_still(chains):
                    left = await self._settled(to_heads=False)
                    await self._close_all()
                    await copying
                    failpoints.passed("restore.copied")
                    command = {
                        "id": snapshot.id,
                        "snapshot": name,
                        "at_ms": snapshot.at_ms,
                        "epoch": epoch,
                        "left": left,
                    }
                    datadir.mark_sealing(self._place.data_dir, former)
                    await db.move_in(command, f"{LEFT}{former}")
                    is_chosen = True
                    failpoints.passed("restore.chosen")
                    now = await self._finish(chains, command)
                    failpoints.passed("restore.finished")
                    await chains.clear_faults()
            finally:
                if not is_chosen:
                    datadir.unmark_sealing_but(self._place.data_dir, await self._left(db))
                    await asyncio.gather(copying, return_exceptions=True)
                    with suppress(*_FAILURES):
                        await db.drop(f"{NEXT}{epoch}")
        self._task(self.seal_left())
        return {
            "object": "world",
            "epoch": epoch,
            "now": iso(now["frozen_ms"] or _wall_ms() + now["offset_ms"]),
            "restored": name,
            "took_ms": int((time.monotonic() - began) * 1000),
        }

    async def delete(self, name: str) -> Values:
        """Forget a snapshot."""
        if name == INITIAL:
            raise SnapshotKept
        async with self._alone("delete") as db, self._chains() as chains:
            snapshot = await self._existing(db, name)
            await db.forget(snapshot)
            await chains.sweep(lambda found: found == snapshot.on_chains)
        self._task(self._drop(snapshot.database))
        return {"object": "snapshot", "name": name, "deleted": True}

    async def fork(self, name: str, data_dir: str) -> Values:
        """Write a data directory of its own whose sandbox begins with a snapshot."""
        async with self._alone("fork") as db:
            snapshot = await self._existing(db, name)
            sizes = [await db.size_of(each) for each in await db.databases("")]
            self._check_room(sum(sizes) + self._on_disk(snapshot.on_chains))
            place = self._place
            chains = list(place.rpcs)
            target = await forking.write(place.data_dir, place.cluster, chains, snapshot, data_dir)
        return {"object": "fork", "name": name, "data_dir": str(target)}

    async def keep_initial(self) -> None:
        """The snapshot that `reset` goes back to, when the world is ready for the first time."""
        async with self._place.databases.one() as db:
            is_wanted = await db.wants_initial()
        if is_wanted:
            await self.save(INITIAL)

    async def until_broken(
        self, context: Context, then: Callable[[Context], Awaitable[int]] | None
    ) -> int:
        """Do `then`, or nothing for ever; ends with `WorldUnfinished` when a restore cannot end."""
        self.broken = asyncio.get_running_loop().create_future()
        self._task(self.seal_left())
        staying = asyncio.ensure_future(then(context)) if then else None
        ends = {self.broken} if staying is None else {self.broken, staying}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return await done.pop()
        finally:
            self._place.databases.end()
            if staying is not None:
                staying.cancel()
                await asyncio.gather(staying, return_exceptions=True)

    async def seal_left(self) -> Values:
        """Have the logs of all worlds that were left written as files; then they are dropped."""
        async with self._sealing, self._place.databases.one() as db:
            for database in await db.databases(LEFT):
                epoch = int(database.removeprefix(LEFT))
                worker = self._some("worker")
                await worker.line.ask("seal", database=database, epoch=epoch)
                await db.drop(database)
        return {}

    # Their parts.

    @asynccontextmanager
    async def _standing_still(self, chains: Chains) -> AsyncIterator[None]:
        """Doors closed, loops at rest, chains paused; afterwards all goes on.

        Raises `WorldNotChanged` for what fails in it, unless that has a name.
        """
        for role in ("api", "worker"):
            self._some(role)
        self._is_changing = True
        for host in self._hosts:
            host.is_open = False
        paused: list[str] = []
        try:
            apis = [host.ask("shut") for host in self._of("api")]
            pausing = self._task(self._pause(chains, paused))
            await asyncio.gather(pausing, *apis)
            yield
        except (WorldUnfinished, asyncio.CancelledError):
            # Nothing goes on: the next start finishes it.
            paused.clear()
            raise
        except SandboxError:
            raise
        except _FAILURES as error:
            raise WorldNotChanged(_words(error)) from error
        finally:
            if self.broken is None or not self.broken.done():
                with suppress(*_FAILURES):
                    await chains.resume(paused)
                await self._go_on()

    async def _pause(self, chains: Chains, paused: list[str]) -> Values:
        paused += await chains.pause()
        return {}

    async def _settled(self, *, to_heads: bool) -> Values:
        """All workers rest, and the world's log has come to its end; where it stands."""
        workers = self._of("worker")
        patience_s = _LAST_STEP_S if to_heads else _LEFT_STEP_S
        values = {"patience_s": patience_s, "release": len(workers) > 1}
        await asyncio.gather(*(host.ask("rest", **values) for host in workers))
        return await self._some("worker").ask("drain", to_heads=to_heads)

    async def _close_all(self) -> None:
        await asyncio.gather(*(host.ask("close") for host in self._hosts))

    async def _go_on(self) -> None:
        while closed := [host for host in self._hosts if not host.is_open]:
            for host in closed:
                host.is_open = True
            # One that has ended meanwhile is started again, and asks whether it may open.
            await asyncio.gather(*(host.ask("go_on") for host in closed), return_exceptions=True)
        self._is_changing = False

    async def _finish(self, chains: Chains, command: Mapping[str, Any]) -> Values:
        """Behind the point of no return: whatever fails is tried again for a while.

        Raises `WorldUnfinished`, and ends the stack.
        """
        deadline = time.monotonic() + _FINISH_S
        while True:
            try:
                opening = [host.ask("open") for host in self._of("api")]
                now, _, _ = await asyncio.gather(
                    self._some("worker").ask("renew", **renewal(command)),
                    chains.restore(on_chains(command["id"])),
                    asyncio.gather(*opening, return_exceptions=True),
                )
                failpoints.passed("restore.renewed")
                await chains.set_clocks(now["offset_ms"], now["frozen_ms"])
                async with self._place.databases.one() as db:
                    await db.finished()
            except _FAILURES as error:
                if time.monotonic() > deadline:
                    unfinished = WorldUnfinished(_words(error))
                    if self.broken is not None and not self.broken.done():
                        self.broken.set_exception(unfinished)
                    raise unfinished from error
                await asyncio.sleep(0.2)
            else:
                self._rewrite_endpoints(now)
                return now

    def _rewrite_endpoints(self, now: Mapping[str, Any]) -> None:
        endpoints = datadir.read_endpoints(self._place.data_dir)
        if endpoints is not None:
            fresh = {**endpoints, "log_vkey": now["vkey"]}
            datadir.write_endpoints(self._place.data_dir, fresh)

    async def _copy(self, source: str, target: str) -> Values:
        async with self._place.databases.one() as db:
            await db.copy(source, target)
        return {}

    async def _drop(self, database: str) -> Values:
        async with self._place.databases.one() as db:
            await db.drop(database)
        return {}

    async def _left(self, db: Control) -> set[int]:
        return {int(name.removeprefix(LEFT)) for name in await db.databases(LEFT)}

    async def _existing(self, db: Control, name: str) -> Snapshot:
        found = await db.snapshot(name)
        if found is None:
            raise NotFound("snapshot", name[:64])
        return found

    def _chains(self) -> Chains:
        return Chains(self._place.rpcs)

    def _of(self, role: str) -> list[Host]:
        return [host for host in self._hosts if host.role == role]

    def _some(self, role: str) -> Host:
        found = self._of(role)
        if not found:
            raise WorldNotReady(role)
        return found[0]

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self._place.data_dir).free
        if free < needed + _ROOM_BYTES:
            raise NoRoom(needed + _ROOM_BYTES, free)

    def _on_disk(self, name: str) -> int:
        folders = [self._place.data_dir / chain / "snapshots" / name for chain in self._place.rpcs]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _words(error: BaseException) -> str:
    return str(error) or repr(error)
