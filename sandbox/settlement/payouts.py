"""Tenge to the merchant and the fee to the issuer: orders for the bank, and what it answers."""

from typing import Final, Literal

import structlog
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.bank import service as bank
from sandbox.bank.accounts import ISSUER, OPERATING_IBAN, RESERVE_IBAN
from sandbox.bank.models import BankMessage, Kind
from sandbox.bank.service import CreditTransfer
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.core.money import vat_included_tiyn
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import accounts
from sandbox.ledger.journal import Account, Changes, NewEntry, Resolution, credit, debit
from sandbox.parties import service as parties
from sandbox.settlement import sums, vat
from sandbox.settlement.models import Payout, Settlement
from sandbox.settlement.objects import payout_object, settlement_event

KINDS: Final = (Kind.accepted, Kind.rejected, Kind.returned, Kind.debit_notice)
END_TO_END_PREFIXES: Final = ("po_", "stl_")
MAX_FEE_ORDERS: Final = 3
"""Orders of one fee that may be rejected in a row; then it waits for the next settlement."""
_MOST_FEE_ORDERS: Final = 990
"""The number of an order ends its id, which has room for three digits."""
COMMISSION_KNP, ISSUER_KBE, ISSUER_NAME = "851", "15", "KZTE issuer"

log = structlog.get_logger(__name__)


def sent_ref(payout_id: str) -> str:
    return f"{payout_id}:sent:1"


def fee_ref(settlement_id: str) -> str:
    return f"{settlement_id}:fee:1"


def due_ref(settlement_id: str) -> str:
    """Of the entry that books fees which nothing was left to pay."""
    return f"{settlement_id}:due:1"


def collected_ref(settlement_id: str) -> str:
    """Of the entry that takes such fees out of tenge that is owed."""
    return f"{settlement_id}:collected:1"


def _fee_order_id(settlement: Settlement) -> str:
    # Shorter than the entry's reference: ISO 20022 allows 35 characters.
    return f"{settlement.id}:f{settlement.fee_orders}"


async def locked(db: AsyncSession, settlement_id: str) -> Settlement:
    """The batch, locked and fresh; the id comes from our own intents and orders."""
    found = select(Settlement).where(col(Settlement.id) == settlement_id)
    found = found.with_for_update(key_share=True).execution_options(populate_existing=True)
    return (await db.exec(found)).one()


async def _entry(
    db: AsyncSession,
    kind: Literal["pending", "posted"],
    reason: str,
    ref: str,
    cause: str,
    move: tuple[Account, Account, int],
) -> NewEntry:
    """An entry of two legs within the issuer's book: (debit, credit, tiyn)."""
    at = await clock.now(db)
    debited, credited, amount_tiyn = move
    legs = (debit(debited, amount_tiyn), credit(credited, amount_tiyn))
    return NewEntry(new_id("ent", at), kind, reason, ref, None, at, cause, legs)


_OWED = text(
    """
    SELECT coalesce((SELECT sum(fee_tiyn) FROM settlement_line
            WHERE settlement = :id AND deferred_at IS NULL), 0)::bigint AS fees,
        ARRAY(SELECT carried_tiyn FROM settlement WHERE carried_into = :id
            UNION ALL SELECT amount_tiyn FROM payout WHERE carried_into = :id) AS openings,
        ARRAY(SELECT amount_tiyn FROM settlement_burn WHERE settlement = :id ORDER BY chain)
            AS amounts,
        ARRAY(SELECT fee_tiyn FROM settlement_burn WHERE settlement = :id ORDER BY chain) AS paid
    """
)


async def owed_of(db: AsyncSession, settlement_id: str) -> tuple[sums.Owed, int]:
    """What a batch has in tenge and owes in fees, by its rows; and the fees that its burns pay."""
    await db.flush()
    row = (await db.execute(_OWED, {"id": settlement_id})).one()
    burns = list(zip(row.amounts, row.paid, strict=True))
    return sums.owed(row.openings, row.fees, burns), sum(row.paid)


