"""Scenarios of business: sequences of real acts, whose events are told by those who always do."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar, faults
from sandbox.chains.customers import MannerUnknown
from sandbox.core import chance, switches
from sandbox.core.errors import SandboxError
from sandbox.lab import issuer_plays, payers
from sandbox.lab.stage import Stage
from sandbox.ledger import days
from sandbox.parties import keys, numbers, plans
from sandbox.parties import seed as parties_seed
from sandbox.parties import service as parties
from sandbox.payments import refunding, sessions, strays
from sandbox.payments.models import Payment, Refund, StrayTransfer
from sandbox.settlement import making, terms
from sandbox.settlement import service as settlement

RACERS = 10
RPC_ERRORS = 40
OVERLAP_S = 60
AFTER_MIDNIGHT = days.GRACE + timedelta(minutes=1)

Play = Callable[[Stage], Awaitable[None]]


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


async def _captured(stage: Stage) -> Payment:
    await payers.pay(stage, "exact")
    return await stage.captured()


async def _final(stage: Stage) -> None:
    await _captured(stage)


async def _reorg_healed(stage: Stage) -> None:
    name = f"{payers.PREFIX}reorg-healed"
    async with stage.turn(name):
        session = await stage.session()
        left = await stage.left_tiyn()
        await stage.fund(name, session, left)
        await stage.drill("no_finality", 1)
        try:
            tx = await stage.pay(name, session, left)
            await payers.replace_blocks(stage, tx, kept=True)
        finally:
            await stage.drill("no_finality", 0)
    await stage.captured()


async def _refund(stage: Stage, payment: Payment) -> Refund:
    async with stage.database.transaction() as db:
        session, _ = await sessions.one(db, payment.session)
        refund = await refunding.refund_payment(
            db,
            merchant=stage.merchant,
            payment_id=payment.id,
            amount_tiyn=session.amount_tiyn,
            reason="a triggered refund",
        )
    stage.say(f"asked for refund {refund.id}")
    return refund


async def _ended(stage: Stage, refund_id: str) -> None:
    async def look(db: AsyncSession) -> str | None:
        found = await db.get(Refund, refund_id, populate_existing=True)
        return None if found is None or found.status == "pending" else found.status

    status = await stage.until(f"the refund {refund_id}", look)
    stage.say(f"{refund_id} is {status}")


async def _refunded(stage: Stage) -> None:
    refund = await _refund(stage, await _captured(stage))
    await _ended(stage, refund.id)


async def _refund_failed(stage: Stage) -> None:
    await payers.pay(stage, "frozen_afterwards")
    refund = await _refund(stage, await stage.captured())
    await _ended(stage, refund.id)


async def _broadcast_lost(stage: Stage) -> None:
    payment = await _captured(stage)
    await stage.drill("send_lost", 1)
    try:
        refund = await _refund(stage, payment)
        await stage.until("the node to lose a transaction", _lost(stage))
        if "blockhash_expired" in stage.house.drills[stage.chain].drills:
            await stage.drill("blockhash_expired", 1)
    finally:
        await stage.drill("send_lost", 0)
    await _ended(stage, refund.id)


def _lost(stage: Stage) -> Callable[[AsyncSession], Awaitable[bool]]:
    async def look(db: AsyncSession) -> bool:
        return "send_lost" not in await stage.house.drills[stage.chain].state()

    return look


async def _rpc_trouble(stage: Stage) -> None:
    name = f"{payers.PREFIX}exact"
    async with stage.turn(name):
        session = await stage.session()
        left = await stage.left_tiyn()
        tx = await stage.pay(name, session, left)
        await stage.drill("rpc_error", RPC_ERRORS)
        await stage.seen(tx)
    await stage.drill("rpc_error", 0)


async def _resolve(stage: Stage, action: strays.Action) -> None:
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


async def _settle(stage: Stage) -> dict[str, Any]:
    await _captured(stage)
    async with stage.database.transaction() as db:
        made = await making.settle(db, stage.merchant, stage.house.chains)
    stage.say(f"made settlement {made['id']}")
    return await _burned(stage, made["id"])


async def _burned(stage: Stage, settlement_id: str) -> dict[str, Any]:
    async def look(db: AsyncSession) -> dict[str, Any] | None:
        found = await settlement.settlement_object(db, settlement_id, merchant=None)
        return found if found["status"] == "settled" else None

    settled = await stage.until(f"the burns of {settlement_id}", look)
    stage.say(f"{settlement_id} is settled")
    return settled


async def _settled(stage: Stage) -> None:
    await _settle(stage)


async def _settle_race(stage: Stage) -> None:
    await _captured(stage)

    async def one() -> str:
        try:
            async with stage.database.transaction() as db:
                made = await making.settle(db, stage.merchant, stage.house.chains)
        except SandboxError as refused:
            return refused.code
        return str(made["id"])

    answers = sorted(await asyncio.gather(*(one() for _ in range(RACERS))))
    said = ", ".join(f"{times} × {each}" for each, times in Counter(answers).items())
    stage.say(f"{RACERS} settled at once and were answered: {said}")
    await _burned(stage, next(one for one in answers if one.startswith("stl_")))


async def _paid_out(stage: Stage) -> None:
    await _to_value_date(stage, await _settle(stage))


async def _to_value_date(stage: Stage, settled: Mapping[str, Any]) -> None:
    payout = settled["payout"]
    if payout is None:
        stage.say("there is nothing to pay out")
        return
    opens = calendar.bank_opens(datetime.fromisoformat(payout["value_date"]).date())
    ahead = (opens + timedelta(hours=1) - await stage.now()) // timedelta(seconds=1)
    await stage.advance(max(0, ahead))


def _with_bank(fault: str) -> Play:
    async def play(stage: Stage) -> None:
        async with stage.database.transaction() as db:
            left = (await switches.left(db, [fault]))[fault]
            await switches.arm(db, fault, left + 1)
        stage.say(f"{fault} strikes once")
        await _to_value_date(stage, await _settle(stage))

    return play


async def _faucet(stage: Stage) -> None:
    people = stage.people()
    await stage.grant(stage.chain, people.address(f"{payers.PREFIX}exact"), stage.amount_tiyn)


async def _merchant(stage: Stage) -> None:
    await _sign_up(stage)


async def _merchant_suspended(stage: Stage) -> None:
    merchant_id = await _sign_up(stage)
    async with stage.database.transaction() as db:
        await parties.set_status(db, merchant_id, "suspended", "a triggered suspension")
    stage.say(f"suspended {merchant_id}")


async def _sign_up(stage: Stage) -> str:
    async with stage.database.transaction() as db:
        made = await parties.create_merchant(
            db,
            name="A triggered shop",
            tax_number=_tax_number(),
            account_iban=parties_seed.CAFE_IBAN,
            knp=parties_seed.GOODS_AND_SERVICES_KNP,
            kbe=parties_seed.PRIVATE_FIRM_KBE,
        )
    stage.say(f"signed up {made.id}")
    return made.id


async def _key_rotated(stage: Stage) -> None:
    async with stage.database.transaction() as db:
        key, _ = await keys.create_key(db, "merchant", stage.merchant, name="A triggered key")
    async with stage.database.transaction() as db:
        key = await keys.one(db, key.id, owner=stage.merchant, lock=True)
        await keys.rotate_key(db, key, OVERLAP_S)
    async with stage.database.transaction() as db:
        await keys.revoke_key(db, key.id, owner=stage.merchant)
    stage.say(f"made key {key.id}, gave it a new secret and ended it")


async def _merchant_terms(stage: Stage) -> None:
    merchant_id = await _sign_up(stage)
    async with stage.database.transaction() as db:
        await parties.update_merchant(db, merchant_id, {"cut_off": "15:00"})
    async with stage.database.transaction() as db:
        plan = await plans.offer(
            db, merchant_id, fee_bps=50, fixed_tiyn=0, minimum_tiyn=0, from_at=None
        )
    async with stage.database.transaction() as db:
        await plans.consent(db, merchant_id, plan.version)
    stage.say(f"it moved its cut-off, was offered fee plan {plan.version} and consented")


async def _settled_to_wallet(stage: Stage) -> None:
    """A merchant of its own: the terms of the others stay."""
    stage.merchant = await _sign_up(stage)
    wallet = stage.people().address(f"{payers.PREFIX}wallet")
    async with stage.database.transaction() as db:
        await terms.choose(
            db,
            stage.merchant,
            stage.house.chains,
            mode="hold",
            split_bps=None,
            wallets={stage.chain: wallet},
            refund_reserve_tiyn=0,
        )
    stage.say(f"it keeps its tokens, in {wallet}")
    await _settle(stage)


async def _stray_reverted(stage: Stage) -> None:
    """Finality is held meanwhile: what is final cannot be taken away."""
    name = f"{payers.PREFIX}over-reorged"
    async with stage.turn(name):
        session = await stage.session()
        tiyn = await stage.left_tiyn() + payers.TOO_MUCH_TIYN
        await stage.fund(name, session, tiyn)
        await stage.drill("no_finality", 1)
        try:
            tx = await stage.pay(name, session, tiyn)
            await payers.replace_blocks(stage, tx, kept=False)
        finally:
            await stage.drill("no_finality", 0)


async def _line_deferred(stage: Stage) -> None:
    """A merchant of its own: nobody thaws the address, so each of its batches finds the line."""
    stage.chain = _collecting(stage)
    stage.merchant = await _sign_up(stage)
    await _captured(stage)
    session, _ = await stage.read()
    await stage.freeze(stage.option(session)["address"])
    async with stage.database.transaction() as db:
        made = await making.settle(db, stage.merchant, stage.house.chains)
    stage.say(f"made settlement {made['id']}")


async def _swept(stage: Stage) -> None:
    """On whichever chain collects what was paid from addresses of its own."""
    stage.chain = _collecting(stage)
    await _settle(stage)


def _collecting(stage: Stage) -> str:
    """Raises `MannerUnknown`."""
    collecting = [name for name, port in stage.house.chains.items() if port.sweep_batch]
    if not collecting:
        raise MannerUnknown(stage.chain, "swept")
    return collecting[0]


def _tax_number() -> str:
    """A BIN that nobody has: its serial is drawn, its check digit fits."""
    while True:
        eleven = f"260340{int.from_bytes(chance.token_bytes(8)) % 100_000:05d}"
        digit = numbers.check_digit(eleven)
        if digit is not None:
            return f"{eleven}{digit}"


async def _clock(stage: Stage) -> None:
    await stage.advance(60)


async def _day_ends(stage: Stage) -> None:
    """A day without entries has nothing to seal."""
    await _captured(stage)
    now = await stage.now()
    ends = calendar.ends_at(calendar.local_date(now)) + AFTER_MIDNIGHT
    await stage.advance((ends - now) // timedelta(seconds=1))


PLAYS: Mapping[str, Play] = {
    "session": _session,
    "session_expired": _session_expired,
    "session_canceled": _session_canceled,
    "final": _final,
    "reorg_healed": _reorg_healed,
    "refunded": _refunded,
    "refund_failed": _refund_failed,
    "overpaid_returned": _overpaid_returned,
    "stray_final": _stray_final,
    "stray_returned": _stray_returned,
    "late_accepted": _late_accepted,
    "settled": _settled,
    "settle_race": _settle_race,
    "paid_out": _paid_out,
    "payout_rejected": _with_bank(faults.REJECT_PAYOUT),
    "payout_returned": _with_bank(faults.RETURN),
    "faucet": _faucet,
    "merchant": _merchant,
    "merchant_suspended": _merchant_suspended,
    "swept": _swept,
    "clock": _clock,
    "day_ends": _day_ends,
    "rpc_trouble": _rpc_trouble,
    "broadcast_lost": _broadcast_lost,
    "key_rotated": _key_rotated,
    "merchant_terms": _merchant_terms,
    "settled_to_wallet": _settled_to_wallet,
    "stray_reverted": _stray_reverted,
    "line_deferred": _line_deferred,
    **issuer_plays.PLAYS,
}
