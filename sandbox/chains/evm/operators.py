"""The keys that sign for us on an EVM chain, as a person looks at them: what waits, and why."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.evm.calls import OperatorState

_OPEN = text(
    "SELECT a.slots, a.tx_id, a.signed_at, i.id FROM chain_attempt a"
    " JOIN chain_intent i ON i.id = a.intent_id"
    " WHERE i.chain = :chain AND i.state IN ('due', 'signed') AND a.state = 'signed'"
)


@dataclass(frozen=True, slots=True)
class Operator:
    """One key. `waiting` are its nonces that are signed for and in no block yet.

    The first that is in no block decides over all behind it: `blocked_by` is the intent that
    holds it, `stuck_since` when that was signed. Without one, though others wait, the nonce is a
    gap, which the next command of this key fills. `refused` is what the node said last of it.
    """

    role: str
    address: str
    nonce: int
    nonce_final: int
    nonce_pending: int
    balance_wei: int
    waiting: tuple[int, ...]
    blocked_by: str | None
    blocking_tx: str | None
    stuck_since: datetime | None
    refused: str | None


async def operators(
    db: AsyncSession, chain: str, states: list[OperatorState], refused: dict[str, str]
) -> list[Operator]:
    """`states` and `refused` come from the adapter, asked before this transaction was opened."""
    signed: dict[str, dict[int, tuple[str, str, datetime]]] = defaultdict(dict)
    for row in await db.execute(_OPEN, {"chain": chain}):
        for slot in row.slots:
            address, _, nonce = slot.rpartition(":")
            signed[address][int(nonce)] = (row.id, row.tx_id, row.signed_at)
    found = []
    for state in states:
        mine = signed[state.address]
        waiting = tuple(sorted(nonce for nonce in mine if nonce >= state.nonce))
        blocking = mine.get(state.nonce)
        found.append(
            Operator(
                state.role,
                state.address,
                state.nonce,
                state.nonce_final,
                state.nonce_pending,
                state.balance_wei,
                waiting,
                blocking[0] if blocking else None,
                blocking[1] if blocking else None,
                blocking[2] if blocking else None,
                refused.get(f"{state.address}:{state.nonce}"),
            )
        )
    return found
