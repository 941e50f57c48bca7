"""`make solana-py`: solana-py's own integration tests against a fresh devnet.

The arguments are the Python that has their environment, and the folder of the unpacked source
distribution: none of it is ours, and none of it is kept in this repository.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from sandbox.devnets.solana import process

SLOT_MS: Final = 50
# One producer has no votes, and the bundled memo program logs its text on a line of its own.
CANNOT: Final = (
    "tests/integration/test_websockets.py::test_vote_subscribe",
    "tests/integration/test_websockets.py::test_logs_subscribe_all_with_votes_receives_vote_log",
    "tests/integration/test_spl_memo.py::test_send_memo_in_transaction",
)


async def main(python: str, sources: str) -> int:
    """pytest's own exit code."""
    with tempfile.TemporaryDirectory() as folder:
        argv = process.command(Path(folder) / "chain", slot_ms=SLOT_MS)
        running = await process.start(argv)
        try:
            child = await asyncio.create_subprocess_exec(
                str(Path(python).absolute()),
                *("-m", "pytest", "-m", "integration", "tests/integration"),
                *("-o", "addopts=", "-p", "no:anyio", "-p", "no:cacheprovider", "-q", "-rs"),
                *(f"--deselect={name}" for name in CANNOT),
                cwd=sources,
                env=os.environ
                | {
                    "SOLANA_VALIDATOR_EXTERNAL": "1",
                    "SOLANA_VALIDATOR_EXTERNAL_RPC_URL": running.rpc,
                    "SOLANA_VALIDATOR_EXTERNAL_WS_URL": running.ws,
                },
            )
            code = await child.wait()
        finally:
            await running.stop()
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:3])))
