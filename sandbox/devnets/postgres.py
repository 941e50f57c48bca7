"""A running embedded PostgreSQL: started here for tests, or as a child of the supervisor."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg

from sandbox.devnets.children import ChildSpec, Context
from sandbox.devnets.errors import DevnetError
from sandbox.devnets.ports import PortInUse, Wanted
from sandbox.devnets.postgres_cluster import APP, Cluster, PostgresBroken, last_line, prepare
from sandbox.devnets.processes import leashed

READY_TIMEOUT_S: Final = 30.0
_FAST_STOP_S: Final = 15.0
_IMMEDIATE_STOP_S: Final = 5.0
_FACT: Final = "postgres"
PORT: Final = "PostgreSQL"
_T = TypeVar("_T")


def child(settings: Mapping[str, str] = {}) -> ChildSpec:
    """PostgreSQL as a child of the supervisor; `cluster(context)` has its addresses."""

    async def command(context: Context) -> list[str]:
        # Prepared again before each start: a killed server leaves its pid file behind.
        former: Cluster | None = context.facts.get(_FACT)
        prepared = await prepare(
            context.data_dir,
            port=context.ports.get(PORT),
            settings=settings,
            identity=former.identity if former else None,
        )
        context.facts[_FACT] = prepared
        return prepared.command()

    async def ready(context: Context) -> bool:
        try:
            await check(cluster(context))
        except NOT_READY:
            return False
        except asyncpg.InvalidPasswordError:
            raise _foreign_passwords(context.data_dir) from None
        return True

    return ChildSpec(
        "postgres",
        command,
        ready,
        timeout_s=READY_TIMEOUT_S,
        # Fast shutdown: TERM would wait for the clients to leave.
        stop_signal=signal.SIGINT,
        stop_timeout_s=_FAST_STOP_S,
        death_signal=signal.SIGINT,
        identity=lambda context: cluster(context).identity,
        ports=(PORT,),
    )


def cluster(context: Context) -> Cluster:
    found = context.facts[_FACT]
    assert isinstance(found, Cluster)
    return found


async def check(cluster: Cluster) -> None:
    """Connect once as the owner and make sure that the app role exists; OSError while not ready.

    The password is the proof that the server on this port is ours and no other.
    """
    db = await asyncpg.connect(cluster.owner_url(), timeout=5)
    try:
        if not await db.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", APP):
            # URL-safe by construction, so it needs no quoting here.
            await db.execute(f"CREATE ROLE {APP} LOGIN PASSWORD '{cluster.app_password}'")
    finally:
        await db.close(timeout=5)


def execute(url: str, *statements: str) -> None:
    """Run statements as the role of `url`, each in a transaction of its own; from sync code."""

    async def work() -> None:
        db = await asyncpg.connect(url)
        try:
            for statement in statements:
                await db.execute(statement)
        finally:
            await db.close()

    _in_a_loop_of_its_own(work)


NOT_READY: Final = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
)


class Running:
    """A server that this process started."""

    def __init__(self, cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
        self.cluster, self._process = cluster, process

    @property
    def url(self) -> str:
        return self.cluster.owner_url()

    @property
    def port(self) -> int:
        return self.cluster.port

    @property
    def pid(self) -> int:
        return self._process.pid

    def owner_url(self, dbname: str = "postgres") -> str:
        return self.cluster.owner_url(dbname)

    def app_url(self, dbname: str = "postgres") -> str:
        return self.cluster.app_url(dbname)

    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """Fast shutdown (sessions are cut, data is flushed), harder after 15 s; ends when gone."""
        for sign, wait_s in (
            (signal.SIGINT, _FAST_STOP_S),
            (signal.SIGQUIT, _IMMEDIATE_STOP_S),
            (signal.SIGKILL, _IMMEDIATE_STOP_S),
        ):
            if not self.alive():
                return
            self._process.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(wait_s)
                return


def start(data_dir: Path, *, port: int = 0, settings: Mapping[str, str] = {}) -> Running:
    """A server that answers; it ends with the calling thread. Raises as `prepare` does.

    `settings` are server parameters that win over ours; durability is on unless they turn it off.
    """
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        cluster = _in_a_loop_of_its_own(lambda: prepare(data_dir, port=port, settings=settings))
        with cluster.log.open("ab") as log:
            log_start = log.tell()
            process = subprocess.Popen(
                leashed(cluster.command(), signal.SIGINT, cluster.identity),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running = Running(cluster, process)
        try:
            _await_ready(running, deadline)
        except BaseException:
            running.stop()
            raise
        if running.alive():
            return running
        said = cluster.log.read_bytes()[log_start:].decode(errors="replace")
        if time.monotonic() > deadline or not _worth_another_try(said, port):
            raise _why(cluster, said, port)
        time.sleep(0.1)


def _await_ready(running: Running, deadline: float) -> None:
    while running.alive():
        try:
            _in_a_loop_of_its_own(lambda: check(running.cluster))
        except NOT_READY:
            if time.monotonic() > deadline:
                raise PostgresBroken(
                    running.cluster.data_dir, f"not ready after {READY_TIMEOUT_S:.0f} s"
                ) from None
            time.sleep(0.02)
        except asyncpg.InvalidPasswordError:
            raise _foreign_passwords(running.cluster.data_dir) from None
        else:
            return


def _foreign_passwords(data_dir: Path) -> PostgresBroken:
    return PostgresBroken(data_dir, "its passwords are not those of this cluster")


def _in_a_loop_of_its_own(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """`start` may be called where an event loop runs already."""
    with ThreadPoolExecutor(1, "postgres") as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def _worth_another_try(said: str, port: int) -> bool:
    # Backends of a killed server need a moment to notice; a free port can be lost to another.
    return "still in use" in said or (port == 0 and "Address already in use" in said)


def _why(cluster: Cluster, said: str, port: int) -> DevnetError:
    if port and "Address already in use" in said:
        return PortInUse(Wanted(PORT, port))
    return PostgresBroken(cluster.data_dir, last_line(said))
