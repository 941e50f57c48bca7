"""Units of a batch that leave the treasury: burned, or sent to the merchant's own wallet.

One intent per chain and kind, and what follows from its end. All of them are final before the bank
hears of anything (LEDGER 2.3, E8a and E8b).
"""

from collections.abc import Mapping
from typing import Final, Literal, cast

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import Chain, Command
from sandbox.chains.watching import IntentDone, IntentFailed
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import accounts
from sandbox.ledger.journal import Changes, Leg, NewEntry, Resolution, credit, debit
from sandbox.parties import service as parties
from sandbox.payments import service as payments
from sandbox.settlement import payouts
from sandbox.settlement.models import (
    Settlement,
    SettlementBurn,
    SettlementLine,
    SettlementReserve,
    SettlementTransfer,
)
from sandbox.settlement.objects import settlement_event

Leaving = SettlementBurn | SettlementTransfer
KIND: Final = "burn"
TRANSFER_KIND: Final = "settlement_transfer"
MAX_ATTEMPTS: Final = 3
"""Intents of one batch, chain and kind that may fail in a row; then it waits for the next
settlement."""

log = structlog.get_logger(__name__)


def ref_of(leaving: Leaving) -> str:
    """The reference of the newest intent and of its ledger entry."""
    word = "burn" if isinstance(leaving, SettlementBurn) else "transfer"
    return f"{leaving.settlement}:{word}:{leaving.chain}:{leaving.attempt}"


def _burn_legs(settlement: Settlement, burn: SettlementBurn) -> tuple[Leg, ...]:
    """What is burned leaves the chain's places and claims, and is owed in tenge from then on."""
    chain = burn.chain
    legs = [
        debit(accounts.supply(chain), burn.units),
        credit(accounts.treasury(chain), burn.units),
        debit(accounts.settling(chain, settlement.id), burn.units),
        credit(accounts.custody(chain), burn.units),
        debit(accounts.outstanding(chain), burn.amount_tiyn),
    ]
    owed = (
        (accounts.payout(settlement.merchant), burn.amount_tiyn - burn.fee_tiyn),
        (accounts.fees(), burn.fee_tiyn - burn.vat_tiyn),
        (accounts.vat(), burn.vat_tiyn),
    )
    legs += [credit(account, amount) for account, amount in owed if amount]
    return tuple(legs)


def _transfer_legs(settlement: Settlement, sent: SettlementTransfer) -> tuple[Leg, ...]:
    """What is sent is its holder's own from then on: no claim on the sandbox, still outstanding."""
    chain = sent.chain
    return (
        debit(accounts.external(chain), sent.units),
        credit(accounts.treasury(chain), sent.units),
        debit(accounts.settling(chain, settlement.id), sent.units),
        credit(accounts.custody(chain), sent.units),
    )


async def request(db: AsyncSession, settlement: Settlement, leaving: Leaving) -> NewEntry:
    """Ask the chain to burn or send, and return the pending entry that reserves the units."""
    ref, at = ref_of(leaving), await clock.now(db)
    if isinstance(leaving, SettlementBurn):
        kind, reason, legs = KIND, "settlement_burn", _burn_legs(settlement, leaving)
        command = Command("burn", reference=ref, amount_units=leaving.units)
    else:
        kind, reason, legs = TRANSFER_KIND, TRANSFER_KIND, _transfer_legs(settlement, leaving)
        command = Command(
            "transfer", reference=ref, recipient=leaving.recipient, amount_units=leaving.units
        )
    await chains.request(db, [chains.Intent(ref, kind, leaving.chain, command)])
    return NewEntry(
        id=new_id("ent", at),
        kind="pending",
        reason=reason,
        ref=ref,
        chain=leaving.chain,
        effective_at=at,
        cause=settlement.id,
        legs=legs,
    )


async def _ask_again(
    db: AsyncSession, settlement: Settlement, leaving: Leaving, *, at_once: bool
) -> list[NewEntry]:
    """Ask now, or (as with everything for who is not paid out) leave it to `sweeps.go_on`."""
    leaving.attempt += 1
    db.add(leaving)
    if isinstance(leaving, SettlementTransfer):
        merchant = await parties.merchant(db, settlement.merchant, steady=True)
        at_once = at_once and merchant.status not in parties.NO_PAYOUT
    if at_once:
        leaving.status = "pending"
        return [await request(db, settlement, leaving)]
    leaving.status, leaving.reason = "sweeping", None
    return []


async def retry(
    db: AsyncSession, merchant: str, configured: Mapping[str, Chain]
) -> tuple[list[str], list[NewEntry]]:
    """Ask again for what stands still of the merchant's: its batches, the pending entries.

    What stopped them (a pause, a frozen treasury or wallet) may last longer than a few attempts
    do. Where units have to be swept first, they are asked for as soon as the treasury has them.
    """
    batches: list[str] = []
    entries: list[NewEntry] = []
    for model in (SettlementBurn, SettlementTransfer):
        found = (
            select(model)
            .join(Settlement, col(Settlement.id) == col(model.settlement))
            .where(col(model.status) == "stuck", col(Settlement.merchant) == merchant)
            .order_by(col(model.settlement), col(model.chain))
        )
        for leaving in cast("list[Leaving]", list((await db.exec(found)).all())):
            settlement = await payouts.locked(db, leaving.settlement)
            at_once = not configured[leaving.chain].sweep_batch
            entries += await _ask_again(db, settlement, leaving, at_once=at_once)
            batches.append(settlement.id)
    return batches, entries


