"""A log on a real database, and one sequencer that leads."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.core.db import Database, Leader
from sandbox.eventlog import keys, sequencer
from sandbox.eventlog.keys import LogKey


@pytest.fixture
def key(tmp_path: Path) -> LogKey:
    return keys.load_or_create(tmp_path / "keys", "log.example")


@pytest.fixture
async def leader(database: Database) -> AsyncIterator[Leader]:
    leader = Leader(database, sequencer.LEADER, "test")
    assert await leader.acquire()
    yield leader
    await leader.release()
