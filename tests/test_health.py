"""Readiness and figures of a world whose parts hang: told in time, each part by its own name."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from sqlalchemy import text

from sandbox import health
from sandbox.chains import figures as chains_figures
from sandbox.chains.port import Chain, Heads
from sandbox.core.db import Database
from sandbox.core.metrics import Metrics
from tests.core.test_metrics import samples

PATIENT_S = 60.0


class Node:
    """A chain as far as health asks it, in place of the network."""

    decimals = 9

    def __init__(self, name: str, until: Any) -> None:
        self.name, self._until = name, until

    async def heads(self) -> Heads:
        await self._until.wait()
        return Heads(newest=9, confirmed=9, final=7)


def nodes(**until: Any) -> dict[str, Chain]:
    return {name: cast(Chain, Node(name, what)) for name, what in until.items()}


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Sets the limit for the database; a chain that hangs is given up quickly."""
    monkeypatch.setattr(chains_figures, "LONGEST_S", 0.2)

    def limit(seconds: float) -> None:
        monkeypatch.setattr(health, "LONGEST_S", seconds)

    limit(PATIENT_S)
    yield limit
    assert not health._abandoned, "nothing goes on in the background"


async def exposed(database: Database, chains: dict[str, Chain]) -> dict[Any, float]:
    return samples(Metrics("1").expose(await health.figures(database, chains)))


async def test_a_chain_that_hangs_is_named_and_the_other_one_told(database: Database) -> None:
    answers = asyncio.Event()
    answers.set()
    chains = nodes(hung=asyncio.Event(), well=answers)
    missing = await health.not_ready(database, chains)
    assert ("hung" in missing, "well" in missing, "database" in missing) == (True, False, False)
    found = await exposed(database, chains)
    assert found["sandbox_chain_up", (("chain", "hung"),)] == 0
    assert found["sandbox_chain_up", (("chain", "well"),)] == 1
    assert found["sandbox_figures_complete", ()] == 1


async def test_chains_are_asked_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains_figures, "LONGEST_S", PATIENT_S)
    both = asyncio.Barrier(2)
    heads = await chains_figures.heads(nodes(one=both, two=both))
    assert None not in heads.values()


async def test_a_slow_database_is_up_and_its_figures_are_said_to_be_incomplete(
    database: Database, limits: Callable[[float], None]
) -> None:
    limits(2.0)
    async with database.transaction() as other:
        await other.execute(text("LOCK TABLE webhook_delivery IN ACCESS EXCLUSIVE MODE"))
        found = await exposed(database, {})
        assert found["sandbox_database_up", ()] == 1
        assert found["sandbox_figures_complete", ()] == 0
        assert ("sandbox_log_size", ()) in found, "what was told in time is there"
        assert ("sandbox_webhooks_due", ()) not in found
        # What was given up does not go on waiting in the server.
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        async with asyncio.timeout(20):
            while await other.scalar(waiting) or health._abandoned:
                await asyncio.sleep(0.02)
    limits(PATIENT_S)
    found = await exposed(database, {})
    assert found["sandbox_figures_complete", ()] == 1


async def test_a_database_that_does_not_answer_is_named_and_the_chains_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chains_figures, "LONGEST_S", PATIENT_S)
    answers = asyncio.Event()
    answers.set()
    nowhere = Database("postgresql://nobody:x@127.0.0.1:1/none")
    assert await health.not_ready(nowhere, nodes(well=answers)) == ["database"]
    found = await exposed(nowhere, nodes(well=answers))
    assert found["sandbox_database_up", ()] == found["sandbox_figures_complete", ()] == 0
    assert found["sandbox_chain_up", (("chain", "well"),)] == 1
    await nowhere.dispose()


async def test_readiness_does_not_wait_for_a_database_that_is_stuck(
    database: Database, limits: Callable[[float], None]
) -> None:
    limits(0.5)
    async with database.transaction() as other:
        await other.execute(text("LOCK TABLE chain_halt IN ACCESS EXCLUSIVE MODE"))
        assert await health.not_ready(database, {}) == ["database"]
        async with asyncio.timeout(20):
            while health._abandoned:
                await asyncio.sleep(0.02)
    limits(PATIENT_S)
    assert "database" not in await health.not_ready(database, {})
