"""Plays that turn minting off: it has one switch, so one of them is played at a time."""

import asyncio
from typing import Any

import pytest

from sandbox.lab.plays import PLAYS
from sandbox.lab.scenarios import ALL
from sandbox.lab.stage import House, Stage

NOTHING: Any = None
OFF = [one.name for one in ALL if "minting.halted" in one.events] + ["move_waits"]


def stage_of(house: House) -> Stage:
    return Stage(house, "mch_1", "solana", 100)


@pytest.mark.parametrize("name", sorted(set(OFF)))
async def test_a_play_that_turns_minting_off_waits_for_the_one_before(name: str) -> None:
    house = House(NOTHING, {}, dict.fromkeys(("evm", "solana"), NOTHING), {}, [], "")
    async with stage_of(house).turn("minting"):
        play = asyncio.ensure_future(PLAYS[name](stage_of(house)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not play.done(), "it began, and found that this house has nothing in it"
    with pytest.raises((AttributeError, KeyError, TypeError)):
        await play
