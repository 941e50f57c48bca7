"""What intakes hear of the chains: units that came, that were collected, burned, sent back."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Literal

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import TREASURY, UNSWEPT, address_key
from sandbox.chains.watching import IntentDone, IntentFailed, Seen, SeenBlock
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, Resolution, credit, debit
from sandbox.reserve import aims, intakes, moves, redemptions
from sandbox.reserve.models import Intake, SendBack, UnitReceipt

log = structlog.get_logger(__name__)


class IntakeWatch:
    """The `BlockHandler`: what payers sent for an intake, and what strangers collected of it."""

    async def on_block(self, db: AsyncSession, block: SeenBlock) -> Changes:
        changes = Changes()
        arrived = await _arrivals(db, block)
        if not arrived:
            return changes
        await intakes.locked(db, {intake for _, intake in arrived})
        known = await _receipts(db, [seen.id for seen, _ in arrived])
        at = await clock.now(db)
        for seen, intake in arrived:
            row = known.get(seen.id)
            if row is not None and seen.inclusion <= row.inclusion:
                continue
            if row is None:
                row = _new_receipt(seen, intake, block, at)
            # A payer that is a contract may send another amount when its transaction comes back.
            row.source, row.amount_units = seen.transfer.source, seen.transfer.amount_units
            row.inclusion, row.height, row.state = seen.inclusion, block.height, "confirmed"
            db.add(row)
            changes.entries.append(_arrived(row, block, at))
            changes.events.append(_told(row, at))
        await db.flush()
        return changes

    async def on_final(self, db: AsyncSession, block: SeenBlock) -> Changes:
        rows = await _of(db, block)
        changes = await _end(db, block, rows, "final", "posted")
        touched = {row.intake for row in rows}
        for intake in (await intakes.locked(db, touched)).values():
            changes.extend(await _judge(db, intake))
        changes.extend(await _swept_by_others(db, block))
        return changes

    async def on_reverted(self, db: AsyncSession, block: SeenBlock) -> Changes:
        return await _end(db, block, await _of(db, block), "reverted", "voided")


def _new_receipt(seen: Seen, intake: str, block: SeenBlock, at: datetime) -> UnitReceipt:
    return UnitReceipt(
        id=new_id("rcp", at),
        intake=intake,
        chain=block.chain,
        transfer_id=seen.id,
        tx=seen.transfer.tx,
        source=seen.transfer.source,
        amount_units=seen.transfer.amount_units,
        place=seen.incoming_place,
        inclusion=seen.inclusion,
        height=block.height,
        first_block_time=block.time,
        state="confirmed",
        created_at=at,
    )


async def _arrivals(db: AsyncSession, block: SeenBlock) -> list[tuple[Seen, str]]:
    """The transfers by others that carry, or went to, an intake's key.

    Also what the sandbox itself sent to its deposit address: in the books of that intent the units
    went outside, and from there they came.
    """
    came = [
        seen
        for seen in block.transfers
        if seen.transfer.amount_units > 0
        and (
            seen.incoming_place == UNSWEPT
            if seen.intent is not None
            else seen.incoming_place
            and not seen.outgoing_place
            and seen.transfer.kind == "transfer"
        )
    ]
    known = await intakes.known_keys(
        db, block.chain, {key for seen in came for key in seen.transfer.keys}
    )
    named = [
        (seen, next((known[key] for key in seen.transfer.keys if key in known), None))
        for seen in came
    ]
    return [(seen, intake) for seen, intake in named if intake is not None]


async def _receipts(db: AsyncSession, transfers: Collection[str]) -> dict[str, UnitReceipt]:
    found = (
        select(UnitReceipt)
        .where(col(UnitReceipt.transfer_id).in_(list(transfers)))
        .order_by(col(UnitReceipt.id))
        .execution_options(populate_existing=True)
    )
    return {row.transfer_id: row for row in await db.exec(found)}


def _ref(row: UnitReceipt) -> str:
    return f"{row.id}:{row.inclusion}"


def _arrived(row: UnitReceipt, block: SeenBlock, at: datetime) -> NewEntry:
    chain, units = row.chain, row.amount_units
    place = accounts.treasury(chain) if row.place == TREASURY else accounts.redeem(chain)
    return NewEntry(
        id=new_id("ent", at),
        kind="pending",
        reason="units received",
        ref=_ref(row),
        chain=chain,
        # A chain's clock may round; nothing takes effect after it was recorded (LEDGER, L18).
        effective_at=min(block.time, at),
        cause=f"block:{block.chain}:{block.height}",
        legs=(
            debit(place, units),
            credit(accounts.external(chain), units),
            debit(accounts.custody(chain), units),
            credit(accounts.suspense(chain, row.intake), units),
        ),
    )


def _told(row: UnitReceipt, at: datetime, refs: tuple[str, ...] = ()) -> NewEvent:
    data = aims.receipt_object(row)
    return NewEvent(new_id("evt", at), f"reserve.units_{row.state}", at, data, refs=refs)


async def _of(db: AsyncSession, block: SeenBlock) -> list[UnitReceipt]:
    """The receipts whose newest inclusion is this block's."""
    inclusion = {seen.id: seen.inclusion for seen in block.transfers}
    if not inclusion:
        return []
    rows = (await _receipts(db, inclusion)).values()
    return [row for row in rows if inclusion[row.transfer_id] == row.inclusion]