async def hold_back_if_lost(db: AsyncSession, settlement: Settlement) -> None:
    """Carry what was to be paid if the merchant lost its right to payouts since the batch was made.

    The next batch after its verification opens with the money. To be asked while the batch is
    pending: what a settled one pays never changes.
    """
    merchant = await parties.merchant(db, settlement.merchant, steady=True)
    if merchant.status not in parties.NO_PAYOUT or not settlement.paid_tiyn:
        return
    found = select(Payout).where(col(Payout.settlement) == settlement.id)
    payout = (await db.exec(found.execution_options(populate_existing=True))).one()
    settlement.hold, settlement.carried_tiyn = merchant.status, settlement.paid_tiyn
    settlement.paid_tiyn = payout.amount_tiyn = 0
    payout.status, payout.reason = "canceled", f"the merchant is {merchant.status}"
    payout.ended_at = await clock.now(db)
    db.add_all((settlement, payout))
    await db.flush()


async def instruct(db: AsyncSession, settlement: Settlement) -> Changes:
    """Order the fee and the payout of a batch that is burned, each with its pending entry.

    Fees that no burn paid are booked as owed, and taken out of the batch's tenge as far as it goes.
    """
    owed, paid_fees = await owed_of(db, settlement.id)
    changes = Changes(entries=await _fee_debt(db, settlement, owed))
    fee_tiyn = paid_fees + owed.collected
    if fee_tiyn:
        settlement.fee_status = "pending"
        move = (accounts.operating(), accounts.reserve_bank(), fee_tiyn)
        entry = await _entry(
            db, "pending", "settlement_fee", fee_ref(settlement.id), settlement.id, move
        )
        changes.entries.append(entry)
        await _order_fee(db, settlement, fee_tiyn)
    found = select(Payout).where(col(Payout.settlement) == settlement.id)
    payout = (await db.exec(found.execution_options(populate_existing=True))).one_or_none()
    if payout is not None and payout.status != "canceled":
        assert payout.amount_tiyn == settlement.paid_tiyn
        merchant = await parties.merchant(db, payout.merchant, steady=True)
        payout.instructed_at = await clock.now(db)
        db.add(payout)
        move = (accounts.payout(payout.merchant), accounts.in_transit(), payout.amount_tiyn)
        changes.entries.append(
            await _entry(db, "pending", "payout", sent_ref(payout.id), payout.id, move)
        )
        await bank.hand_over(
            db,
            CreditTransfer(
                end_to_end_id=payout.id,
                debtor_iban=RESERVE_IBAN,
                creditor_iban=payout.iban,
                creditor=payout.merchant,
                creditor_name=payout.payee,
                amount_tiyn=payout.amount_tiyn,
                value_date=payout.value_date,
                knp=payout.knp,
                kbe=payout.kbe,
                creditor_tax=merchant.bin,
            ),
        )
    return changes


async def _fee_debt(db: AsyncSession, settlement: Settlement, owed: sums.Owed) -> list[NewEntry]:
    at = await clock.now(db)
    due = accounts.fees_due(settlement.merchant)
    entries = []
    if owed.added:
        rate = vat.rate_on(calendar.local_date(settlement.created_at))
        vat_tiyn = vat_included_tiyn(owed.added, rate.percent)
        legs = [debit(due, owed.added)]
        earned = ((accounts.fees(), owed.added - vat_tiyn), (accounts.vat(), vat_tiyn))
        legs += [credit(account, amount) for account, amount in earned if amount]
        entries.append(
            NewEntry(
                id=new_id("ent", at),
                kind="posted",
                reason="settlement_fee_due",
                ref=due_ref(settlement.id),
                chain=None,
                effective_at=at,
                cause=settlement.id,
                legs=tuple(legs),
            )
        )
    if owed.collected:
        move = (accounts.payout(settlement.merchant), due, owed.collected)
        ref = collected_ref(settlement.id)
        entries.append(
            await _entry(db, "posted", "settlement_fee_collected", ref, settlement.id, move)
        )
    return entries


async def _order_fee(db: AsyncSession, settlement: Settlement, fee_tiyn: int) -> None:
    settlement.fee_orders += 1
    db.add(settlement)
    await bank.hand_over(
        db,
        CreditTransfer(
            end_to_end_id=_fee_order_id(settlement),
            debtor_iban=RESERVE_IBAN,
            creditor_iban=OPERATING_IBAN,
            creditor=ISSUER,
            creditor_name=ISSUER_NAME,
            amount_tiyn=fee_tiyn,
            value_date=settlement.value_date,
            knp=COMMISSION_KNP,
            kbe=ISSUER_KBE,
        ),
    )


