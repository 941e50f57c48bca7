"""Figures of a chain at its final view, and a way to wait until the books have read as far.

Checks above this slice compare them with the ledger at the same height (invariants I1 and I5).
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.chains.port import UNSWEPT, AtHeight, Chain, ChainUnavailable
from sandbox.chains.service import FINAL, cursor
from sandbox.core.db import Database
from sandbox.core.errors import SandboxError

_POLL_S = 0.05


class WatcherBehind(SandboxError):
    """The final cursor did not reach the height at which the chain was read."""

    status, code = 503, "watcher_behind"

    def __init__(self, chain: str, wanted: int, reached: int | None) -> None:
        super().__init__(
            f"{chain}: read the chain at {wanted}, the watcher has handled {reached}",
            chain=chain,
            wanted=wanted,
            reached=reached,
        )


@dataclass(frozen=True, slots=True)
class Holdings:
    """Units at the sandbox's own addresses, per ledger place, all read at `height`."""

    by_place: dict[str, int]
    height: int


async def final_supply(chain: Chain) -> AtHeight:
    """Units in existence at the final view, and the height of that view."""
    return await chain.supply()


async def final_holdings(
    chain: Chain, sessions: Sequence[str] = (), *, attempts: int = 20
) -> Holdings:
    """What the sandbox's own addresses hold, and those of `sessions`, at one final height.

    Reads again while blocks become final between two addresses; after `attempts` rounds it is
    `ChainUnavailable`: a mixture of heights would show a difference that is none.
    """
    for _ in range(attempts):
        read = [
            (place, await chain.balance(address))
            for address, place in chain.own_addresses().items()
        ]
        if sessions:
            read.append((UNSWEPT, await chain.unswept(sessions)))
        heights = {at.height for _, at in read}
        if len(heights) == 1:
            by_place: dict[str, int] = {}
            for place, at in read:
                by_place[place] = by_place.get(place, 0) + at.units
            return Holdings(by_place, heights.pop())
    raise ChainUnavailable(chain.name)


async def await_final_cursor(
    database: Database, chain_name: str, height: int, timeout: float = 30.0
) -> int:
    """Wait until the watcher has handled `height` at final; returns the cursor's height then.

    The caller compares only what is resolved at or below the height it read the chain at.
    Raises `WatcherBehind` after `timeout` seconds of wall time.
    """
    until = time.monotonic() + timeout
    while True:
        async with database.transaction() as db:
            at = await cursor(db, chain_name, FINAL)
        if at is not None and at.height >= height:
            return at.height
        if time.monotonic() >= until:
            raise WatcherBehind(chain_name, height, at.height if at else None)
        await asyncio.sleep(_POLL_S)
