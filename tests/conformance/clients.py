"""Running the scripts that stand for other people's clients of Solana."""

import asyncio
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.devnets.solana.process import Running

HERE = Path(__file__).parent
X402_PYTHON = HERE.parents[1] / ".venv-x402" / "bin" / "python"
DEADLINE_S = 400  # some 250 slots of the slowest, and as much again for a busy machine

Facts = dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """A script that ended badly, and what it said."""

    said: str


async def run(
    script: str, devnet: Running, slot_ms: int, *, old_python: bool = False
) -> Facts | Failed:
    """What a script prints of its life on `devnet`; `old_python` has solana-py 0.39 and x402."""
    child = await asyncio.create_subprocess_exec(
        *_command(script, old_python),
        devnet.rpc,
        devnet.ws,
        str(slot_ms),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=HERE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await child.communicate()
    except TimeoutError:
        child.kill()
        _, err = await child.communicate()
        return Failed(f"not done after {DEADLINE_S} s: {err.decode()}")
    if child.returncode != 0:
        return Failed(err.decode())
    return dict(json.loads(out))


def _command(script: str, old_python: bool) -> list[str]:
    path = str(HERE / script)
    if script.endswith(".mjs"):
        node = shutil.which("node")
        assert node, "Node is missing: make setup needs it"
        return [node, path]
    if old_python:
        assert X402_PYTHON.exists(), "run make setup"
        return [str(X402_PYTHON), "-W", "ignore", path]
    return [sys.executable, path]
