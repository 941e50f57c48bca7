"""Processes by pid *and* start, because a pid alone is somebody else's after a while; the leash."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sandbox.devnets import leash

_LOOK_S: Final = 0.02

Identity = Literal["same", "namespace", "nobody"]


@dataclass(frozen=True, slots=True)
class Process:
    """One process for ever: `started` is the boot and the clock tick of its start (proc(5))."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The live process that has this pid now; a zombie is none."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command's name stands in brackets and may hold blanks and brackets itself.
        state, *fields = stat.rpartition(")")[2].split()
        if state in "ZX":
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(pid, f"{boot}/{fields[18]}")

    @classmethod
    def read(cls, written: object) -> "Process | None":
        """From what `asdict` wrote into a file; None for anything else."""
        match written:
            case {"pid": int(pid), "started": str(started)}:
                return cls(pid, started)
        return None

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def signal(self, sign: signal.Signals) -> None:
        """Harmless when it is gone."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def wait(self, timeout_s: float) -> bool:
        """Whether it is gone within the time; for processes that are not our children."""
        deadline = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        return True

    async def gone(self, timeout_s: float) -> bool:
        """As `wait`; others go on meanwhile."""
        deadline = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_S)
        return True


def kill_group(leader: int) -> None:
    """End what a session leader left behind; harmless when nothing is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def leashed(
    command: list[str], death_signal: signal.Signals, identity: Identity = "same"
) -> list[str]:
    """`command` wrapped so that it gets `death_signal` when we die.

    Start it from a thread that stays: Linux sends the signal when the *thread* ends (prctl(2)).
    """
    python = [sys.executable, "-I", "-S", str(Path(leash.__file__))]
    return [*python, str(os.getpid()), death_signal.name, identity, *command]


async def outcome(command: list[str], timeout_s: float) -> tuple[int, str]:
    """Run a program to its end: its status and all that it said.

    It has ended, with all that it started, also when this is cancelled. Raises TimeoutError.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except BaseException:
        kill_group(process.pid)
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")
