"""A town whose events stand in a signed log, and reports out of it."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.core.db import Leader
from sandbox.eventlog import keys, sequencer
from tests.settlement.conftest import Town


async def sequenced(town: Town, folder: Path) -> str:
    """Give every event its position, sign the log, and return its public key."""
    key = keys.load_or_create(folder / "keys", "log.example")
    async with town.database.transaction() as db:
        await sequencer.open_epoch(db, key)
    leader = Leader(town.database, sequencer.LEADER, "test")
    assert await leader.acquire()
    while await sequencer.Sequencer(town.database, leader, key).step():
        pass
    await leader.release()
    return key.vkey(1)


async def report_of(town: Town, settlement: str, role: str = "shop") -> dict[str, Any]:
    return await town.get(f"/v1/settlements/{settlement}/report?proofs=1", role)


def alterations(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each single value of a report with another in its place: (path, value)."""
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from alterations(inner, (*path, name))
    elif isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        yield path, value + 1
    elif isinstance(value, str):
        middle = len(value) // 2
        other = "A" if value[middle : middle + 1] != "A" else "B"
        yield path, value[:middle] + other + value[middle + 1 :]
    else:
        assert value is None
        yield path, "something"


def altered(report: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(report)
    *way, last = path
    inner: Any = made
    for step in way:
        inner = inner[step]
    inner[last] = value
    return made