async def settled_if_gone(db: AsyncSession, settlement: Settlement) -> Changes:
    """The batch is settled when the last unit of it is burned or sent, or nothing is left to."""
    sent = await _all(db, SettlementTransfer, settlement.id)
    burned = await _all(db, SettlementBurn, settlement.id)
    if any(one.status not in ("burned", "sent") for one in (*burned, *sent)):
        return Changes()
    return await settled(db, settlement)


async def settled(db: AsyncSession, settlement: Settlement) -> Changes:
    """The batch is settled: nothing is left to burn or send, and the payout is instructed."""
    at = await clock.now(db)
    await payouts.hold_back_if_lost(db, settlement)
    settlement.status, settlement.settled_at = "settled", at
    db.add(settlement)
    changes = await payouts.instruct(db, settlement)
    kept = select(SettlementReserve).where(
        col(SettlementReserve.settlement) == settlement.id, col(SettlementReserve.units) > 0
    )
    for one in (await db.exec(kept.order_by(col(SettlementReserve.chain)))).all():
        changes.entries.append(await _kept(db, settlement, one))
    lines = select(SettlementLine.payment).where(
        col(SettlementLine.settlement) == settlement.id, col(SettlementLine.deferred_at).is_(None)
    )
    await payments.mark_settled(db, list(await db.exec(lines)))
    changes.events.append(
        NewEvent(
            new_id("evt", at),
            "settlement.settled",
            at,
            await settlement_event(db, settlement),
            merchant=settlement.merchant,
            refs=tuple(entry.ref for entry in changes.entries if entry.kind == "posted"),
        )
    )
    return changes


async def _kept(db: AsyncSession, settlement: Settlement, kept: SettlementReserve) -> NewEntry:
    """What the batch keeps for refunds: from now on it can be spent."""
    at = await clock.now(db)
    return NewEntry(
        id=new_id("ent", at),
        kind="posted",
        reason="settlement_reserve",
        ref=f"{settlement.id}:reserve:{kept.chain}",
        chain=kept.chain,
        effective_at=at,
        cause=settlement.id,
        legs=(
            debit(accounts.settling(kept.chain, settlement.id), kept.units),
            credit(accounts.refund_reserve(kept.chain, settlement.merchant), kept.units),
        ),
    )


async def _all(
    db: AsyncSession, model: type[SettlementBurn] | type[SettlementTransfer], settlement_id: str
) -> list[Leaving]:
    found = select(model).where(col(model.settlement) == settlement_id)
    found = found.order_by(col(model.chain)).execution_options(populate_existing=True)
    return cast("list[Leaving]", list((await db.exec(found)).all()))


async def _of_intent(db: AsyncSession, intent_id: str) -> tuple[Settlement, Leaving]:
    settlement_id, word, chain, _ = intent_id.split(":")
    settlement = await payouts.locked(db, settlement_id)
    model = SettlementBurn if word == "burn" else SettlementTransfer
    leaving = next(one for one in await _all(db, model, settlement_id) if one.chain == chain)
    assert ref_of(leaving) == intent_id, f"{intent_id} is not the newest of its kind"
    assert leaving.status == "pending", f"{intent_id} is {leaving.status}"
    return settlement, leaving


class Burns:
    """The `IntentHandler` of burns, and of transfers to merchants' wallets."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        """Post it at its height; with the last one the batch is settled."""
        settlement, leaving = await _of_intent(db, done.id)
        at = await clock.now(db)
        leaving.tx, leaving.reason = done.tx, None
        type_: Literal["settlement.burned", "settlement.transferred"]
        if isinstance(leaving, SettlementBurn):
            leaving.status, leaving.burned_at, type_ = "burned", at, "settlement.burned"
        else:
            leaving.status, leaving.sent_at, type_ = "sent", at, "settlement.transferred"
        db.add(leaving)
        event = await _told(db, settlement, type_, done.id)
        changes = Changes(
            resolutions=[Resolution(done.id, "posted", event.id, done.height)], events=[event]
        )
        changes.extend(await settled_if_gone(db, settlement))
        return changes

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        """Give the units back to the batch and ask again, a bounded number of times."""
        settlement, leaving = await _of_intent(db, failed.id)
        leaving.tx, leaving.reason = failed.tx, failed.reason
        entries: list[NewEntry] = []
        if leaving.attempt % MAX_ATTEMPTS:
            entries += await _ask_again(db, settlement, leaving, at_once=True)
        else:
            leaving.status = "stuck"
            log.error("units of a batch are stuck", intent=failed.id, reason=failed.reason)
        db.add(leaving)
        is_burn = isinstance(leaving, SettlementBurn)
        type_ = "settlement.burn_failed" if is_burn else "settlement.transfer_failed"
        event = await _told(db, settlement, type_, failed.id)
        resolution = Resolution(failed.id, "voided", event.id, failed.height)
        return Changes(entries=entries, resolutions=[resolution], events=[event])


async def _told(db: AsyncSession, settlement: Settlement, type_: str, ref: str) -> NewEvent:
    at = await clock.now(db)
    data = await settlement_event(db, settlement)
    return NewEvent(new_id("evt", at), type_, at, data, merchant=settlement.merchant, refs=(ref,))
