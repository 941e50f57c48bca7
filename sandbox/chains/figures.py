"""Chains and intents in figures for /metrics: how far behind, how much is under way."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Chain, Heads
from sandbox.core.errors import SandboxError
from sandbox.core.metrics import Figure

_INTENTS = text(
    "SELECT chain, state, count(*) AS open,"
    " extract(epoch FROM sandbox_now() - min(created_at))::float8 AS oldest"
    " FROM chain_intent WHERE state IN ('due', 'signed') GROUP BY chain, state"
)
_STATES = ("due", "signed")
# A chain that hangs must not blind those who watch the others.
LONGEST_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class State:
    """What the database knows of the chains."""

    heights: Mapping[tuple[str, str], int]
    halted: frozenset[str]
    open: Mapping[tuple[str, str], tuple[int, float]]


async def heads(chains: Mapping[str, Chain]) -> dict[str, Heads | None]:
    """The head of every chain, None of one that does not answer within `LONGEST_S`.

    All are asked at the same time, outside a transaction.
    """

    async def head(chain: Chain) -> Heads | None:
        try:
            async with asyncio.timeout(LONGEST_S):
                return await chain.heads()
        except (SandboxError, TimeoutError):
            return None

    found = await asyncio.gather(*map(head, chains.values()))
    return dict(zip(chains, found, strict=True))


async def state(db: AsyncSession) -> State:
    """The cursors, the halts and what is open; ages in seconds of sandbox time."""
    cursors = await db.execute(text("SELECT chain, view, height FROM chain_cursor"))
    halted = await db.scalars(text("SELECT chain FROM chain_halt"))
    intents = await db.execute(_INTENTS)
    return State(
        {(row.chain, row.view): row.height for row in cursors},
        frozenset(halted),
        {(row.chain, row.state): (row.open, row.oldest) for row in intents},
    )


def figures(chains: Mapping[str, Heads | None], known: State | None) -> list[Figure]:
    """`chains` is what `heads` answered; `known` is None while the database does not answer."""
    found = []
    for name, head in chains.items():
        help_ = f"1 when the chain's node answers within {LONGEST_S:.0f} s."
        found.append(Figure("sandbox_chain_up", help_, int(head is not None), {"chain": name}))
        if known is not None:
            found += _of_chain(name, head, known)
    return found


def _of_chain(name: str, head: Heads | None, known: State) -> list[Figure]:
    found = [
        Figure(
            "sandbox_chain_halted",
            "1 when the worker stopped to follow the chain at a block that it cannot handle, such"
            " as one that replaced a final block.",
            int(name in known.halted),
            {"chain": name},
        )
    ]
    for view in ("confirmed", "final"):
        height, labels = known.heights.get((name, view)), {"chain": name, "view": view}
        if height is None:
            continue
        help_ = "The last block of the chain that the worker has handled."
        found.append(Figure("sandbox_watcher_height", help_, height, labels))
        if head is not None:
            behind = max(0, (head.confirmed if view == "confirmed" else head.final) - height)
            help_ = "Blocks of the chain that the worker has not handled yet."
            found.append(Figure("sandbox_watcher_lag_blocks", help_, behind, labels))
    for state_ in _STATES:
        count, oldest = known.open.get((name, state_), (0, 0.0))
        labels = {"chain": name, "state": state_}
        help_ = "Commands to the chain without an outcome."
        found.append(Figure("sandbox_intents_open", help_, count, labels))
        help_ = "Age of the oldest command to the chain without an outcome, in sandbox time."
        found.append(Figure("sandbox_intents_oldest_seconds", help_, oldest, labels))
    return found
