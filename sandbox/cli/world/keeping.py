"""The supervisor's part in snapshots and restores: who is told what, in which order (ADR 0026)."""

import asyncio
import errno
import re
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from sandbox.cli.world import forking
from sandbox.cli.world.chains import Chains
from sandbox.cli.world.control_db import (
    LEFT,
    NEXT,
    SNAP,
    SPARE,
    WORLD,
    Connections,
    Control,
    Snapshot,
    iso,
    on_chains,
    renewal,
)
from sandbox.cli.world.hosts import AGAIN_S, FAILURES, Hosts, wait_for_all
from sandbox.core import failpoints
from sandbox.core.errors import NotFound, SandboxError
from sandbox.core.line import Values
from sandbox.devnets import datadir
from sandbox.devnets.children import Context
from sandbox.devnets.postgres_cluster import Cluster
from sandbox.lab.world_errors import (
    INITIAL,
    BadSnapshotName,
    NoRoom,
    NoRoomOnTheWay,
    SnapshotDamaged,
    SnapshotExists,
    SnapshotKept,
    TooManySnapshots,
    WorldCommandUnderWay,
    WorldNotChanged,
    WorldNotReady,
    WorldUnfinished,
)

MOST: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ROOM_BYTES: Final = 64_000_000
_FINISH_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 30.0
_ATTEMPTS: Final = 5
_NAMELESS: Final = 500  # what broke at a part that was asked, and has no name there


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts of the world are that is changed."""

    data_dir: Path
    cluster: Cluster
    databases: Connections
    rpcs: Mapping[str, str]
    forks_dir: Path


class Worlds:
    """Commands on the one live world; one at a time. `place` is known when all are started."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.broken: asyncio.Future[int] | None = None
        self.hosts = Hosts(self._asked)
        self._command: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sealing, self._copying = asyncio.Lock(), asyncio.Lock()
        self._has_spare: int | None = None

    async def _asked(self, what: str, values: Values) -> Values:
        commands: dict[str, Callable[..., Awaitable[Values]]] = {
            "snapshot": self.save,
            "restore": self.restore,
            "delete": self.delete,
            "fork": self.fork,
        }
        try:
            if what == "list":
                async with self._place.databases.one() as db:
                    return {"data": [one.as_json() for one in await db.snapshots()]}
            # Who asked may end: what was begun is not left half done for that.
            return await asyncio.shield(self._task(commands[what](**values)))
        except SandboxError:
            raise
        except FAILURES as error:
            # Before anything was begun: a part is away, as a database that starts again.
            raise WorldNotChanged(str(error) or repr(error)) from error

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
            try:
                async with self._standing_still(chains):
                    kept = await self._keep(db, chains, number, name)
            except SandboxError:
                # Halves would lie there until the next start, maybe on a disk that is full.
                with suppress(*FAILURES):
                    await self._forget_halves(db, chains, number)
                raise
            return kept.as_json()

    async def _keep(self, db: Control, chains: Chains, number: int, name: str) -> Snapshot:
        where = await self.hosts.settle(to_heads=True)
        await self.hosts.close()
        await db.clear_out(WORLD)
        failpoints.passed("snapshot.begun")
        await wait_for_all(db.copy(WORLD, f"{SNAP}{number}"), chains.snapshot(on_chains(number)))
        now = where["frozen_ms"] or _wall_ms() + where["offset_ms"]
        failpoints.passed("snapshot.copied")
        size = await db.size_of(f"{SNAP}{number}") + self._on_disk(on_chains(number))
        await db.close_to_all(f"{SNAP}{number}")
        kept = await db.keep(number, name, {**where, "at_ms": now, "size_bytes": size})
        failpoints.passed("snapshot.kept")
        return kept

    async def _forget_halves(self, db: Control, chains: Chains, number: int) -> None:
        # The answer to the commit may be what was lost: then it is whole.
        if all(one.id != number for one in await db.snapshots()):
            await db.drop(f"{SNAP}{number}")
            await chains.sweep(lambda found: found == on_chains(number))

    async def restore(self, name: str) -> Values:
        """Another world moves in: the snapshot's, in an epoch of its own."""
        began = time.monotonic()
        async with self._alone("restore") as db, self._chains() as chains:
            snapshot = await self._existing(db, name)
            self._check_room(2 * snapshot.size_bytes)
            if not await chains.have(snapshot.on_chains):
                raise SnapshotDamaged(name)
            epoch, former = await db.next_epoch(), await db.epoch()
            copying = self._task(self._next(snapshot, f"{NEXT}{epoch}"))
            is_chosen = False
            try:
                async with self._standing_still(chains):
                    left = await self.hosts.settle(to_heads=False)
                    await self.hosts.close()
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
                    try:
                        await db.move_in(command, f"{LEFT}{former}")
                    except FAILURES:
                        # The answer to the commit may be what was lost.
                        if not await self._is_chosen(epoch):
                            raise
                    is_chosen = True
                    failpoints.passed("restore.chosen")
                    now = await self._finish(chains, command)
                    failpoints.passed("restore.finished")
                    with suppress(*FAILURES):  # a devnet that starts anew has no drills
                        await chains.clear_faults()
            finally:
                if not is_chosen:
                    await asyncio.gather(copying, return_exceptions=True)
                    with suppress(*FAILURES):
                        await self._undo(epoch)
        self._task(self._spare(snapshot))
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
            if self._has_spare == snapshot.id:
                await self._spare(None)
        self._task(self._drop(snapshot.database))
        return {"object": "snapshot", "name": name, "deleted": True}

    async def fork(self, name: str, data_dir: str) -> Values:
        """Write a data directory of its own whose sandbox begins with a snapshot."""
        async with self._alone("fork") as db:
            snapshot = await self._existing(db, name)
            place = self._place
            target = forking.placed(data_dir, place.forks_dir)
            sizes = [await db.size_of(each) for each in await db.databases("")]
            self._check_room(sum(sizes) + self._on_disk(snapshot.on_chains))
            chains = list(place.rpcs)
            await forking.write(place.data_dir, place.cluster, chains, snapshot, target)
        return {"object": "fork", "name": name, "data_dir": str(target)}

    async def keep_initial(self) -> None:
        """The snapshot that `reset` goes back to, when the world is ready for the first time.

        Where it cannot be made, as on a full disk, there is none.
        """
        async with self._place.databases.one() as db:
            is_wanted = await db.wants_initial()
        for _ in range(_ATTEMPTS if is_wanted else 0):
            try:
                await self.save(INITIAL)
                return
            except SandboxError:
                # A machine that is busy with the start of everything may have time in a moment.
                await asyncio.sleep(AGAIN_S)
        if is_wanted:
            # A sandbox that cannot be reset is one still; what is kept later is not the beginning.
            async with self._place.databases.one() as db:
                await db.give_up_initial()

    async def until_broken(
        self, context: Context, then: Callable[[Context], Awaitable[int]] | None
    ) -> int:
        """Do `then`, or nothing for ever; ends with `WorldUnfinished` when a restore cannot end."""
        self.broken = asyncio.get_running_loop().create_future()
        self._task(self._spare(None))
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
        """Have the logs of all worlds that were left written as files; then they are dropped.

        What cannot be written now is tried again for as long as the sandbox is up.
        """
        pause_s = AGAIN_S
        while True:
            try:
                async with self._sealing, self._place.databases.one() as db:
                    for epoch in sorted(await self._left(db)):
                        # One whose drop was cut short is sealed, and nobody can read it again.
                        if not datadir.is_sealed(self._place.data_dir, epoch):
                            worker = self.hosts.some("worker")
                            await worker.line.ask("seal", database=f"{LEFT}{epoch}", epoch=epoch)
                        await db.drop(f"{LEFT}{epoch}")
                return {}
            except FAILURES:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    # Their parts.

    @asynccontextmanager
    async def _standing_still(self, chains: Chains) -> AsyncIterator[None]:
        """Doors closed, loops at rest, chains paused; afterwards all goes on.

        Raises `WorldNotChanged` for what fails in it, unless that has a name.
        """
        self.hosts.stop()
        paused: list[str] = []
        try:
            await wait_for_all(
                self._pause(chains, paused), *(host.ask("shut") for host in self.hosts.of("api"))
            )
            yield
        except (WorldUnfinished, asyncio.CancelledError):
            # Nothing goes on: the next start finishes it.
            paused.clear()
            raise
        except SandboxError as error:
            if error.status != _NAMELESS:
                raise
            raise WorldNotChanged(error.detail) from error
        except FAILURES as error:
            raise _named(error) from error
        finally:
            if self.broken is None or not self.broken.done():
                with suppress(*FAILURES):
                    await chains.resume(paused)
                await self.hosts.go_on()

    async def _pause(self, chains: Chains, paused: list[str]) -> Values:
        paused += await chains.pause()
        return {}

    async def _finish(self, chains: Chains, command: Mapping[str, Any]) -> Values:
        """Behind the point of no return: whatever fails is tried again for a while.

        Raises `WorldUnfinished`, and ends the stack.
        """
        deadline = time.monotonic() + _FINISH_S
        while True:
            try:
                worker = self.hosts.some("worker")
                opening = [host.ask("open") for host in self.hosts.of("api")]
                now: Values
                now, _, _ = await wait_for_all(
                    worker.ask("renew", **renewal(command)),
                    chains.restore(on_chains(command["id"])),
                    # Who fails here tries again when all goes on.
                    asyncio.gather(*opening, return_exceptions=True),
                )
                failpoints.passed("restore.renewed")
                await chains.set_clocks(now["offset_ms"], now["frozen_ms"])
                async with self._place.databases.one() as db:
                    await db.finished()
            except FAILURES as error:
                if time.monotonic() > deadline:
                    raise self._break(error) from error
                await asyncio.sleep(AGAIN_S)
            else:
                self._rewrite_endpoints(now)
                return now

    async def _is_chosen(self, epoch: int) -> bool:
        """Whether this epoch's world has moved in, asked until the database tells."""
        deadline = time.monotonic() + _FINISH_S
        while True:
            try:
                async with self._place.databases.one() as db:
                    return await db.epoch() == epoch
            except FAILURES as error:
                if time.monotonic() > deadline:
                    raise self._break(error) from error
                await asyncio.sleep(AGAIN_S)

    def _break(self, error: BaseException) -> WorldUnfinished:
        """End the stack: only a start can tell how to go on."""
        unfinished = WorldUnfinished(str(error) or repr(error))
        if self.broken is not None and not self.broken.done():
            self.broken.set_exception(unfinished)
        return unfinished

    async def _undo(self, epoch: int) -> None:
        async with self._place.databases.one() as db:
            datadir.unmark_sealing_but(self._place.data_dir, await self._left(db))
            await db.drop(f"{NEXT}{epoch}")

    def _rewrite_endpoints(self, now: Mapping[str, Any]) -> None:
        endpoints = datadir.read_endpoints(self._place.data_dir)
        if endpoints is not None:
            fresh = {**endpoints, "log_vkey": now["vkey"]}
            datadir.write_endpoints(self._place.data_dir, fresh)

    async def _next(self, snapshot: Snapshot, name: str) -> Values:
        """The database that moves in: the spare one if there is one, or a copy."""
        async with self._copying, self._place.databases.one() as db:
            if self._has_spare == snapshot.id:
                self._has_spare = None
                await db.rename(snapshot.spare, name)
            else:
                await db.copy(snapshot.database, name)
        return {}

    async def _spare(self, snapshot: Snapshot | None) -> Values:
        """Have a copy ready: who goes back once does so again. One at most; None: none."""
        with suppress(*FAILURES):
            async with self._copying, self._place.databases.one() as db:
                if snapshot is not None and self._has_spare == snapshot.id:
                    return {}
                self._has_spare = None
                for stale in await db.databases(SPARE):
                    await db.drop(stale)
                if snapshot is not None:
                    self._check_room(snapshot.size_bytes)
                    await db.copy(snapshot.database, snapshot.spare)
                    self._has_spare = snapshot.id
        return {}

    async def _drop(self, database: str) -> Values:
        with suppress(*FAILURES):  # the next start sweeps it away
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

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self._place.data_dir).free
        if free < needed + _ROOM_BYTES:
            raise NoRoom(needed + _ROOM_BYTES, free)

    def _on_disk(self, name: str) -> int:
        folders = [self._place.data_dir / chain / "snapshots" / name for chain in self._place.rpcs]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)


def _named(error: BaseException) -> SandboxError:
    """The refusal for what failed on the way; a chain tells of its disk by the system's number."""
    why = str(error) or repr(error)
    is_full = isinstance(error, asyncpg.DiskFullError) or f"[Errno {errno.ENOSPC}]" in why
    return NoRoomOnTheWay(why) if is_full else WorldNotChanged(why)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
