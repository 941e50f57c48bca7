"""What other slices ask of this one: intents, deployments, halts, and what is still open."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.errors import ChainNotHalted, NotDeployed
from sandbox.chains.models import ChainCursor, ChainDeployment, ChainHalt, ChainIntent
from sandbox.chains.port import Command, Heads
from sandbox.core import clock, log
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent

CONFIRMED, FINAL = "confirmed", "final"


@dataclass(frozen=True, slots=True)
class Intent:
    """A command for a chain. `id` is the business reference; `kind` picks who hears the outcome."""

    id: str
    kind: str
    chain: str
    command: Command


@dataclass(frozen=True, slots=True)
class IntentState:
    """What is known of an intent: `tx` of its newest attempt, `reason` if it is not done."""

    id: str
    kind: str
    chain: str
    command: Command
    state: str
    attempts: int
    tx: str | None
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """One token movement of a transaction of our own."""

    source: str
    destination: str
    amount_units: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """The token on one chain; `config` holds public facts only."""

    chain: str
    genesis: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a view of a chain was handled."""

    height: int
    hash: str


async def request(db: AsyncSession, intents: Sequence[Intent]) -> None:
    """Ask for commands to be carried out, in the transaction of their pending entries.

    An id is used once for ever; the outcome comes to the `IntentHandler` of its kind.
    """
    if not intents:
        return
    created = await clock.now(db)
    rows = [
        {
            "id": intent.id,
            "kind": intent.kind,
            "chain": intent.chain,
            "command": asdict(intent.command),
            "state": "due",
            "attempts": 0,
            "created_at": created,
            "request_id": log.request_id(),
        }
        for intent in intents
    ]
    await db.execute(insert(ChainIntent), rows)


async def intent(db: AsyncSession, intent_id: str) -> IntentState:
    """The state of one intent; raises `NotFound`."""
    row = await db.get(ChainIntent, intent_id, populate_existing=True)
    if row is None:
        raise NotFound("intent", intent_id)
    return IntentState(
        row.id,
        row.kind,
        row.chain,
        Command(**row.command),
        row.state,
        row.attempts,
        row.tx,
        row.reason,
        row.created_at,
    )


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Commands of one kind of act without an outcome, and the units they are about."""

    action: str
    count: int
    units: int


async def under_way(db: AsyncSession, chain: str) -> list[UnderWay]:
    """What was asked of `chain` and has not ended, by action."""
    rows = await db.execute(
        text(
            "SELECT command ->> 'action' AS action, count(*) AS number,"
            " sum((command ->> 'amount_units')::numeric)::bigint AS units FROM chain_intent"
            " WHERE chain = :chain AND state IN ('due', 'signed') GROUP BY 1 ORDER BY 1"
        ),
        {"chain": chain},
    )
    return [UnderWay(row.action, row.number, row.units) for row in rows]


async def moved_by(db: AsyncSession, intent_id: str) -> list[Moved]:
    """What an intent's transaction moved, by order in it; a sweep moves what it finds.

    What it moved only in a block that left the chain is not told.
    """
    rows = await db.execute(
        text(
            "SELECT t.source, t.destination, t.amount_units FROM chain_transfer t"
            " JOIN chain_intent i ON i.id = t.intent AND i.tx = t.tx"
            " WHERE i.id = :id AND EXISTS (SELECT FROM chain_inclusion n"
            " WHERE n.transfer_id = t.id AND n.state <> 'reverted') ORDER BY t.ordinal"
        ),
        {"id": intent_id},
    )
    return [Moved(row.source, row.destination, row.amount_units) for row in rows]


async def deployment(db: AsyncSession, chain: str) -> Deployment:
    """The token on `chain`; raises `NotDeployed`."""
    row = await db.get(ChainDeployment, chain)
    if row is None:
        raise NotDeployed(chain)
    return Deployment(row.chain, row.genesis, row.config)


async def cursor(db: AsyncSession, chain: str, view: str) -> Cursor | None:
    """How far `view` (`confirmed`, `final`) of `chain` was handled; None before the first block."""
    found = select(ChainCursor).where(
        col(ChainCursor.chain) == chain, col(ChainCursor.view) == view
    )
    row = (await db.exec(found.execution_options(populate_existing=True))).one_or_none()
    return Cursor(row.height, row.hash) if row else None


async def halts(db: AsyncSession) -> dict[str, str]:
    """Chains that are not followed any more → why."""
    rows = (await db.exec(select(ChainHalt))).all()
    return {row.chain: row.reason for row in rows}


async def resume(db: AsyncSession, chain: str) -> NewEvent:
    """Let a halted chain be followed again; the caller records the event.

    Raises `ChainNotHalted`.
    """
    lifted = await db.scalar(
        text("DELETE FROM chain_halt WHERE chain = :chain RETURNING height"), {"chain": chain}
    )
    if lifted is None:
        raise ChainNotHalted(chain)
    at = await clock.now(db)
    return NewEvent(new_id("evt", at), "chain.resumed", at, {"chain": chain, "height": lifted})


async def busy(db: AsyncSession, heads: Mapping[str, Heads]) -> list[str]:
    """What is not at rest, in words (CONTRACT 6, Quiesce): intents, cursors, transfers not final.

    `heads` are the chains' heads, read before this transaction was opened: what was sent before
    that moment counts, also when no block that is confirmed has it yet.
    """
    left = [
        f"intent {row.id}: {row.state}"
        for row in await db.execute(
            text(
                "SELECT id, state FROM chain_intent WHERE state IN ('due', 'signed')"
                " ORDER BY id LIMIT 20"
            )
        )
    ]
    for chain, reason in (await halts(db)).items():
        left.append(f"{chain}: halted: {reason}")
    for chain, head in heads.items():
        for view, height in ((CONFIRMED, head.newest), (FINAL, head.final)):
            seen = await cursor(db, chain, view)
            if seen is None or seen.height < height:
                at = "nowhere" if seen is None else seen.height
                left.append(f"{chain}: {view} cursor at {at}, head at {height}")
    waiting = await db.scalar(
        text("SELECT count(*) FROM chain_inclusion WHERE state = 'confirmed'")
    )
    if waiting:
        left.append(f"chain transfers not final: {waiting}")
    return left
