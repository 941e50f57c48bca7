"""The watcher: reads each block of one chain twice, and lets the slices act on it.

At confirmed it stores what moved; at final it resolves intents and tells the slices what is
certain. A block is handled in one transaction, or not at all; it is never skipped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import faults
from sandbox.chains.models import ChainBlock, ChainDeployment
from sandbox.chains.port import Block, Chain, ChainUnavailable, Heads
from sandbox.chains.resolving import Landed, settle
from sandbox.chains.service import CONFIRMED, FINAL, Cursor
from sandbox.chains.sightings import Sightings, stored_place
from sandbox.chains.watching import (
    BlockHandler,
    HaltHandler,
    IntentHandler,
    KnownKeys,
    Record,
    no_keys,
)
from sandbox.core import clock, failpoints
from sandbox.core.db import Database, DatabaseUnavailable, Leader, LostLead, is_disconnect
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent

BATCH = 64
# Somebody waits for what is confirmed meanwhile; what is final can wait for one more block. But
# not for ever: as many are made final as were confirmed, or it would fall behind under load.
FINAL_AT_ONCE = 2
FAILURES_TO_HALT = 3
# A leaf has at most 65,535 bytes; `chain_inclusion` has them all.
MAX_DROPPED_NAMED = 500
# PostgreSQL, appendix A: serialization_failure, deadlock_detected, lock_not_available,
# query_canceled; classes 08 (connection) and 53 (resources), 57P0x (shutdown, starting up).
_TRY_AGAIN = ("40001", "40P01", "55P03", "57014", "08", "53", "57P0")

log = structlog.get_logger(__name__)
_B = TypeVar("_B")


@dataclass(frozen=True, slots=True)
class _Confirmed:
    """The cursor afterwards, or None after a reorg; whether there may be more at once; how many
    blocks with something in them were handled.
    """

    at: Cursor | None
    is_more: bool
    busy: int = 0


class DeepReorg(Exception):
    """A block that was final is not in the chain any more."""


class Disjoint(Exception):
    """The node gave a block that follows none of those it lists before it."""


class Watcher:
    """Follows one chain as its single leader.

    `handlers` hear of every block with something in it, `intent_handlers` (by kind) of the end of
    the intents they gave; `record` writes all their answers of a block in one call. `known_keys`
    tells the deposit addresses of sessions from other people's.
    """

    def __init__(
        self,
        database: Database,
        chain: Chain,
        handlers: Sequence[BlockHandler[Any]],
        intent_handlers: Mapping[str, IntentHandler[Any]],
        record: Record,
        leader: Leader,
        *,
        known_keys: KnownKeys = no_keys,
        batch: int = BATCH,
    ) -> None:
        self._database, self._chain, self._leader = database, chain, leader
        self._handlers, self._intent_handlers, self._record = handlers, intent_handlers, record
        self._stored = Sightings(chain, known_keys)
        self._batch = batch
        self._at = ("", -1)
        self._failures: dict[tuple[str, int], int] = {}
        self._may_fail = False

    async def step(self) -> bool:
        """Follow the chain as far as one batch goes; true when there may be more to do at once.

        Empty blocks alone are no reason to look again before the next have come.

        Never raises for a block that cannot be handled: the third time, the chain is halted.
        """
        try:
            return await self._leader.acquire() and await self._round()
        except LostLead:
            log.warning("lost the lead", chain=self._chain.name)
        except Exception as error:
            if is_passing(error):
                log.warning("cannot follow now", chain=self._chain.name, error=_words(error))
            else:
                await self._failed(error)
        return False

    async def _round(self) -> bool:
        async with self._database.transaction() as db:
            place = await stored_place(db, self._chain.name)
        if place.is_halted:
            return False
        if not place.cursors:
            await self._begin()
            return True
        self._may_fail = place.may_fail
        heads = await self._chain.heads()
        confirmed = await self._follow_confirmed(place.cursors, heads)
        if confirmed.at is None:
            return confirmed.is_more
        at_once = max(FINAL_AT_ONCE, confirmed.busy)
        moved = await self._follow_final(place.cursors[FINAL], confirmed.at, heads, at_once)
        return moved or confirmed.is_more

    async def _begin(self) -> None:
        """Start both cursors where the deployment says, or at the chain's first block."""
        async with self._database.transaction() as db:
            deployed = await db.get(ChainDeployment, self._chain.name)
        if deployed is None:
            first = (await self._chain.block_ids(0, 0))[0]
            start = Cursor(first.height, first.hash)
        else:
            start = Cursor(**deployed.config["start"])
        async with self._database.transaction() as db:
            await self._leader.check(db)
            for view in (CONFIRMED, FINAL):
                await self._stored.move_cursor(db, view, start)

    # At confirmed.

    async def _follow_confirmed(self, cursors: Mapping[str, Cursor], heads: Heads) -> _Confirmed:
        at = cursors[CONFIRMED]
        self._at = (CONFIRMED, at.height)
        if heads.confirmed < at.height:
            moved = await self._reorg(cursors, heads.confirmed)
            return _Confirmed(None, True) if moved else _Confirmed(at, False)
        if heads.confirmed == at.height:
            if heads.confirmed_hash in ("", at.hash):
                return _Confirmed(at, False)
            moved = await self._reorg(cursors, at.height)
            return _Confirmed(None, True) if moved else _Confirmed(at, False)
        # After a failure block by block, so that the one that fails is found and named.
        last = min(heads.confirmed, at.height + (1 if self._at in self._failures else self._batch))
        blocks = await self._chain.blocks(at.height + 1, last)
        if blocks and blocks[0].id.parent_hash != at.hash:
            if not await self._reorg(cursors, at.height):
                raise Disjoint(f"block {blocks[0].id.height} does not follow {at.hash}")
            return _Confirmed(None, True)
        joined = _joined(blocks)
        is_more = last < heads.confirmed or any(block.txs for block in blocks)
        for portion in _portions(joined, lambda block: not block.txs):
            at = await self._confirm(portion)
        if not blocks and last < heads.confirmed:
            at = Cursor(last, at.hash)
            async with self._database.transaction() as db:
                await self._leader.check(db)
                await self._stored.move_cursor(db, CONFIRMED, at)
        busy = sum(bool(block.txs) for block in joined)
        return _Confirmed(at, is_more or len(joined) < len(blocks), busy)

    async def _confirm(self, portion: Sequence[Block]) -> Cursor:
        """Handle some empty blocks and the one with contents that ends them."""
        newest = portion[-1]
        if newest.txs and self._may_fail:
            await self._fail_if_asked()
        to = Cursor(newest.id.height, newest.id.hash)
        async with self._database.transaction() as db:
            await self._leader.check(db)
            if not newest.txs:
                await self._stored.store_empty(db, portion)
            else:
                await self._stored.store_empty(db, portion[:-1])
                seen = await self._stored.store(db, newest, await clock.now(db))
                if seen is not None:
                    answers = [await handler.on_block(db, seen) for handler in self._handlers]
                    await self._write(db, answers)
            await self._stored.move_cursor(db, CONFIRMED, to)
            if newest.txs:
                failpoints.passed("confirm.uncommitted", self._chain.name)
        if newest.txs:
            failpoints.passed("confirm.committed", self._chain.name)
        self._went_well(CONFIRMED, to)
        return to

    async def _fail_if_asked(self) -> None:
        """Raises `BlockFailed`; that it struck is written all the same."""
        async with self._database.transaction() as db:
            struck = await faults.strikes(db, self._chain.name)
        if struck:
            raise faults.BlockFailed

    # At final.

    async def _follow_final(
        self, at: Cursor, confirmed: Cursor, heads: Heads, at_once: int
    ) -> bool:
        self._at = (FINAL, at.height)
        last = min(heads.final, confirmed.height)
        if last <= at.height:
            return False
        async with self._database.transaction() as db:
            rows = await self._stored.window(db, at.height, last, self._batch)
        if not rows:
            return False
        now_there = await self._chain.block_ids(at.height + 1, rows[-1].height)
        if [(b.height, b.hash) for b in now_there] != [(row.height, row.hash) for row in rows]:
            return await self._reorg({CONFIRMED: confirmed, FINAL: at}, confirmed.height)
        busy = 0
        for portion in _portions(rows, lambda row: row.is_empty):
            if busy == at_once:
                break
            await self._finalize(portion)
            busy += not portion[-1].is_empty
        return len(rows) == self._batch or busy > 0

    async def _finalize(self, portion: Sequence[ChainBlock]) -> None:
        newest = portion[-1]
        to = Cursor(newest.height, newest.hash)
        async with self._database.transaction() as db:
            await self._leader.check(db)
            if not newest.is_empty:
                landed = Landed(self._chain.name, newest.height, newest.time)
                attempts = [(tx, error) for tx, error in newest.attempts]
                answers = await settle(db, self._intent_handlers, landed, attempts)
                await self._stored.mark(db, [newest.hash], FINAL)
                seen = await self._stored.load(db, newest)
                answers += [await handler.on_final(db, seen) for handler in self._handlers]
                await self._write(db, answers)
            await self._stored.forget(db, portion[0].height, newest.height)
            await self._stored.move_cursor(db, FINAL, to)
            if not newest.is_empty:
                failpoints.passed("final.uncommitted", self._chain.name)
        if not newest.is_empty:
            failpoints.passed("final.committed", self._chain.name)
        self._went_well(FINAL, to)

    # Accidents.

    async def _reorg(self, cursors: Mapping[str, Cursor], upto: int) -> bool:
        """Take back the stored blocks that left the chain; false when none did.

        Only heights ≤ `upto` are judged: a node that lags behind is no reorg.
        """
        base = cursors[FINAL]
        there = await self._chain.block_ids(base.height, max(base.height, upto))
        hashes = {block.height: block.hash for block in there}
        if base.height <= upto and hashes.get(base.height) != base.hash:
            raise DeepReorg(f"block {base.height} {base.hash} was final and is gone")
        async with self._database.transaction() as db:
            rows = await self._stored.window(db, base.height)
        gone = [row for row in rows if row.height <= upto and hashes.get(row.height) != row.hash]
        if not gone:
            return False
        removed = [row for row in rows if row.height >= gone[0].height]
        kept = rows[: len(rows) - len(removed)]
        fork = Cursor(kept[-1].height, kept[-1].hash) if kept else base
        await self._take_back(removed, fork)
        return True

    async def _take_back(self, removed: Sequence[ChainBlock], fork: Cursor) -> None:
        async with self._database.transaction() as db:
            await self._leader.check(db)
            answers, dropped = [], []
            for row in reversed(removed):
                if row.is_empty:
                    continue
                seen = await self._stored.load(db, row)
                dropped += [transfer.transfer.tx for transfer in seen.transfers]
                answers += [await handler.on_reverted(db, seen) for handler in self._handlers]
            await self._stored.mark(db, [row.hash for row in removed], "reverted")
            await self._stored.forget(db, removed[0].height, removed[-1].height)
            await self._stored.move_cursor(db, CONFIRMED, fork)
            txs = list(dict.fromkeys(reversed(dropped)))
            event = await self._event(
                db,
                "chain.reorged",
                from_height=removed[-1].height,
                to_height=fork.height,
                dropped=len(txs),
                dropped_txs=txs[:MAX_DROPPED_NAMED],
            )
            await self._write(db, answers, [event])
        log.warning("reorg", chain=self._chain.name, to=fork.height, blocks=len(removed))

    async def _failed(self, error: Exception) -> None:
        """Count a failure of our own; the third at the same place halts the chain."""
        failures = self._failures[self._at] = self._failures.get(self._at, 0) + 1
        view, above = self._at
        log.error(
            "cannot handle a block",
            chain=self._chain.name,
            view=view,
            above=above,
            failures=failures,
            exc_info=error,
        )
        if failures < FAILURES_TO_HALT:
            return
        try:
            await self._halt(f"{view} above {above}: {_words(error)}")
            self._failures.clear()
        except Exception as second:
            log.error("cannot halt the chain", chain=self._chain.name, exc_info=second)

    async def _halt(self, reason: str) -> None:
        async with self._database.transaction() as db:
            await self._leader.check(db)
            await db.execute(
                text(
                    "INSERT INTO chain_halt (chain, reason, height, since)"
                    " VALUES (:chain, :reason, :height, sandbox_now())"
                ),
                {"chain": self._chain.name, "reason": reason, "height": self._at[1]},
            )
            answers = [
                await handler.on_halted(db, self._chain.name, reason)
                for handler in self._handlers
                if isinstance(handler, HaltHandler)
            ]
            event = await self._event(db, "chain.halted", height=self._at[1], reason=reason)
            await self._write(db, answers, [event])

    def _went_well(self, view: str, to: Cursor) -> None:
        self._failures = {at: n for at, n in self._failures.items() if at[0] != view}
        self._at = (view, to.height)

    async def _event(self, db: AsyncSession, type_: str, **data: Any) -> NewEvent:
        at = await clock.now(db)
        return NewEvent(new_id("evt", at), type_, at, {"chain": self._chain.name, **data})

    async def _write(
        self, db: AsyncSession, answers: list[Any], events: list[NewEvent] | None = None
    ) -> None:
        if answers or events:
            await self._record(db, answers, events or [])


