"""What the reserve does when a chain reports: mints that ended, and movements nobody asked for."""

from typing import Literal

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.watching import IntentDone, IntentFailed, Seen, SeenBlock
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.core.money import tiyn_from_units
from sandbox.eventlog.types import NewEvent
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, Leg, NewEntry, Resolution, credit, debit
from sandbox.reserve import minting, service
from sandbox.reserve.burns import burn_object
from sandbox.reserve.models import HolderBurn, Issuance


class IssuanceHandler:
    """The end of a mint (CONTRACT 10, row 2)."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        row = await _ended(db, done.id, "issued", done.tx, None)
        at = await clock.now(db)
        event = NewEvent(
            new_id("evt", at),
            "reserve.issuance_issued",
            at,
            service.issuance_object(row),
            refs=(row.id,),
        )
        resolution = Resolution(row.id, "posted", event.id, done.height)
        return Changes(resolutions=[resolution], events=[event])

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        row = await _ended(db, failed.id, "failed", failed.tx, failed.reason)
        at = await clock.now(db)
        event = NewEvent(
            new_id("evt", at),
            "reserve.issuance_failed",
            at,
            service.issuance_object(row),
            refs=(row.id,),
        )
        resolution = Resolution(row.id, "voided", event.id, failed.height)
        return Changes(resolutions=[resolution], events=[event])


async def _ended(
    db: AsyncSession, id_: str, status: str, tx: str | None, reason: str | None
) -> Issuance:
    found = select(Issuance).where(col(Issuance.id) == id_).with_for_update(key_share=True)
    row = (await db.exec(found.execution_options(populate_existing=True))).one()
    assert row.status == "pending", f"{id_} ended before: {row.status}"
    row.status, row.tx, row.reason = status, tx, reason
    row.resolved_at = await clock.now(db)
    await db.flush()
    return row


class ReserveWatch:
    """Looks at every movement for those that change supply or leave us without an intent."""

    async def on_block(self, db: AsyncSession, block: SeenBlock) -> Changes:
        changes = Changes()
        for seen in block.transfers:
            if seen.intent is not None:
                continue
            kind = seen.transfer.kind
            if kind == "mint":
                changes.extend(await _alarm(db, block, seen, "chain.unexplained_supply"))
            elif seen.outgoing_place and not seen.incoming_place:
                changes.extend(await _alarm(db, block, seen, "chain.unexplained_outflow"))
            elif kind == "burn":
                changes.extend(await _burn_seen(db, block, seen))
        return changes

    async def on_final(self, db: AsyncSession, block: SeenBlock) -> Changes:
        return await _burns_end(db, block, "final", "posted")

    async def on_reverted(self, db: AsyncSession, block: SeenBlock) -> Changes:
        return await _burns_end(db, block, "reverted", "voided")

    async def on_halted(self, db: AsyncSession, chain: str, reason: str) -> Changes:
        """A chain that is not followed hides what happens on it: nothing more is minted."""
        return Changes(events=await minting.halt(db, f"{chain} is halted: {reason}"))


async def _alarm(db: AsyncSession, block: SeenBlock, seen: Seen, type_: str) -> Changes:
    """No legs: I1 or I5 turn red and stay so until someone explains it (CONTRACT 5)."""
    if seen.inclusion > 1:
        return Changes()
    at = await clock.now(db)
    moved = seen.transfer
    data = {
        "chain": block.chain,
        "height": block.height,
        "transfer": seen.id,
        "tx": moved.tx,
        "kind": moved.kind,
        "source": moved.source,
        "destination": moved.destination,
        "amount_units": moved.amount_units,
    }
    alarm = NewEvent(new_id("evt", at), type_, at, data)
    halted = await minting.halt(db, f"{type_}: {moved.tx}")
    return Changes(events=[alarm, *halted])


async def _burn_seen(db: AsyncSession, block: SeenBlock, seen: Seen) -> Changes:
    found = select(HolderBurn).where(col(HolderBurn.transfer_id) == seen.id)
    row = (await db.exec(found.with_for_update(key_share=True))).one_or_none()
    at = await clock.now(db)
    if row is None:
        row = HolderBurn(
            id=new_id("str", at),
            transfer_id=seen.id,
            chain=block.chain,
            tx=seen.transfer.tx,
            source=seen.transfer.source,
            amount_units=seen.transfer.amount_units,
            inclusion=seen.inclusion,
            status="confirmed",
            created_at=at,
        )
        db.add(row)
    row.inclusion, row.status = seen.inclusion, "confirmed"
    await db.flush()
    entry = NewEntry(
        id=new_id("ent", at),
        kind="pending",
        reason="holder_burn",
        ref=_burn_ref(row),
        chain=block.chain,
        effective_at=min(block.time, at),
        cause=seen.id,
        legs=_burn_legs(row, block.decimals),
    )
    event = NewEvent(new_id("evt", at), "stray.recorded", at, burn_object(row))
    return Changes(entries=[entry], events=[event])


def _burn_ref(row: HolderBurn) -> str:
    return f"{row.id}:{row.inclusion}"


def _burn_legs(row: HolderBurn, decimals: int) -> tuple[Leg, ...]:
    """Units leave supply; the tenge behind whole tiyn of them has no owner any more."""
    units = row.amount_units
    gone = (debit(accounts.supply(row.chain), units), credit(accounts.external(row.chain), units))
    tiyn, _ = tiyn_from_units(units, decimals)
    if tiyn == 0:
        return gone
    freed = (
        debit(accounts.outstanding(row.chain), tiyn),
        credit(accounts.unidentified(row.tx), tiyn),
    )
    return gone + freed


async def _burns_end(
    db: AsyncSession, block: SeenBlock, status: str, outcome: Literal["posted", "voided"]
) -> Changes:
    burned = [
        seen.id
        for seen in block.transfers
        if seen.transfer.kind == "burn" and seen.intent is None and not seen.outgoing_place
    ]
    changes = Changes()
    if not burned:
        return changes
    rows = await db.exec(
        select(HolderBurn)
        .where(col(HolderBurn.transfer_id).in_(burned))
        .order_by(col(HolderBurn.id))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    at = await clock.now(db)
    for row in rows.all():
        row.status = status
        await db.flush()
        event = NewEvent(
            new_id("evt", at), f"stray.{status}", at, burn_object(row), refs=(_burn_ref(row),)
        )
        changes.events.append(event)
        changes.resolutions.append(Resolution(_burn_ref(row), outcome, event.id, block.height))
    return changes
