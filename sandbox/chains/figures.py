"""Chains and intents in figures for /metrics: how far behind, how much is under way."""

from collections.abc import Mapping

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


async def heads(chains: Mapping[str, Chain]) -> dict[str, Heads | None]:
    """The head of every chain, None of one that does not answer; asked outside a transaction."""
    found: dict[str, Heads | None] = {}
    for name, chain in chains.items():
        try:
            found[name] = await chain.heads()
        except SandboxError:
            found[name] = None
    return found


async def figures(db: AsyncSession, chains: Mapping[str, Heads | None]) -> list[Figure]:
    """`chains` is what `heads` answered. Reads the cursors, the halts and what is open."""
    found = []
    cursors = {
        (row.chain, row.view): row.height
        for row in await db.execute(text("SELECT chain, view, height FROM chain_cursor"))
    }
    halted = set(await db.scalars(text("SELECT chain FROM chain_halt")))
    for name, head in chains.items():
        labels = {"chain": name}
        found += [
            Figure("sandbox_chain_up", "1 when the node answers.", int(head is not None), labels),
            Figure(
                "sandbox_chain_halted",
                "1 when the watcher stopped at a block it cannot handle.",
                int(name in halted),
                labels,
            ),
        ]
        for view in ("confirmed", "final"):
            at = cursors.get((name, view))
            labels = {"chain": name, "view": view}
            if at is not None:
                found.append(
                    Figure("sandbox_watcher_height", "The last block handled.", at, labels)
                )
            if at is not None and head is not None:
                behind = max(0, (head.confirmed if view == "confirmed" else head.final) - at)
                found.append(
                    Figure("sandbox_watcher_lag_blocks", "Blocks behind the node.", behind, labels)
                )
    open_ = {(row.chain, row.state): row for row in await db.execute(_INTENTS)}
    for name in chains:
        for state in _STATES:
            row, labels = open_.get((name, state)), {"chain": name, "state": state}
            found += [
                Figure(
                    "sandbox_intents_open",
                    "Commands to the chain without an outcome.",
                    row.open if row else 0,
                    labels,
                ),
                Figure(
                    "sandbox_intents_oldest_seconds",
                    "Age of the oldest of them in sandbox time.",
                    row.oldest if row else 0,
                    labels,
                ),
            ]
    return found
