"""Sessions that end, payments, refunds, and what comes beside a payment."""

from collections.abc import Mapping
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.lab import payers
from sandbox.lab.stage import Play, Stage
from sandbox.payments import refunding, sessions, strays
from sandbox.payments.models import Payment, Refund, StrayTransfer
from sandbox.payments.shapes import Action


async def _session(stage: Stage) -> None:
    await stage.session()


async def _session_expired(stage: Stage) -> None:
    session = await stage.session(expires_in_s=60)
    await stage.advance(session.expires_in_s + 1)


async def _session_canceled(stage: Stage) -> None:
    session = await stage.session()
    async with stage.database.transaction() as db:
        await sessions.cancel(db, session.id, stage.merchant)
    stage.say(f"canceled {session.id}")


async def captured(stage: Stage) -> Payment:
    """A payment that is exact, final and the merchant's."""
    await payers.pay(stage, "exact")
    return await stage.captured()


async def _final(stage: Stage) -> None:
    await captured(stage)


async def _reorg_healed(stage: Stage) -> None:
    name = f"{payers.PREFIX}reorg-healed"
    async with stage.turn(name):
        await payers.pay_and_reorganise(stage, name, kept=True)
    await stage.captured()


async def _stray_reverted(stage: Stage) -> None:
    name = f"{payers.PREFIX}over-reorged"
    async with stage.turn(name):
        await payers.pay_and_reorganise(stage, name, kept=False, more_tiyn=payers.TOO_MUCH_TIYN)


async def refund(stage: Stage, payment: Payment) -> Refund:
    """The merchant asks for the whole amount to go back."""
    async with stage.database.transaction() as db:
        session, _ = await sessions.one(db, payment.session)
        made = await refunding.refund_payment(
            db,
            merchant=stage.merchant,
            payment_id=payment.id,
            amount_tiyn=session.amount_tiyn,
            reason="a triggered refund",
        )
    stage.say(f"asked for refund {made.id}")
    return made


async def refund_ended(stage: Stage, refund_id: str) -> None:
    """Wait until the refund is completed or failed."""

    async def look(db: AsyncSession) -> str | None:
        found = await db.get(Refund, refund_id, populate_existing=True)
        return None if found is None or found.status == "pending" else found.status

    status = await stage.until(f"the refund {refund_id}", look)
    stage.say(f"{refund_id} is {status}")


async def _refunded(stage: Stage) -> None:
    asked = await refund(stage, await captured(stage))
    await refund_ended(stage, asked.id)


async def _refund_failed(stage: Stage) -> None:
    await payers.pay(stage, "frozen_afterwards")
    asked = await refund(stage, await stage.captured())
    await refund_ended(stage, asked.id)


async def _resolve(stage: Stage, action: Action) -> None:
    async def final(db: AsyncSession) -> StrayTransfer | None:
        found = select(StrayTransfer).where(
            col(StrayTransfer.session) == stage.session_id,
            col(StrayTransfer.chain_state) == "final",
        )
        return (await db.exec(found)).first()

    stray = await stage.until("the stray transfer to be final", final)
    async with stage.database.transaction() as db:
        await strays.resolve(db, stray.id, action, merchant=stage.merchant)
    stage.say(f"resolved {stray.id}: {action}")


async def _overpaid_returned(stage: Stage) -> None:
    await payers.pay(stage, "over")
    await stage.captured()
    await _resolve(stage, "refund")


async def _stray_final(stage: Stage) -> None:
    await payers.pay(stage, "wrong_token")


async def _stray_returned(stage: Stage) -> None:
    await payers.pay(stage, "twice")
    await stage.captured()
    await _resolve(stage, "refund")


async def _late_accepted(stage: Stage) -> None:
    await payers.pay(stage, "late")
    await _resolve(stage, "accept")


async def _faucet(stage: Stage) -> None:
    people = stage.people()
    await stage.grant(stage.chain, people.address(f"{payers.PREFIX}exact"), stage.amount_tiyn)


PLAYS: Final[Mapping[str, Play]] = {
    "session": _session,
    "session_expired": _session_expired,
    "session_canceled": _session_canceled,
    "final": _final,
    "reorg_healed": _reorg_healed,
    "stray_reverted": _stray_reverted,
    "refunded": _refunded,
    "refund_failed": _refund_failed,
    "overpaid_returned": _overpaid_returned,
    "stray_final": _stray_final,
    "stray_returned": _stray_returned,
    "late_accepted": _late_accepted,
    "faucet": _faucet,
}
