"""A whole sandbox as a user starts it: `sandbox up` on free ports in a directory of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.cli.endpoints import Running

SANDBOX = [sys.executable, "-m", "sandbox.cli"]
START_TIMEOUT_S = 90


class Stack:
    """One `sandbox up`; may be stopped, killed and started again on the same data."""

    def __init__(self, data_dir: Path, slot_ms: int = 40, more: Sequence[str] = ()) -> None:
        self.data_dir, self.slot_ms, self.more = data_dir, slot_ms, more
        self.process: subprocess.Popen[str] | None = None
        self.running: Running | None = None

    def up(self) -> Running:
        """Start it and wait until it is ready."""
        said = self.data_dir.parent / "up.log"
        with said.open("a") as log:
            self.process = subprocess.Popen(
                [
                    *(*SANDBOX, "up", "--json", "--data-dir", str(self.data_dir)),
                    *("--port", "0", "--solana-port", "0", "--slot-ms", str(self.slot_ms)),
                    *("--evm-port", "0", "--evm-block-ms", str(self.slot_ms)),
                    *("--evm-final-delay-ms", str(4 * self.slot_ms)),
                    *self.more,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        with self.process.stdout as answers:
            line = answers.readline()
        assert line, said.read_text()[-4000:]
        if self.running is not None:
            self.running.close()
        self.running = Running(json.loads(line))
        return self.running

    def down(self) -> None:
        """Ctrl-C."""
        if self.running is not None:
            self.running.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(30) == 0
        self.process = None

    def pids(self) -> dict[str, int]:
        """The process id of each child."""
        children = json.loads((self.data_dir / "children.json").read_text())
        return {child["name"]: child["pid"] for child in children}


def command(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `sandbox …` to its end."""
    return subprocess.run(
        [*SANDBOX, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def last_json(text: str) -> Any:
    """The object in the last line of a command's output."""
    return json.loads(text.strip().splitlines()[-1])
