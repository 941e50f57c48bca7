"""Twelve kills, one per process and class of failpoints; `make chaos` plays many more."""

from pathlib import Path

import pytest

from tests.chaos.load import PATIENCE_S
from tests.chaos.runner import Chaos
from tests.chaos.schedule import ONE_OF_EACH

SEED = 7


@pytest.mark.long
async def test_twelve_kills_lose_and_double_nothing(data_dir: Path) -> None:
    # Every point is passed sooner or later; a slow machine may take its time.
    chaos = Chaos(data_dir, SEED, report=False, per_chain=1, reached_within_s=PATIENCE_S)
    assert await chaos.run(ONE_OF_EACH, batch=len(ONE_OF_EACH)) == []
    assert not chaos.missed
    assert set(chaos.windows) == {kill.window for kill in ONE_OF_EACH}
    sent = len(chaos.load.holders.sent)
    played = f"{len(chaos.load.paid)} payments, {sent} redemptions and moves"
    print(f"\n{played}\n{chaos.table()}")
