"""`sandbox doctor`: what keeps a sandbox from starting or working here, each with its remedy.

It only looks: nothing is made, ended or changed, also not in a damaged data directory.
"""

import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import httpx2

from contracts.evm import ARTIFACTS, CONTRACTS, source_sha256
from sandbox.cli import show
from sandbox.devnets import datadir, postgres_cluster
from sandbox.devnets.errors import DevnetError
from sandbox.devnets.evm import anvil
from sandbox.devnets.ports import Wanted, is_free
from sandbox.devnets.processes import Process

LEAST_PYTHON: Final = (3, 11)
LEAST_NODE: Final = 20
LEAST_FREE_MB: Final = 500
# What a clock may be behind the files it dated: their stamps are coarse.
BEHIND_S: Final = 5
_SECRET_FOLDERS: Final = ("keys", "wallets", "listeners")
_SECRET_FILES: Final = ("endpoints.json", "postgres.json", "prepared.json")
# /readyz answers within 2 s whatever hangs behind it: who needs longer hangs itself.
_ANSWER_S: Final = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One line; `remedy` says what to do when it is not ok."""

    name: str
    ok: bool
    said: str
    remedy: str = ""


def run(data_dir: Path, ports: Sequence[Wanted], as_json: bool) -> int:
    """Print every finding; 1 when one is wrong."""
    found = list(findings(data_dir, ports))
    is_well = all(one.ok for one in found)
    if as_json:
        body = {"ok": is_well, "findings": [asdict(one) for one in found]}
        print(json.dumps(body, ensure_ascii=False), flush=True)
    else:
        for one in found:
            mark = "[green]✓[/]" if one.ok else "[red]✗[/]"
            show.out.print(f"{mark} [bold]{one.name}[/] ", end="")
            show.out.print(one.said, markup=False)
            if one.remedy:
                show.out.print(f"  → {one.remedy}", markup=False)
    return 0 if is_well else 1


def findings(data_dir: Path, ports: Sequence[Wanted]) -> Iterator[Finding]:
    """Everything that is looked at; `ports` are those that `sandbox up` would be asked for."""
    yield python()
    yield from chain_programs()
    yield postgresql()
    yield contracts()
    data_dir = data_dir.absolute()
    yield disk(data_dir)
    yield (directory := data_directory(data_dir))
    supervisor = datadir.holder(data_dir) if directory.ok else None
    if directory.ok and data_dir.exists():
        yield modes(data_dir)
        yield clock(data_dir)
        yield leftovers(data_dir, supervisor)
    if supervisor is not None:
        yield readiness(data_dir)
    else:
        for wanted in ports:
            yield free_port(wanted)


def python() -> Finding:
    said = platform.python_version()
    if sys.version_info >= LEAST_PYTHON:
        return Finding("Python", True, said)
    least = ".".join(map(str, LEAST_PYTHON))
    return Finding("Python", False, said, f"install Python {least} or newer, then `make setup`")


def chain_programs() -> Iterator[Finding]:
    """anvil, and Node, which only installs it."""
    try:
        said = _version(str(anvil.find_program()))
        is_right = anvil.VERSION in said
        remedy = "" if is_right else f"run `npm ci --ignore-scripts`: {anvil.VERSION} is needed"
        yield Finding("anvil", is_right, said.splitlines()[0], remedy)
        has_anvil = True
    except anvil.AnvilMissing:
        yield Finding("anvil", True, "not installed: the EVM chain runs on eth-tester, slower")
        has_anvil = False
    except OSError as error:
        yield Finding("anvil", False, str(error), "run `npm ci --ignore-scripts` again")
        has_anvil = False
    node = shutil.which("node")
    said = _version(node) if node else "not installed"
    major = said.removeprefix("v").split(".")[0]
    is_new = major.isdigit() and int(major) >= LEAST_NODE
    yield Finding(
        "Node",
        is_new or has_anvil,
        said if is_new or not has_anvil else f"{said}; only `make setup` needs it",
        "" if is_new or has_anvil else f"install Node {LEAST_NODE} or newer, then `make setup`",
    )


def postgresql() -> Finding:
    try:
        return Finding("PostgreSQL", True, _version(str(postgres_cluster.binary("postgres"))))
    except DevnetError as error:
        return Finding("PostgreSQL", False, error.message, error.remedy)
    except OSError as error:
        return Finding("PostgreSQL", False, str(error), "run `make setup` again")


def contracts(folder: Path = ARTIFACTS) -> Finding:
    """Stale ones are compiled anew when they are needed; that takes time, and a compiler."""
    stale = []
    for name in CONTRACTS:
        stored = datadir.read_json(folder / f"{name}.json")
        if not isinstance(stored, dict) or stored.get("source_sha256") != source_sha256():
            stale.append(name)
    if not stale:
        return Finding("contracts", True, "compiled from these sources")
    said = f"not compiled from these sources: {', '.join(stale)}"
    return Finding("contracts", False, said, "run `python -m contracts.evm_build`")


def disk(data_dir: Path, least_mb: int = LEAST_FREE_MB) -> Finding:
    """Where the data is, or would be."""
    folder = datadir.nearest(data_dir)
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    said = f"{free_mb:,} MB free at {folder}"
    if free_mb >= least_mb:
        return Finding("disk", True, said)
    return Finding("disk", False, said, f"make room: {least_mb} MB at least")


def data_directory(data_dir: Path) -> Finding:
    """Its version, and whether it is ours to use."""
    name = "data directory"
    try:
        datadir.check_usable(data_dir)
        datadir.holder(data_dir)
    except DevnetError as error:
        return Finding(name, False, error.message, error.remedy)
    if not data_dir.exists():
        return Finding(name, True, f"{data_dir} is made at the first start")
    if not (data_dir / "version").exists():
        return Finding(name, True, f"{data_dir} is empty")
    return Finding(name, True, f"{data_dir}, version {datadir.VERSION}")


def modes(data_dir: Path) -> Finding:
    """Keys and passwords are for their owner alone."""
    secret = [data_dir / name for name in _SECRET_FILES]
    for folder in _SECRET_FOLDERS:
        secret += [data_dir / folder, *(data_dir / folder).rglob("*")]
    wrong = []
    for path in secret:
        if path.exists() and (path.stat().st_mode & 0o077 or path.stat().st_uid != os.geteuid()):
            wrong.append(str(path.relative_to(data_dir)))
    # 0711 lets PostgreSQL as uid 65534 pass through; others see no names either way.
    if data_dir.stat().st_mode & 0o066:
        wrong.insert(0, ".")
    if not wrong:
        return Finding("file modes", True, "keys and passwords are yours alone")
    said = f"open to others: {', '.join(wrong[:5])}" + (" …" if len(wrong) > 5 else "")
    folders = " ".join(
        str(data_dir / name) for name in _SECRET_FOLDERS if (data_dir / name).exists()
    )
    own = f"chown -R {os.geteuid()} {folders}; " if _foreign(secret) else ""
    return Finding("file modes", False, said, f"{own}chmod -R go= {data_dir}")


def _foreign(paths: list[Path]) -> bool:
    return any(path.exists() and path.stat().st_uid != os.geteuid() for path in paths)


def clock(data_dir: Path) -> Finding:
    """A clock that went back: files that are younger than now."""
    stamps = [entry.stat().st_mtime for entry in data_dir.iterdir()]
    ahead = max(stamps, default=0.0) - time.time()
    if ahead <= BEHIND_S:
        return Finding("clock", True, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    return Finding(
        "clock",
        False,
        f"the data was written {ahead:,.0f} s later than the clock shows: it went back",
        "set the clock right; until then new events are dated before older ones",
    )


def leftovers(data_dir: Path, supervisor: Process | None) -> Finding:
    """Children that outlived a killed supervisor."""
    name = "processes"
    if supervisor is not None:
        return Finding(name, True, f"a sandbox runs on this directory (pid {supervisor.pid})")
    try:
        records = datadir.read_json(data_dir / "children.json")
    except OSError as error:
        return Finding(name, False, str(error), "run the doctor as who ran `sandbox up`")
    alive = []
    for record in records if isinstance(records, list) else []:
        process = Process.read(record)
        if process is not None and process.alive():
            alive.append(f"{record['name']} (pid {process.pid})")
    if not alive:
        return Finding(name, True, "no sandbox runs on this directory, and nothing of a former one")
    said = f"left by a killed sandbox: {', '.join(alive)}"
    return Finding(name, False, said, f"run `sandbox down --data-dir {data_dir}`")


def readiness(data_dir: Path) -> Finding:
    """What the running sandbox says of itself."""
    endpoints = datadir.read_endpoints(data_dir)
    if endpoints is None:
        return Finding("readiness", False, "it still starts, or stops", "ask again in a moment")
    try:
        answer = httpx2.get(f"{endpoints['api']}/readyz", timeout=_ANSWER_S, trust_env=False)
        missing = answer.json()["not_ready"]
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        said = f"the API does not answer: {error}"
        return Finding("readiness", False, said, f"see {data_dir / 'logs' / 'api.log'}")
    if not missing:
        return Finding("readiness", True, "every part works")
    logs = data_dir / "logs"
    return Finding("readiness", False, f"not ready: {', '.join(missing)}", f"see {logs}")


def free_port(wanted: Wanted, holder: Callable[[int], str] | None = None) -> Finding:
    """Free, or whose it is."""
    name = f"port {wanted.port}"
    if is_free(wanted.port):
        return Finding(name, True, f"free, for {wanted.what}")
    said = f"wanted for {wanted.what}, in use by {(holder or port_holder)(wanted.port)}"
    remedy = f"stop that program, or give `sandbox up` another port with {wanted.option}"
    return Finding(name, False, said, remedy)


def port_holder(port: int) -> str:
    """The program that listens there, as far as this user may see it (proc(5))."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(_link(handle) in inodes for handle in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # gone meanwhile, or another user's
    return "a program of another user"


def _link(handle: Path) -> str:
    try:
        return os.readlink(handle) if stat.S_ISLNK(handle.lstat().st_mode) else ""
    except OSError:
        return ""


def _version(program: str) -> str:
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode != 0:
        raise OSError(f"{program} does not run: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout.strip()
