"""Starting and stopping the devnet as a child process, for the supervisor and for tests."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

READY_SECONDS = 30
STOP_SECONDS = 10


class DevnetDidNotStart(Exception):
    """The process ended before it was ready; the text is what it wrote to stderr."""


@dataclass(slots=True)
class Running:
    """A devnet that listens."""

    rpc: str
    ws: str
    genesis: str
    pid: int
    process: asyncio.subprocess.Process = field(repr=False)

    async def stop(self) -> int:
        """SIGTERM and wait; SIGKILL after 10 s. Gives the exit code (0 is a clean stop)."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()

    async def kill(self) -> int:
        """SIGKILL: what a crash leaves behind."""
        if self.process.returncode is None:
            self.process.kill()
        return await self.process.wait()


def command(
    data_dir: Path,
    *,
    slot_ms: int = 400,
    port: int = 0,
    finality: int = 32,
    confirmed_depth: int = 1,
    control: bool = False,
    host: str = "127.0.0.1",
    max_memory_records: int | None = None,
    cors_origins: tuple[str, ...] = (),
) -> list[str]:
    """The argument vector of a devnet process."""
    argv = [sys.executable, "-m", "sandbox.devnets.solana"]
    argv += ["--host", host, "--port", str(port), "--data-dir", str(data_dir)]
    argv += ["--slot-ms", str(slot_ms), "--finality", str(finality)]
    argv += ["--confirmed-depth", str(confirmed_depth)]
    if control:
        argv.append("--control")
    if max_memory_records is not None:
        argv += ["--max-memory-records", str(max_memory_records)]
    for origin in cors_origins:
        argv += ["--cors-origin", origin]
    return argv


async def start(
    data_dir: Path,
    *,
    slot_ms: int = 400,
    port: int = 0,
    finality: int = 32,
    control: bool = False,
    confirmed_depth: int = 1,
    max_memory_records: int | None = None,
    stderr: int | None = None,
) -> Running:
    """Start a devnet on `data_dir` and wait until it listens.

    `stderr` is a file descriptor for its messages (default: the caller's stderr).
    Raises DevnetDidNotStart.
    """
    argv = command(
        data_dir,
        slot_ms=slot_ms,
        port=port,
        finality=finality,
        control=control,
        confirmed_depth=confirmed_depth,
        max_memory_records=max_memory_records,
    )
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=stderr
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            line = await process.stdout.readline()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if not line:
        code = await process.wait()
        said = (await process.stderr.read()).decode() if process.stderr is not None else ""
        raise DevnetDidNotStart(said.strip() or f"the devnet ended with exit code {code}")
    ready = json.loads(line)
    return Running(ready["rpc"], ready["ws"], ready["genesis"], process.pid, process)
