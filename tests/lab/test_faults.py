"""The one table of failures: what it refuses."""

import pytest

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
