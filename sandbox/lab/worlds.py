"""What a world's own rows have to do with snapshots: its end, and how it goes on after a restore.

Who exchanges databases and chains is the supervisor (CONTRACT 7); this runs where a world is open.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import Chain
from sandbox.chains.service import CONFIRMED, FINAL
from sandbox.core import chance, clock
from sandbox.core.db import Database
from sandbox.core.errors import SandboxError
from sandbox.core.ids import new_id
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes

Step = Callable[[], Awaitable[bool]]

_PATIENCE_S = 15.0
_LOOK_AGAIN_S = 0.005

_NEWEST = text(
    """
    SELECT c.epoch, c.offset_ms, floor(extract(epoch FROM c.frozen_at) * 1000)::bigint AS frozen_ms,
        p.size, p.root, e.origin, e.vkey, (SELECT count(*) FROM payment) AS payments
    FROM clock c JOIN log_epoch e ON e.epoch = c.epoch
    CROSS JOIN LATERAL (
        SELECT size, root FROM checkpoint WHERE checkpoint.epoch = c.epoch
        ORDER BY size DESC LIMIT 1
    ) AS p
    """
)
_SEQUENCES = text(
    "SELECT m.id, (SELECT coalesce(max(l.sequence), 0) FROM log_entry l"
    " WHERE l.epoch = (SELECT epoch FROM clock) AND l.merchant = m.id) AS newest"
    " FROM merchant m ORDER BY m.id"
)
_LEASED = text(
    "SELECT CAST(CAST(c.oid AS regclass) AS text) FROM pg_attribute a"
    " JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' WHERE a.attname = 'lease_owner'"
)
# Only forward: a restore that was cut short after this is finished without doing it again.
_GO_ON = text(
    """
    UPDATE clock SET epoch = :epoch, offset_ms = CASE WHEN frozen_at IS NOT NULL THEN offset_ms
        ELSE :at_ms - floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint END
    WHERE epoch < :epoch RETURNING epoch
    """
)


class WatchersBehind(SandboxError):
    """A snapshot wants both chains read to their heads; one does not answer, or does not end."""

    status, code = 503, "watchers_behind"

    def __init__(self, chain: str, timeout_s: float) -> None:
        super().__init__(
            f"{chain} was not read to its head within {timeout_s:g} s",
            chain=chain,
            retryable=True,
        )


async def read_to_heads(
    database: Database, opened: Mapping[str, Chain], watchers: Mapping[str, Step]
) -> None:
    """Let each chain's watcher reach the heads of its paused chain. Raises `WatchersBehind`.

    A halted chain stays where it is.
    """
    for name, chain in opened.items():
        try:
            async with asyncio.timeout(_PATIENCE_S):
                heads = await chain.heads()
                wanted = {CONFIRMED: heads.confirmed, FINAL: heads.final}
                while not await _is_at(database, name, wanted):
                    if not await watchers[name]():
                        await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError:
            raise WatchersBehind(name, _PATIENCE_S) from None


async def _is_at(database: Database, name: str, wanted: Mapping[str, int]) -> bool:
    async with database.transaction() as db:
        if name in await chains.halts(db):
            return True
        cursors = {view: await chains.cursor(db, name, view) for view in wanted}
    return all(seen is not None and seen.height >= wanted[view] for view, seen in cursors.items())


async def end_log(database: Database, sequence: Step) -> None:
    """Give every event its position, so that nothing of this world waits any more.

    Raises TimeoutError when that does not end.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                is_done = await sequence()
                async with database.transaction() as db:
                    if not await eventlog.busy(db):
                        return
                if not is_done:
                    await asyncio.sleep(_LOOK_AGAIN_S)
    except TimeoutError:
        raise TimeoutError(f"events have no position after {_PATIENCE_S:g} s") from None


async def give_back_leases(database: Database) -> None:
    """Nobody works on a row any more: call it when all workers rest, or in a turn of theirs."""
    async with database.transaction() as db:
        for table in (await db.scalars(_LEASED)).all():
            await db.execute(
                text(
                    f"UPDATE {table} SET lease_owner = NULL, lease_until = NULL"  # noqa: S608 - a name from the catalogue
                    " WHERE lease_owner IS NOT NULL"
                )
            )


async def facts(database: Database) -> dict[str, Any]:
    """Where this world stands: its clock, and its log's newest checkpoint."""
    async with database.transaction() as db:
        row = (await db.execute(_NEWEST)).one()
        sequences = await _sequences(db)
    return {
        "epoch": row.epoch,
        "offset_ms": row.offset_ms,
        "frozen_ms": row.frozen_ms,
        "origin": row.origin,
        "vkey": row.vkey,
        "size": row.size,
        "root": base64.b64encode(row.root).decode(),
        "payments": row.payments,
        "sequences": sequences,
    }


async def _sequences(db: AsyncSession) -> dict[str, int]:
    return {row.id: row.newest for row in await db.execute(_SEQUENCES)}


async def renew(
    database: Database,
    sequence: Step,
    *,
    epoch: int,
    at_ms: int,
    snapshot: str,
    left: Mapping[str, Any],
) -> dict[str, Any]:
    """Let a copied world go on: in a new epoch, at the instant `at_ms` of the snapshot (Unix ms).

    `left` is what `facts` said of the world before. May be repeated; answers `facts`.
    """
    kept = await facts(database)
    # By the new epoch: who restores a snapshot twice must not give two events one id.
    with chance.within(f"world {epoch}"):
        async with database.transaction() as db:
            if await db.scalar(_GO_ON, {"epoch": epoch, "at_ms": at_ms}) is not None:
                await _tell(db, epoch, snapshot, left, kept)
    await end_log(database, sequence)
    return await facts(database)


async def _tell(
    db: AsyncSession, epoch: int, snapshot: str, left: Mapping[str, Any], kept: Mapping[str, Any]
) -> None:
    """`world.restored`: first for everybody, then for each merchant in its own numbers."""
    at = await clock.now(db)
    world = {"object": "world", "epoch": epoch, "restored": snapshot, "now": clock.iso(at)}
    ends = {
        name: {field: end[field] for field in ("epoch", "origin", "size", "root")}
        for name, end in (("left", left), ("kept", kept))
    }
    events = [_restored(at, {**world, **ends}, None)]
    for merchant in kept["sequences"]:
        numbers = {
            name: {"epoch": end["epoch"], "sequence": end["sequences"].get(merchant, 0)}
            for name, end in (("left", left), ("kept", kept))
        }
        events.append(_restored(at, {**world, **numbers}, merchant))
    await ledger.record(db, Changes(events=events))


def _restored(at: Any, data: dict[str, Any], merchant: str | None) -> NewEvent:
    return NewEvent(new_id("evt", at), "world.restored", at, data, merchant=merchant)


def steps_of(loops: Sequence[Any]) -> tuple[Step, dict[str, Step]]:
    """Of a world's loops: the sequencer's step, and each watcher's by its chain."""
    by_name = {loop.name: loop.step for loop in loops}
    watchers = {
        name.removeprefix("watch:"): step
        for name, step in by_name.items()
        if name.startswith("watch:")
    }
    return by_name["sequence"], watchers
