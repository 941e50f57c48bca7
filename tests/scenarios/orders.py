"""Orders of an authority, carried out by the issuer's keys for as long as a scenario needs them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from sandbox.chains.port import Command
from tests.scenarios.world import World

_UNDO: dict[str, Literal["thaw", "resume"]] = {"freeze": "thaw", "pause": "resume"}


@asynccontextmanager
async def ordered(
    world: World, action: Literal["freeze", "pause"], holder: str = ""
) -> AsyncIterator[None]:
    """For a while, by the keys of the issuer."""
    case = f"case_{holder[:12]}"
    await world.ground.order(Command(action, case, holder))
    await world.mine()
    try:
        yield
    finally:
        await world.ground.order(Command(_UNDO[action], f"{case}:end", holder))
        await world.mine()
