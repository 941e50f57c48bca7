"""One devnet for all tests of a file, as anybody starts it: no control methods, a free port."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.devnets.solana import process

FAST_MS, DEFAULT_MS = 50, 400


@pytest.fixture(
    scope="module",
    params=[FAST_MS, pytest.param(DEFAULT_MS, marks=pytest.mark.long)],
    ids=lambda slot_ms: f"{slot_ms}ms",
)
def slot_ms(request: pytest.FixtureRequest) -> int:
    """Fast, or as by default."""
    return int(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def devnet(
    slot_ms: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[process.Running]:
    """A fresh chain that makes its slots at that pace."""
    data_dir = tmp_path_factory.mktemp("conformance") / "chain"
    running = await process.start(process.command(data_dir, slot_ms=slot_ms))
    yield running
    assert await running.stop() == 0