async def _end(
    db: AsyncSession,
    block: SeenBlock,
    rows: Collection[UnitReceipt],
    state: Literal["final", "reverted"],
    outcome: Literal["posted", "voided"],
) -> Changes:
    changes = Changes()
    if not rows:
        return changes
    await intakes.locked(db, {row.intake for row in rows})
    at = await clock.now(db)
    for row in await _of(db, block):  # fresh, now that nobody else changes them
        if row.state != "confirmed":
            continue
        row.state = state
        db.add(row)
        event = _told(row, at, (_ref(row),))
        changes.events.append(event)
        height = block.height if outcome == "posted" else None
        changes.resolutions.append(Resolution(_ref(row), outcome, event.id, height))
    await db.flush()
    return changes


async def _judge(db: AsyncSession, intake: Intake) -> Changes:
    """Whether the units are all there: final ones that came in time; more stay a remainder."""
    if intake.state not in ("open", "expired"):
        return Changes()
    found = select(UnitReceipt).where(
        col(UnitReceipt.intake) == intake.id, col(UnitReceipt.state) == "final"
    )
    rows = list(await db.exec(found))
    given_back = select(SendBack).where(
        col(SendBack.intake) == intake.id, col(SendBack.status) != "failed"
    )
    in_time = sum(r.amount_units for r in rows if r.first_block_time <= intake.expires_at)
    gone = sum(back.amount_units for back in await db.exec(given_back))
    if in_time - gone < intake.amount_units:
        return Changes()
    intake.state, intake.received_at = "received", await clock.now(db)
    db.add(intake)
    return Changes(events=[await aims.event(db, intake, "received")])


# Collecting what lies at deposit addresses.


async def _swept_by_others(db: AsyncSession, block: SeenBlock) -> Changes:
    """A final block: what strangers took to the treasury, who may."""
    moved: dict[str, tuple[str, int]] = {}
    for seen in block.transfers:
        is_sweep = (seen.outgoing_place, seen.incoming_place) == (UNSWEPT, TREASURY)
        if is_sweep and seen.intent is None and seen.transfer.amount_units:
            key = address_key(seen.transfer.source)
            moved[seen.id] = (key, seen.transfer.amount_units)
    known = await intakes.known_keys(db, block.chain, {key for key, _ in moved.values()})
    rows = await intakes.locked(db, set(known.values()))
    changes = Changes()
    for transfer, (key, units) in sorted(moved.items()):
        if key in known:
            intake = rows[known[key]]
            ref = f"{intake.id}:swept:{transfer}"
            changes.extend(await _book_sweep(db, intake, ref, units, block.height, transfer))
    return changes


async def _book_sweep(
    db: AsyncSession, intake: Intake, ref: str, moved: int, height: int, cause: str
) -> Changes:
    """Units that went to the treasury, never more than were booked as coming in."""
    units = min(moved, await intakes.lying(db, intake, height))
    if units <= 0:
        return Changes()
    intake.swept_units += units
    db.add(intake)
    await db.flush()
    at, chain = await clock.now(db), intake.chain
    legs = (debit(accounts.treasury(chain), units), credit(accounts.redeem(chain), units))
    entry = NewEntry(new_id("ent", at), "pending", "units swept", ref, chain, at, cause, legs)
    data = {
        "object": "unit_sweep",
        "intake": intake.id,
        "chain": chain,
        "amount_units": units,
        "cause": cause,
    }
    event = NewEvent(new_id("evt", at), "reserve.units_swept", at, data, refs=(ref,))
    return Changes([entry], [Resolution(ref, "posted", event.id, height)], [event])


