"""A real devnet process for tests, shared by a run; every test deploys a token of its own on it."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.devnets.evm import process

BLOCK_MS, FINAL_DELAY_MS = 20, 50


@contextmanager
def running(data_dir: Path, *, chain_id: int = 31337, control: bool = True) -> Iterator[str]:
    """A devnet with fast blocks and control methods; gives its RPC address."""
    argv = process.command(
        data_dir,
        chain_id=chain_id,
        block_ms=BLOCK_MS,
        final_delay_ms=FINAL_DELAY_MS,
        control=control,
    )
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
