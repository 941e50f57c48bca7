"""Orders of an authority, carried out by the issuer's keys for as long as a scenario needs them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal

from sandbox.chains.port import Command
from sandbox.core.ids import new_id
from tests.scenarios.world import World

_UNDO: dict[str, Literal["thaw", "resume"]] = {"freeze": "thaw", "pause": "resume"}


@asynccontextmanager
async def ordered(
    world: World, action: Literal["freeze", "pause"], holder: str = ""
) -> AsyncIterator[None]:
    """For a while, by the keys of the issuer."""
    # A case of its own: what has the same words and blockhash as an earlier order is that order.
    case = new_id("case", datetime.now(UTC))
    await world.ground.order(Command(action, case, holder))
    await world.mine()
    try:
        yield
    finally:
        await world.ground.order(Command(_UNDO[action], f"{case}:end", holder))
        await world.mine()
