"""A real devnet process with a real anvil per test, on free ports, at a quick pace."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.devnets.evm.chain import Chain


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """A fresh chain; at the end it must stop cleanly and have said nothing on stderr."""
    said = os.open(tmp_path / "stderr", os.O_RDWR | os.O_CREAT)
    made = Chain(tmp_path / "chain", stderr=said)
    try:
        await made.start()
        yield made
        if made.running is not None:
            assert await made.stop() == 0
        assert (tmp_path / "stderr").read_text() == ""
    finally:
        await made.close()
        os.close(said)


@pytest.fixture
async def stopped_chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """A data directory whose process the test starts, kills and starts again."""
    made = Chain(tmp_path / "chain")
    try:
        yield made
    finally:
        await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_chain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chain]:
    """One chain for the tests of a file that only look, or are refused."""
    made = Chain(tmp_path_factory.mktemp("evm") / "chain")
    try:
        await made.start()
        await made.quiet()
        yield made
        assert await made.stop() == 0
    finally:
        await made.close()
