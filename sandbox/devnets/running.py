"""Starting and stopping a devnet as a child process, for the supervisor and for tests."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

READY_SECONDS = 60
STOP_SECONDS = 10


class DevnetDidNotStart(Exception):
    """The process ended before it was ready; the text is what it wrote to stderr."""


@dataclass(slots=True)
class Running:
    """A devnet that listens, as its ready line says."""

    rpc: str
    ws: str
    genesis: str
    chain_id: int | None  # EVM only
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
        """SIGKILL: what a crash leaves behind. Its own children die with it."""
        if self.process.returncode is None:
            self.process.kill()
        return await self.process.wait()


async def start(argv: list[str], *, stderr: int | None = None) -> Running:
    """Start a devnet by what its `command` gave and wait until it listens.

    `stderr` is a file descriptor for its messages (default: the caller's stderr).
    Raises DevnetDidNotStart.
    """
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
    return Running(
        rpc=ready["rpc"],
        ws=ready["ws"],
        genesis=ready["genesis"],
        chain_id=ready.get("chain_id"),
        pid=process.pid,
        process=process,
    )