async def retry_fees(db: AsyncSession, merchant: str) -> list[str]:
    """Order again the merchant's fees that the bank rejected too often; their batches."""
    found = select(Settlement.id).where(
        col(Settlement.merchant) == merchant,
        col(Settlement.fee_status) == "stuck",
        col(Settlement.fee_orders) < _MOST_FEE_ORDERS,
    )
    batches = list(await db.exec(found.order_by(col(Settlement.id))))
    for settlement_id in batches:
        settlement = await locked(db, settlement_id)
        settlement.fee_status = "pending"
        owed, paid_fees = await owed_of(db, settlement_id)
        await _order_fee(db, settlement, paid_fees + owed.collected)
    return batches


async def on_message(db: AsyncSession, message: BankMessage) -> Changes:
    """What a message of the bank on one of our orders means for books and events."""
    order_id = message.end_to_end_id
    assert order_id is not None
    if order_id.startswith("po_"):
        found = select(Payout).where(col(Payout.id) == order_id).with_for_update(key_share=True)
        payout = (await db.exec(found.execution_options(populate_existing=True))).one()
        return await _on_payout(db, payout, message)
    settlement_id, _, order = order_id.partition(":")
    return await _on_fee(db, await locked(db, settlement_id), order, message)


async def _on_payout(db: AsyncSession, payout: Payout, message: BankMessage) -> Changes:
    at = await clock.now(db)
    event_id, before = new_id("evt", at), payout.status
    changes = Changes()
    move: tuple[Account, Account, int] | None = None
    transit, owed = accounts.in_transit(), accounts.payout(payout.merchant)
    match (message.kind, before):
        case (Kind.accepted, "pending"):
            payout.status = "sent"
            changes.resolutions = [Resolution(sent_ref(payout.id), "posted", event_id)]
        case (Kind.rejected, "pending"):
            payout.status = "rejected"
            changes.resolutions = [Resolution(sent_ref(payout.id), "voided", event_id)]
        case (Kind.rejected, "sent"):
            payout.status = "rejected"
            move = (transit, owed, payout.amount_tiyn)
        case (Kind.debit_notice, "sent"):
            payout.status = "completed"
            move = (transit, accounts.reserve_bank(), payout.amount_tiyn)
        case (Kind.returned, "completed"):
            payout.status = "returned"
            move = (accounts.reserve_bank(), owed, payout.amount_tiyn)
        case _:
            raise AssertionError(f"{payout.id} is {before}, the bank says {message.kind}")
    payout.reason = message.body.get("reason")
    if payout.status != "sent":
        payout.ended_at = at
    db.add(payout)
    if move is not None:
        # The bookkeeping name of the last step is the bank's word for it.
        step = "booked" if payout.status == "completed" else payout.status
        changes.entries = [
            await _entry(db, "posted", f"payout_{step}", f"{payout.id}:{step}", payout.id, move)
        ]
    refs = [entry.ref for entry in changes.entries] + [r.ref for r in changes.resolutions]
    changes.events = [
        NewEvent(
            event_id,
            f"payout.{payout.status}",
            at,
            payout_object(payout),
            merchant=payout.merchant,
            refs=tuple(refs),
        )
    ]
    return changes


async def _on_fee(
    db: AsyncSession, settlement: Settlement, order: str, message: BankMessage
) -> Changes:
    assert order == f"f{settlement.fee_orders}", f"{order} is not the newest fee order"
    assert settlement.fee_status == "pending"
    if message.kind == Kind.debit_notice:
        at = await clock.now(db)
        settlement.fee_status = "paid"
        db.add(settlement)
        ref = fee_ref(settlement.id)
        event = NewEvent(
            new_id("evt", at),
            "settlement.fee_paid",
            at,
            await settlement_event(db, settlement),
            merchant=settlement.merchant,
            refs=(ref,),
        )
        return Changes(resolutions=[Resolution(ref, "posted", event.id)], events=[event])
    if message.kind == Kind.rejected:
        # The fee stays reserved by its pending entry; only the order is new.
        if settlement.fee_orders % MAX_FEE_ORDERS:
            owed, paid_fees = await owed_of(db, settlement.id)
            await _order_fee(db, settlement, paid_fees + owed.collected)
        else:
            settlement.fee_status = "stuck"
            db.add(settlement)
            log.error("a fee is stuck", settlement=settlement.id, reason=message.body["reason"])
    return Changes()
