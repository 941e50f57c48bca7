"""Burning what a batch pays out in tenge: the intent per chain, and what follows from its end.

The burn is final before the bank hears of anything (LEDGER 2.3, E8b).
"""

from collections.abc import Mapping
from typing import Final

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
from sandbox.payments import service as payments
from sandbox.settlement import payouts
from sandbox.settlement.models import Settlement, SettlementBurn, SettlementLine
from sandbox.settlement.objects import settlement_event

KIND: Final = "burn"
MAX_ATTEMPTS: Final = 3
"""Burns of one batch and chain that may fail in a row; then it waits for the next settlement."""

log = structlog.get_logger(__name__)


def burn_ref(burn: SettlementBurn) -> str:
    """The reference of the newest burn intent and of its ledger entry."""
    return f"{burn.settlement}:burn:{burn.chain}:{burn.attempt}"


def _legs(settlement: Settlement, burn: SettlementBurn) -> tuple[Leg, ...]:
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


async def request(db: AsyncSession, settlement: Settlement, burn: SettlementBurn) -> NewEntry:
    """Ask the chain to burn, and return the pending entry that reserves what is burned."""
    ref, at = burn_ref(burn), await clock.now(db)
    command = Command("burn", reference=ref, amount_units=burn.units)
    await chains.request(db, [chains.Intent(ref, KIND, burn.chain, command)])
    return NewEntry(
        id=new_id("ent", at),
        kind="pending",
        reason="settlement_burn",
        ref=ref,
        chain=burn.chain,
        effective_at=at,
        cause=settlement.id,
        legs=_legs(settlement, burn),
    )


async def _ask_again(db: AsyncSession, settlement: Settlement, burn: SettlementBurn) -> NewEntry:
    burn.status, burn.attempt = "pending", burn.attempt + 1
    db.add(burn)
    return await request(db, settlement, burn)


async def retry(
    db: AsyncSession, merchant: str, configured: Mapping[str, Chain]
) -> tuple[list[str], list[NewEntry]]:
    """Ask again for the merchant's burns that stand still: their batches, the pending entries.

    What stopped them (a pause, a frozen treasury) may last longer than a few attempts do. Where
    units have to be swept first, they are asked for as soon as the treasury has them.
    """
    found = (
        select(SettlementBurn)
        .join(Settlement, col(Settlement.id) == col(SettlementBurn.settlement))
        .where(col(SettlementBurn.status) == "stuck", col(Settlement.merchant) == merchant)
        .order_by(col(SettlementBurn.settlement), col(SettlementBurn.chain))
    )
    batches, entries = [], []
    for burn in (await db.exec(found)).all():
        settlement = await payouts.locked(db, burn.settlement)
        if configured[burn.chain].sweep_batch:
            burn.status, burn.attempt = "sweeping", burn.attempt + 1
            db.add(burn)
        else:
            entries.append(await _ask_again(db, settlement, burn))
        batches.append(settlement.id)
    return batches, entries


async def settled_if_burned(db: AsyncSession, settlement: Settlement) -> Changes:
    """The batch is settled with its last burn, or with nothing left to burn."""
    if any(burn.status != "burned" for burn in await _burns(db, settlement.id)):
        return Changes()
    return await settled(db, settlement)


async def settled(db: AsyncSession, settlement: Settlement) -> Changes:
    """The batch is settled: nothing is left to burn, and the payout is instructed."""
    at = await clock.now(db)
    settlement.status, settlement.settled_at = "settled", at
    db.add(settlement)
    changes = await payouts.instruct(db, settlement, await _burns(db, settlement.id))
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
        )
    )
    return changes


async def _burns(db: AsyncSession, settlement_id: str) -> list[SettlementBurn]:
    found = select(SettlementBurn).where(col(SettlementBurn.settlement) == settlement_id)
    found = found.order_by(col(SettlementBurn.chain)).execution_options(populate_existing=True)
    return list(await db.exec(found))


async def _of_intent(db: AsyncSession, intent_id: str) -> tuple[Settlement, SettlementBurn]:
    settlement_id, _, chain, _ = intent_id.split(":")
    settlement = await payouts.locked(db, settlement_id)
    burn = next(b for b in await _burns(db, settlement_id) if b.chain == chain)
    assert burn_ref(burn) == intent_id, f"{intent_id} is not the newest burn"
    assert burn.status == "pending", f"{intent_id} is {burn.status}"
    return settlement, burn


class Burns:
    """The `IntentHandler` of burn intents."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        """Post the burn at its height; with the last one the batch is settled."""
        settlement, burn = await _of_intent(db, done.id)
        at = await clock.now(db)
        burn.status, burn.tx, burn.burned_at, burn.reason = "burned", done.tx, at, None
        db.add(burn)
        event = NewEvent(
            new_id("evt", at),
            "settlement.burned",
            at,
            await settlement_event(db, settlement),
            merchant=settlement.merchant,
            refs=(done.id,),
        )
        changes = Changes(
            resolutions=[Resolution(done.id, "posted", event.id, done.height)], events=[event]
        )
        changes.extend(await settled_if_burned(db, settlement))
        return changes

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        """Give the units back to the batch and ask again, a bounded number of times."""
        settlement, burn = await _of_intent(db, failed.id)
        at = await clock.now(db)
        burn.tx, burn.reason = failed.tx, failed.reason
        entries: list[NewEntry] = []
        if burn.attempt % MAX_ATTEMPTS:
            entries.append(await _ask_again(db, settlement, burn))
        else:
            burn.status = "stuck"
            log.error("a burn is stuck", settlement=settlement.id, chain=burn.chain)
        db.add(burn)
        event = NewEvent(
            new_id("evt", at),
            "settlement.burn_failed",
            at,
            await settlement_event(db, settlement),
            merchant=settlement.merchant,
            refs=(failed.id,),
        )
        resolution = Resolution(failed.id, "voided", event.id, failed.height)
        return Changes(entries=entries, resolutions=[resolution], events=[event])
