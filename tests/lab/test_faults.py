"""The one table of failures: what it refuses, and what is each chain's own."""

import pytest

from sandbox.chains import faults as worker
from sandbox.chains.drills import Drill, Drills
from sandbox.core.db import Database
from sandbox.core.http.simulating import Armed
from sandbox.lab import faults
from sandbox.lab.errors import FaultUnknown


@pytest.mark.parametrize("name", ["bank.earthquake", "webhook.", "api.reject", "reorg", ""])
async def test_a_fault_that_nobody_knows_is_refused_with_those_there_are(
    database: Database, name: str
) -> None:
    async with database.transaction() as db:
        with pytest.raises(FaultUnknown) as refused:
            await faults.switch(db, {}, Armed(), name, 1, None)
    assert refused.value.values["known"] == sorted(faults.FAULTS)


class NoDrills:
    """A chain whose node has nothing that can be made to go wrong."""

    drills: tuple[Drill, ...] = ()

    def __init__(self, chain: str) -> None:
        self.chain = chain

    async def set(self, drill: Drill, times: int) -> None:
        raise AssertionError(drill)

    async def state(self) -> dict[Drill, int]:
        return {}

    async def depth(self, height: int) -> int:
        raise AssertionError(height)

    async def aclose(self) -> None: ...


async def times_by_chain(database: Database, drills: dict[str, Drills]) -> dict[str, int]:
    async with database.transaction() as db:
        table = await faults.table(db, drills, Armed())
    return {
        row["chain"]: row["times"] for row in table["data"] if row["fault"] == worker.BLOCK_FAILED
    }


async def test_the_worker_fails_on_the_chain_that_is_named_or_on_all(database: Database) -> None:
    drills: dict[str, Drills] = {name: NoDrills(name) for name in ("plain", "other")}

    async def switch(times: int, chain: str | None) -> None:
        async with database.transaction() as db:
            await faults.switch(db, drills, Armed(), worker.BLOCK_FAILED, times, chain)

    await switch(2, None)
    await switch(5, "other")
    assert await times_by_chain(database, drills) == {"plain": 2, "other": 5}
    await switch(0, None)
    assert await times_by_chain(database, drills) == {"plain": 0, "other": 0}
