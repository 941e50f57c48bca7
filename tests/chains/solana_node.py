"""A real devnet process for tests, shared by a run; every test deploys a token of its own on it."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.devnets.solana import process

SLOT_MS, FINALITY = 20, 8


@contextmanager
def running(
    data_dir: Path, *, slot_ms: int = SLOT_MS, finality: int = FINALITY, control: bool = True
) -> Iterator[str]:
    """A devnet with fast slots, and control methods unless told; gives its RPC address."""
    argv = process.command(data_dir, slot_ms=slot_ms, finality=finality, control=control)
    with tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            if not line:
                stderr.seek(0)
                raise AssertionError(f"the devnet did not start: {stderr.read().decode()}")
            yield json.loads(line)["rpc"]
        finally:
            child.terminate()
            child.wait(20)
            child.stdout.close()
