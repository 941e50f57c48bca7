"""The end of an intent: done or not done, told once to the slice that gave it.

Everything here runs in the caller's transaction and returns what is to be recorded with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.watching import IntentDone, IntentFailed, IntentHandler
from sandbox.core.log import caused_by

log = structlog.get_logger(__name__)


class AttemptAfterEnd(Exception):
    """A transaction became final although its intent had ended: our own mistake, never ignored."""


@dataclass(frozen=True, slots=True)
class Landed:
    """Where transactions of ours became final."""

    chain: str
    height: int
    time: datetime


async def settle(
    db: AsyncSession,
    handlers: Mapping[str, IntentHandler[Any]],
    landed: Landed,
    attempts: Sequence[tuple[str, str | None]],
) -> list[Any]:
    """Resolve the intents of final transactions; `attempts` are (tx id, error or None)."""
    if not attempts:
        return []
    rows = await db.execute(
        text(
            "SELECT a.tx_id, a.intent_id, i.kind, i.state, i.request_id FROM chain_attempt a"
            " JOIN chain_intent i ON i.id = a.intent_id WHERE a.tx_id = ANY(:txs)"
            " ORDER BY i.id FOR NO KEY UPDATE OF i"
        ),
        {"txs": [tx for tx, _ in attempts]},
    )
    by_tx = {row.tx_id: row for row in rows}
    answers = []
    for tx, error in attempts:
        row = by_tx[tx]
        if row.state not in ("due", "signed"):
            raise AttemptAfterEnd(f"{row.intent_id} is {row.state}, and {tx} is final")
        handler = handlers[row.kind]
        await _end_attempt(db, tx, error)
        await _end_intent(db, row.intent_id, tx, error)
        with caused_by(row.request_id):
            if error is None:
                done = IntentDone(row.intent_id, landed.chain, tx, landed.height, landed.time)
                log.info("intent done", intent=done.id, chain=done.chain, tx=tx)
                answers.append(await handler.on_done(db, done))
            else:
                failed = IntentFailed(
                    row.intent_id, landed.chain, tx, landed.height, landed.time, error
                )
                log.info("intent failed", intent=failed.id, chain=failed.chain, tx=tx, why=error)
                answers.append(await handler.on_not_done(db, failed))
    return answers


async def give_up(
    db: AsyncSession, handlers: Mapping[str, IntentHandler[Any]], kind: str, failed: IntentFailed
) -> Any:
    """End an intent that can no longer happen; the caller holds its row."""
    await _end_intent(db, failed.id, failed.tx, failed.reason)
    return await handlers[kind].on_not_done(db, failed)


async def expire_attempts(db: AsyncSession, intent_id: str) -> None:
    """Say of the open attempts of an intent that they can no longer happen."""
    await db.execute(
        text(
            "UPDATE chain_attempt SET state = 'not_done', reason = 'expired'"
            " WHERE intent_id = :id AND state = 'signed'"
        ),
        {"id": intent_id},
    )


async def taken_slots(db: AsyncSession, chain: str) -> set[str]:
    """The slots of every attempt on `chain` that is not resolved (`Signed.slots`)."""
    rows = await db.scalars(
        text(
            "SELECT DISTINCT unnest(a.slots) FROM chain_attempt a"
            " JOIN chain_intent i ON i.id = a.intent_id"
            " WHERE i.chain = :chain AND i.state IN ('due', 'signed') AND a.state = 'signed'"
        ),
        {"chain": chain},
    )
    return set(rows)


async def _end_attempt(db: AsyncSession, tx: str, error: str | None) -> None:
    await db.execute(
        text("UPDATE chain_attempt SET state = :state, reason = :reason WHERE tx_id = :tx"),
        {"state": "done" if error is None else "not_done", "reason": error, "tx": tx},
    )


async def _end_intent(db: AsyncSession, id_: str, tx: str | None, error: str | None) -> None:
    await db.execute(
        text(
            "UPDATE chain_intent SET state = :state, reason = :reason, tx = coalesce(:tx, tx),"
            " resolved_at = sandbox_now(), lease_owner = NULL, lease_until = NULL WHERE id = :id"
        ),
        {"state": "done" if error is None else "not_done", "reason": error, "tx": tx, "id": id_},
    )