def is_passing(error: BaseException) -> bool:
    """Whether the same step may simply be tried again: nothing of our own went wrong."""
    # Connecting raises the driver's own errors, everything later SQLAlchemy's.
    cause = error.orig if isinstance(error, DBAPIError) else error
    if (getattr(cause, "sqlstate", None) or "").startswith(_TRY_AGAIN) or is_disconnect(error):
        return True
    return isinstance(
        error, ChainUnavailable | DatabaseUnavailable | LostLead | NoConnectionInTime | OSError
    )


def _joined(blocks: Sequence[Block]) -> list[Block]:
    """The blocks up to the first that does not follow the one before it (a reorg meanwhile)."""
    for n in range(1, len(blocks)):
        if blocks[n].id.parent_hash != blocks[n - 1].id.hash:
            return list(blocks[:n])
    return list(blocks)


def _portions(blocks: Sequence[_B], is_empty: Callable[[_B], bool]) -> Iterator[list[_B]]:
    """Cut into what one transaction takes: empty blocks, and at most one with contents, last."""
    portion: list[_B] = []
    for block in blocks:
        portion.append(block)
        if not is_empty(block):
            yield portion
            portion = []
    if portion:
        yield portion


def _words(error: BaseException) -> str:
    """An error in one short line: database errors carry whole statements with their values."""
    first = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first}"[:200]
