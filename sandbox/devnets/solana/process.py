"""The devnet as a child process: how its command is made; `start` makes it run."""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox.devnets.running import DevnetDidNotStart, Running, start

__all__ = ["DevnetDidNotStart", "Running", "command", "start"]


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
    seed: int | None = None,
) -> list[str]:
    """The argument vector of a devnet process."""
    argv = [sys.executable, "-m", "sandbox.devnets.solana", "--json"]
    argv += ["--host", host, "--port", str(port), "--data-dir", str(data_dir)]
    argv += ["--slot-ms", str(slot_ms), "--finality", str(finality)]
    argv += ["--confirmed-depth", str(confirmed_depth)]
    if control:
        argv.append("--faults")
    if max_memory_records is not None:
        argv += ["--max-memory-records", str(max_memory_records)]
    if seed is not None:
        argv += ["--seed", str(seed)]
    for origin in cors_origins:
        argv += ["--cors-origin", origin]
    return argv
