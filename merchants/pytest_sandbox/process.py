"""The sandbox of a test run: one that runs already, or a child that ends with the run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import httpx2

from merchants.pytest_sandbox.errors import (
    SandboxDidNotStart,
    SandboxDied,
    SandboxInUse,
    SandboxMissing,
)

PREFIX: Final = "sandbox-pytest-"
# Blocks as quick as they can be: a test waits for finality, and nobody looks on.
QUICK: Final = (
    *("--port", "0", "--solana-port", "0", "--evm-port", "0"),
    *("--slot-ms", "40", "--evm-block-ms", "40", "--evm-final-delay-ms", "160"),
)
_LOCK: Final = "pytest.lock"
_KEPT: Final = "pytest.kept"
_LOG: Final = "pytest-up.log"
_STOP_SECONDS: Final = 30
_STALE_SECONDS: Final = 3600
_TAIL_LINES: Final = 25
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  the directory is made by mkdtemp
_MEMORY_BYTES: Final = 2 << 30


def find_program(given: str | None) -> list[str]:
    """The command that is given, the one beside this Python, or one on the PATH.

    Raises SandboxMissing.
    """
    if given:
        command = shlex.split(given)
        if shutil.which(command[0]) is None:
            raise SandboxMissing(f"--sandbox-command: {command[0]} is no program")
        return command
    beside = Path(sys.executable).with_name("sandbox")
    found = str(beside) if beside.exists() else shutil.which("sandbox")
    if found is None:
        raise SandboxMissing(
            "there is no `sandbox` program beside this Python nor on the PATH: install"
            " kzte-sandbox here, or name it with --sandbox-command"
        )
    return [found]


@dataclass(frozen=True, slots=True)
class Asked:
    """How the run was configured."""

    data_dir: Path | None
    command: str | None
    args: tuple[str, ...]
    keep: bool
    start_seconds: float


class SandboxProcess:
    """`endpoints` is what it said when it was ready; `stop` ends what was started here."""

    def __init__(self, data_dir: Path, endpoints: dict[str, Any], command: Sequence[str]) -> None:
        self.data_dir, self.endpoints, self.command = data_dir, endpoints, list(command)
        self._child: subprocess.Popen[bytes] | None = None
        self._lock: TextIO | None = None
        self._is_temporary = False  # its data goes with the run
        self._is_lent = False

    @classmethod
    def of(cls, asked: Asked) -> SandboxProcess:
        """Attach to the sandbox of the directory that is asked for, or start one there, or one in
        a directory of its own. Raises SandboxTrouble.
        """
        command = find_program(asked.command)
        if asked.data_dir is None:
            _sweep()
            data_dir = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_temporary()))
        else:
            data_dir = asked.data_dir.absolute()
            data_dir.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(data_dir)
        try:
            endpoints = _running(data_dir)
            made = cls(data_dir, endpoints or {}, command)
            made._lock = lock
            made._is_temporary = asked.data_dir is None and not asked.keep
            made._is_lent = asked.data_dir is not None
            if asked.data_dir is None and asked.keep:
                _beside(data_dir, _KEPT).touch()
            if endpoints is None:
                made._start(asked)
        except BaseException:
            lock.close()
            if asked.data_dir is None and not asked.keep:
                _remove(data_dir)
            raise
        return made

    @property
    def pid(self) -> int | None:
        """Of the supervisor, if it was started here."""
        return None if self._child is None else self._child.pid

    @property
    def is_lent(self) -> bool:
        """Whether its world is somebody's, who lent it to the run."""
        return self._is_lent

    @property
    def log(self) -> Path:
        """What `sandbox up` said, if it was started here."""
        return _beside(self.data_dir, _LOG)

    def tail(self) -> str:
        """The end of its log, and where the others are."""
        said = ""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            said = "".join(f"  {line}\n" for line in lines)
        if self._is_temporary:
            return f"{said}(the log of each part goes with the run: --sandbox-keep keeps it)"
        return f"{said}(the log of each part: {self.data_dir / 'logs'})"

    def check(self) -> None:
        """Raises SandboxDied when it has ended."""
        if self._child is not None and (code := self._child.poll()) is not None:
            raise SandboxDied(
                f"the sandbox ended with status {code} while tests ran:\n{self.tail()}"
            )
        if self._child is None and _running(self.data_dir) is None:
            raise SandboxDied(f"the sandbox on {self.data_dir} does not answer\n{self.tail()}")

    def stop(self) -> None:
        """End it if it was started here, and take its directory away if nobody asked for it."""
        if (child := self._child) is not None:
            if self._is_temporary and sys.platform == "linux":
                _end_at_once(child, self.data_dir)
            else:
                _end(child)
        if self._lock is not None:
            self._lock.close()
        if self._is_temporary:
            _remove(self.data_dir)

    def _start(self, asked: Asked) -> None:
        assert self._lock is not None
        leash = Path(__file__).with_name("leash.py")
        argv = [sys.executable, "-I", "-S", str(leash), str(os.getpid()), *self.command]
        argv += ["up", "--json", "--data-dir", str(self.data_dir), *QUICK, *asked.args]
        with self.log.open("w") as log:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C is for pytest, which then ends it: at once it would die under a test.
                start_new_session=True,
                # It holds the lock too, so that a killed run's directory is free when it has ended.
                pass_fds=(self._lock.fileno(),),
                env={**os.environ, "NO_COLOR": "1"},
            )
        self._child = child
        try:
            self.endpoints = self._ready(child, asked.start_seconds)
        except BaseException:
            _end(child)
            raise

    def _ready(self, child: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
        assert child.stdout is not None
        deadline, line = time.monotonic() + seconds, b""
        with child.stdout as out:
            while not line.endswith(b"\n"):
                left = deadline - time.monotonic()
                if not select.select([out], [], [], max(0, left))[0]:
                    raise SandboxDidNotStart(
                        f"`sandbox up` was not ready after {seconds:.0f} s:\n{self.tail()}"
                    )
                part = os.read(out.fileno(), 65536)
                if not part:
                    raise self._ended(child)
                line += part
        found: dict[str, Any] = json.loads(line)
        if found.get("object") == "error":
            raise self._ended(child)
        return found

    def _ended(self, child: subprocess.Popen[bytes]) -> SandboxDidNotStart:
        code = child.wait(_STOP_SECONDS)
        return SandboxDidNotStart(f"`sandbox up` ended with status {code}:\n{self.tail()}")


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # its own children end with it
        child.wait()


def _end_at_once(child: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Nobody needs its data: its own children are leashed to it, and end when it does."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        children = json.loads((data_dir / "children.json").read_text())
        pids = [each["pid"] for each in children]
        child.kill()
        child.wait()
        for each in children:
            if each["name"] == "postgres":  # at once, not with all that it would write first
                os.kill(each["pid"], signal.SIGQUIT)
        deadline = time.monotonic() + _STOP_SECONDS
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
    _end(child)


def _running(data_dir: Path) -> dict[str, Any] | None:
    """The endpoints of a sandbox that answers there; a killed one leaves its file behind."""
    with contextlib.suppress(OSError, ValueError, KeyError, httpx2.HTTPError):
        endpoints: dict[str, Any] = json.loads((data_dir / "endpoints.json").read_text())
        key = endpoints["keys"]["operator"]
        answer = httpx2.get(
            f"{endpoints['api']}/v1/sandbox/clock", headers={"Authorization": f"Bearer {key}"}
        )
        if answer.status_code == 200:
            return endpoints
    return None


def _beside(data_dir: Path, name: str) -> Path:
    """A data directory takes no files but the sandbox's own until it has its version."""
    return data_dir.with_name(f"{data_dir.name}.{name}")


def _locked(data_dir: Path) -> TextIO:
    """Raises SandboxInUse."""
    file = _beside(data_dir, _LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        pid = file.read().strip() or "not known"
        file.close()
        raise SandboxInUse(
            f"{data_dir} is in use by another test run (pid {pid}), which restores its worlds:"
            " name another --sandbox-data-dir. Workers of pytest-xdist need one each: leave it out"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _remove(data_dir: Path) -> None:
    shutil.rmtree(data_dir, ignore_errors=True)
    for name in (_LOG, _LOCK):
        _beside(data_dir, name).unlink(missing_ok=True)


def _temporary() -> Path:
    """Memory where there is plenty: nothing of it must last, and a disk is asked for each commit
    and for each of some thousand files at the end.
    """
    with contextlib.suppress(OSError):
        if not os.environ.get("TMPDIR") and os.access(_MEMORY, os.W_OK):
            free = os.statvfs(_MEMORY)
            if free.f_bavail * free.f_frsize >= _MEMORY_BYTES:
                return _MEMORY
    return Path(tempfile.gettempdir())


def _sweep() -> None:
    """Directories of runs that were killed: nobody holds their lock."""
    for lock in _temporary().glob(f"{PREFIX}*.{_LOCK}"):
        data_dir = lock.with_name(lock.name.removesuffix(f".{_LOCK}"))
        with contextlib.suppress(OSError), lock.open("a") as file:
            if time.time() - lock.stat().st_mtime < _STALE_SECONDS:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _beside(data_dir, _KEPT).exists():
                _remove(data_dir)
