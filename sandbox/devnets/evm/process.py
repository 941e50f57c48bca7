"""Starting and stopping the devnet as a child process, for the supervisor and for tests."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

READY_SECONDS = 60
STOP_SECONDS = 10


class DevnetDidNotStart(Exception):
    """The process ended before it was ready; the text is what it wrote to stderr."""


@dataclass(slots=True)
class Running:
    """A devnet that listens; HTTP and WebSocket share the port."""

    rpc: str
    ws: str
    chain_id: int
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
        """SIGKILL: what a crash leaves behind. Its anvil dies with it."""
        if self.process.returncode is None:
            self.process.kill()
        return await self.process.wait()


def command(
    data_dir: Path,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    chain_id: int = 31337,
    block_ms: int = 200,
    final_delay_ms: int = 1_000,
    heartbeat_ms: int = 12_000,
    history: int = 64,
    anvil_memory_mb: int = 400,
    control: bool = False,
    dev_accounts: bool = False,
    fund: tuple[str, ...] = (),
    anvil: Path | None = None,
    cors_origins: tuple[str, ...] = (),
) -> list[str]:
    """The argument vector of a devnet process."""
    argv = [sys.executable, "-m", "sandbox.devnets.evm"]
    argv += ["--host", host, "--port", str(port), "--data-dir", str(data_dir)]
    argv += ["--chain-id", str(chain_id), "--block-ms", str(block_ms)]
    argv += ["--final-delay-ms", str(final_delay_ms), "--heartbeat-ms", str(heartbeat_ms)]
    argv += ["--history", str(history), "--anvil-memory-mb", str(anvil_memory_mb)]
    if control:
        argv.append("--control")
    if dev_accounts:
        argv.append("--dev-accounts")
    if anvil is not None:
        argv += ["--anvil", str(anvil)]
    for address in fund:
        argv += ["--fund", address]
    for origin in cors_origins:
        argv += ["--cors-origin", origin]
    return argv


async def start(argv: list[str], *, stderr: int | None = None) -> Running:
    """Start a devnet by what `command` gave and wait until it listens.

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
        chain_id=ready["chain_id"],
        genesis=ready["genesis"],
        pid=process.pid,
        process=process,
    )
