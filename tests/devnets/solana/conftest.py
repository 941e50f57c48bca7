"""A real devnet process per test, on free ports, paused so that a test makes its own slots."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.devnets.solana.chain import Chain


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """A fresh paused chain; at the end it must stop cleanly and have said nothing on stderr."""
    said = os.open(tmp_path / "stderr", os.O_RDWR | os.O_CREAT)
    made = Chain(tmp_path / "chain", stderr=said)
    try:
        await made.start()
        yield made
        assert await made.stop() == 0
        assert (tmp_path / "stderr").read_text() == ""
    finally:
        await made.close()
        os.close(said)


@pytest.fixture
async def running_chain(tmp_path: Path) -> AsyncIterator[Chain]:
    """A fresh chain that makes a slot each 20 ms, as clients expect it."""
    made = Chain(tmp_path / "chain", slot_ms=20, paused=False)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
