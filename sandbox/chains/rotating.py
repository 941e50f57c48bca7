"""A key is changed while nothing that it signed is under way, and nothing is signed meanwhile.

What the old key signed before and reached its block after would fail there, and so would the
reverse: an issuance or a freeze would end as not done for no fault of its own. So the rotation of
a chain waits for what was sent, and everything else waits for the rotation (ADR 0022).
"""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.port import Action

MAY_GO = (
    "(state = 'signed' OR CASE command ->> 'action' WHEN 'rotate'"
    " THEN chain NOT IN (SELECT o.chain FROM chain_intent o WHERE o.state = 'signed')"
    " ELSE chain NOT IN (SELECT o.chain FROM chain_intent o"
    " WHERE o.state IN ('due', 'signed') AND o.command ->> 'action' = 'rotate') END)"
)
"""SQL over `chain_intent`: what may be taken up now. A guess: `may_be_stored` decides."""

T = TypeVar("T")


def one_at_a_time(items: Sequence[tuple[Action, T]]) -> tuple[list[T], list[T]]:
    """(what may be signed together, what waits) of intents that are due on one chain."""
    rotations = [item for action, item in items if action == "rotate"]
    others = [item for action, item in items if action != "rotate"]
    if not rotations:
        return others, []
    return rotations[:1], [*rotations[1:], *others]


async def may_be_stored(db: AsyncSession, chain: str, is_rotation: bool) -> bool:
    """Whether a runner may say now that it signed; holds off the others until it has said so."""
    lock = "pg_advisory_xact_lock" if is_rotation else "pg_advisory_xact_lock_shared"
    name = {"name": f"rotate\n{chain}"}
    await db.execute(text(f"SELECT {lock}(hashtextextended(:name, 0))"), name)
    in_the_way = "" if is_rotation else " AND command ->> 'action' = 'rotate'"
    query = (
        "SELECT NOT EXISTS (SELECT FROM chain_intent"  # noqa: S608 - words of our own
        f" WHERE chain = :chain AND state = 'signed'{in_the_way})"
    )
    free: bool = await db.scalar(text(query), {"chain": chain})
    return free


async def under_way(db: AsyncSession, chain: str, role: str) -> str | None:
    """The order by which a role gets a new key, while it has no outcome."""
    query = (
        "SELECT id FROM chain_intent WHERE chain = :chain AND state IN ('due', 'signed')"
        " AND command ->> 'action' = 'rotate' AND command ->> 'role' = :role LIMIT 1"
    )
    order: str | None = await db.scalar(text(query), {"chain": chain, "role": role})
    return order
