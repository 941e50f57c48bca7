"""The devnet as a child process: how its command is made; `start` makes it run."""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox.devnets.running import DevnetDidNotStart, Running, start

__all__ = ["DevnetDidNotStart", "Running", "command", "start"]


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
    pool_seconds: float = 30,
    control: bool = False,
    dev_accounts: bool = False,
    fund: tuple[str, ...] = (),
    engine: str = "auto",
    anvil: Path | None = None,
    cors_origins: tuple[str, ...] = (),
    seed: int | None = None,
) -> list[str]:
    """The argument vector of a devnet process."""
    argv = [sys.executable, "-m", "sandbox.devnets.evm", "--json"]
    argv += ["--host", host, "--port", str(port), "--data-dir", str(data_dir)]
    argv += ["--chain-id", str(chain_id), "--block-ms", str(block_ms)]
    argv += ["--final-delay-ms", str(final_delay_ms), "--heartbeat-ms", str(heartbeat_ms)]
    argv += ["--history", str(history), "--anvil-memory-mb", str(anvil_memory_mb)]
    argv += ["--pool-seconds", str(pool_seconds)]
    if control:
        argv.append("--faults")
    if dev_accounts:
        argv.append("--dev-accounts")
    if engine != "auto":
        argv += ["--engine", engine]
    if anvil is not None:
        argv += ["--anvil", str(anvil)]
    for address in fund:
        argv += ["--fund", address]
    if seed is not None:
        argv += ["--seed", str(seed)]
    for origin in cors_origins:
        argv += ["--cors-origin", origin]
    return argv