class IntakeSweeps:
    """The `IntentHandler` of sweeps of intakes."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        intake = await _sweeping(db, done.id)
        moved: Counter[str] = Counter()
        for one in await chains.moved_by(db, done.id):
            moved[one.source] += one.amount_units
        before = intake.swept_units
        ref = f"{intake.id}:swept:{intake.sweep_attempt}"
        changes = await _book_sweep(db, intake, ref, moved.total(), done.height, done.id)
        if intake.swept_units == before and await intakes.lying(db, intake, done.height):
            # A frozen address is left out, and the others go on (Chain port, `sweep`).
            changes.extend(await _cannot_collect(db, intake, "nothing left its deposit address"))
        return changes

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        intake = await _sweeping(db, failed.id)
        if intake.sweep_attempt % intakes.MAX_ATTEMPTS:
            return Changes()
        return await _cannot_collect(db, intake, failed.reason)


async def _sweeping(db: AsyncSession, intent_id: str) -> Intake:
    id_ = intent_id.partition(":")[0]
    intake = (await intakes.locked(db, [id_]))[id_]
    assert intake.is_sweeping, f"{intent_id}: nothing is swept"
    assert intakes.sweep_ref(intake) == intent_id, f"{intent_id} is not the newest sweep"
    intake.is_sweeping = False
    db.add(intake)
    return intake


async def _cannot_collect(db: AsyncSession, intake: Intake, reason: str) -> Changes:
    """The units stay where they are, and whatever waits for them says so."""
    log.error("units cannot be collected", intake=intake.id, chain=intake.chain, reason=reason)
    changes, at = Changes(), await clock.now(db)
    if intake.state == "received":
        intake.state, intake.reason = "stuck", reason
        db.add(intake)
        changes.events.append(await aims.event(db, intake, "stuck"))
    waiting = select(SendBack).where(
        col(SendBack.intake) == intake.id, col(SendBack.status) == "waiting"
    )
    for back in (await db.exec(waiting.order_by(col(SendBack.id)))).all():
        back.status, back.reason = "failed", reason
        db.add(back)
        changes.events.append(intakes.send_back_event(back, "failed", at))
    await db.flush()
    return changes


class IntakeBurns:
    """The `IntentHandler` of burns of intakes."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        """Posted at its height; the second half begins in the same transaction."""
        intake = await self._of(db, done.id)
        intake.state, intake.tx, intake.reason = "burned", done.tx, None
        intake.burned_at = await clock.now(db)
        db.add(intake)
        changes = Changes()
        if aims.is_redemption(intake.id):
            changes.entries.append(await redemptions.instruct(db, intake))
        else:
            await moves.burned(db, intake)
        event = await aims.event(db, intake, "burned", (done.id,))
        changes.events.append(event)
        changes.resolutions.append(Resolution(done.id, "posted", event.id, done.height))
        return changes

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        intake = await self._of(db, failed.id)
        is_last = intake.burn_attempt % intakes.MAX_ATTEMPTS == 0
        intake.state = "stuck" if is_last else "received"
        intake.tx, intake.reason = failed.tx, failed.reason
        db.add(intake)
        event = await aims.event(db, intake, "burn_failed", (failed.id,))
        return Changes(
            resolutions=[Resolution(failed.id, "voided", event.id, failed.height)], events=[event]
        )

    async def _of(self, db: AsyncSession, intent_id: str) -> Intake:
        id_ = intent_id.partition(":")[0]
        intake = (await intakes.locked(db, [id_]))[id_]
        assert (intakes.burn_ref(intake), intake.state) == (intent_id, "burning"), intent_id
        return intake


class SendBacks:
    """The `IntentHandler` of units that go back."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        return await self._ended(db, done, "sent", None)

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        return await self._ended(db, failed, "failed", failed.reason)

    async def _ended(
        self,
        db: AsyncSession,
        end: IntentDone | IntentFailed,
        status: Literal["sent", "failed"],
        reason: str | None,
    ) -> Changes:
        found = select(SendBack).where(col(SendBack.id) == end.id).with_for_update(key_share=True)
        row = (await db.exec(found.execution_options(populate_existing=True))).one()
        assert row.status == "pending", f"{row.id} is {row.status}"
        row.status, row.tx, row.reason = status, end.tx, reason
        db.add(row)
        at = await clock.now(db)
        event = intakes.send_back_event(row, status, at, (row.id,))
        outcome: Literal["posted", "voided"] = "posted" if status == "sent" else "voided"
        return Changes(
            resolutions=[Resolution(row.id, outcome, event.id, end.height)], events=[event]
        )
