"""Refunds: asked for, and how they end. The money is reserved before anything is sent."""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import Command
from sandbox.chains.watching import IntentDone, IntentFailed
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.core.money import tiyn_from_units, units_from_tiyn
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.payments import books, rows, turns
from sandbox.payments.capture import fee_of
from sandbox.payments.errors import (
    InsufficientMerchantBalance,
    PaymentNotFinal,
    RefundExceedsPayment,
    TreasuryShort,
)
from sandbox.payments.models import Payment, Refund, StrayTransfer
from sandbox.payments.step import Step

KIND = "refund"


async def refund_payment(
    db: AsyncSession,
    *,
    merchant: str,
    payment_id: str,
    amount_tiyn: int,
    reason: str | None,
) -> Refund:
    """Send part or all of a captured payment back to the address it came from.

    Before settlement out of the payment's own claims; once it is settled out of the merchant's
    refund reserve on the payment's chain, and the fee stays. Raises `NotFound`,
    `PaymentNotFinal`, `RefundExceedsPayment`, `InsufficientMerchantBalance`, `TreasuryShort`.
    """
    await turns.take(db, merchant)
    column = rows.table(Payment).c
    mine = (column.id == payment_id) & (column.merchant == merchant)
    found = await rows.fetch(db, Payment, mine)
    if not found:
        raise NotFound("payment", payment_id)
    step = await Step.begin(db, f"refund of {payment_id}")
    await step.load([found[0].session])
    payment = step.payments[payment_id]
    if payment.capture_entry is None:
        raise PaymentNotFinal(payment.id, payment.chain_state)
    units = units_from_tiyn(amount_tiyn, payment.decimals)
    left = payment.counted_units - payment.refunded_units - payment.refunding_units
    if units > left:
        raise RefundExceedsPayment(amount_tiyn, tiyn_from_units(left, payment.decimals)[0])
    if payment.settlement_state == "in_batch":
        # Its line may still be deferred, with what is refunded by now.
        raise InsufficientMerchantBalance(amount_tiyn, 0)
    payment.refunding_units += units
    refund = _new_refund(step, payment, units, merchant, reason)
    refund.payment = payment.id
    refund.source = "claims" if payment.settlement_state == "unsettled" else "reserve"
    try:
        await send(step, refund, None)
    except ledger.InsufficientFunds as error:
        left = tiyn_from_units(max(0, error.available), payment.decimals)[0]
        raise InsufficientMerchantBalance(amount_tiyn, left) from error
    return refund


def _new_refund(
    step: Step, source: Payment | StrayTransfer, units: int, merchant: str | None, why: str | None
) -> Refund:
    return Refund(
        id=new_id("re", step.now),
        merchant=merchant,
        chain=source.chain,
        decimals=source.decimals,
        amount_units=units,
        recipient=source.from_address,
        reason=why,
        status="pending",
        created_at=step.now,
    )


def refund_of_stray(step: Step, stray: StrayTransfer) -> Refund:
    """All units of a stray, on their way back to where they came from."""
    refund = _new_refund(step, stray, stray.amount_units, stray.merchant, None)
    refund.stray = stray.id
    stray.refund = refund.id
    return refund


async def send(step: Step, refund: Refund, suspense: str | None) -> None:
    """Write the refund, its pending entry, its intent and its event in this transaction.

    Raises `TreasuryShort`, `InsufficientFunds`.
    """
    step.changes.entries.append(books.refunding(refund, suspense, step.now, step.cause))
    step.tell_refund("refund.requested", refund)
    await step.write()
    await rows.insert(step.db, [refund])
    try:
        await ledger.record(step.db, step.changes)
    except ledger.InsufficientFunds as error:
        if error.account != accounts.treasury(refund.chain).code:
            raise
        raise TreasuryShort(refund.chain, refund.amount_units, error.available) from error
    command = Command(
        action="transfer",
        reference=refund.id,
        recipient=refund.recipient,
        amount_units=refund.amount_units,
    )
    await chains.request(step.db, [chains.Intent(refund.id, KIND, refund.chain, command)])


async def completed(db: AsyncSession, done: IntentDone) -> Changes:
    """The refund's transaction is final: its entry is posted, the fee computed again."""
    step, refund = await _of_intent(db, done.id)
    refund.status, refund.tx, refund.completed_at = "completed", done.tx, step.now
    payment = step.payments.get(refund.payment or "")
    if payment is not None:
        payment.refunding_units -= refund.amount_units
        payment.refunded_units += refund.amount_units
        if refund.source == "claims":
            payment.fee_tiyn = fee_of(payment)
    event_id = step.tell_refund("refund.completed", refund, (refund.id,))
    step.resolve(refund.id, event_id, done.height, posted=True)
    stray = step.strays.get(refund.stray or "")
    if stray is not None:
        stray.status, stray.resolution, stray.resolved_at = "resolved", "refunded", step.now
        if stray.payment is not None:
            step.tell_payment("payment.resolved", step.payments[stray.payment])
        step.tell_stray("stray.resolved", stray)
    await _write(step, refund)
    return step.changes


async def failed(db: AsyncSession, failed: IntentFailed) -> Changes:
    """It can no longer happen: the reservation is voided, the money is back where it was."""
    step, refund = await _of_intent(db, failed.id)
    refund.status, refund.failure, refund.completed_at = "failed", failed.reason, step.now
    payment = step.payments.get(refund.payment or "")
    if payment is not None:
        payment.refunding_units -= refund.amount_units
    event_id = step.tell_refund("refund.failed", refund, (refund.id,))
    step.resolve(refund.id, event_id, None, posted=False)
    stray = step.strays.get(refund.stray or "")
    if stray is not None:
        stray.refund = None
        if stray.payment is not None:
            step.payments[stray.payment].resolution = None
            step.judge_all([step.payments[stray.payment].session])
    await _write(step, refund)
    return step.changes


async def _of_intent(db: AsyncSession, refund_id: str) -> tuple[Step, Refund]:
    """The refund with what it is of, locked: session, payment, stray, refund."""
    column = rows.table(Refund).c
    [refund] = await rows.fetch(db, Refund, column.id == refund_id)
    step = await Step.begin(db, f"intent:{refund_id}")
    if refund.payment is not None:
        payments = rows.table(Payment).c
        [payment] = await rows.fetch(db, Payment, payments.id == refund.payment)
        await step.load([payment.session])
    else:
        strays = rows.table(StrayTransfer).c
        [stray] = await rows.fetch(db, StrayTransfer, strays.id == refund.stray)
        if stray.payment is not None and stray.session is not None:
            await step.load([stray.session])
        else:
            await step.load_strays(strays.id == stray.id)
    [refund] = await rows.fetch(db, Refund, column.id == refund_id, lock=True)
    return step, refund


async def _write(step: Step, refund: Refund) -> None:
    await step.write()
    await rows.update(step.db, [refund], ("status", "failure", "tx", "completed_at"))
