"""Background work: reading the bank's messages, burning what is swept, and the daily cut-off."""

from collections.abc import Mapping
from datetime import date

import structlog
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import service as bank
from sandbox.chains.port import Chain
from sandbox.core import failpoints
from sandbox.core.db import Database, DatabaseUnavailable
from sandbox.ledger import service as ledger
from sandbox.parties.models import Merchant
from sandbox.payments import turns
from sandbox.payments.models import Payment
from sandbox.settlement import making, payouts, service, sweeps
from sandbox.settlement.errors import NothingToSettle, PaymentCodeMissing
from sandbox.settlement.models import Payout, Settlement, SettlementBurn, SettlementTransfer

BATCH = 50

MESSAGES_DUE = bank.unread_sql(payouts.KINDS, prefixes=payouts.END_TO_END_PREFIXES)
"""SQL: the bank said something of a payout."""

log = structlog.get_logger(__name__)


async def step(database: Database) -> int:
    """Act on what the bank answered, each message in a transaction of its own; how many.

    Reading and acting commit together, so a message counts once whatever dies in between. One
    that cannot be acted upon stays unread and does not keep the others waiting; the step raises
    its error when it is through.
    """
    done, after = 0, 0
    failure: Exception | None = None
    for _ in range(BATCH):
        try:
            async with database.transaction() as db:
                found = await bank.unread(
                    db, payouts.KINDS, prefixes=payouts.END_TO_END_PREFIXES, after=after, limit=1
                )
                if not found:
                    break
                message = found[0]
                after = message.id or after
                await ledger.record(db, await payouts.on_message(db, message))
                await bank.mark_read(db, message)
                failpoints.passed("bank-message.uncommitted", message.kind)
            failpoints.passed("bank-message.committed", message.kind)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            failure = failure or error
        else:
            done += 1
    if failure is not None:
        raise failure
    return done


async def follow_sweeps(database: Database, chains: Mapping[str, Chain]) -> int:
    """Go on with the burns that wait for sweeps, each in a transaction of its own; how many moved.

    Burns whose units are in the treasury are asked for; lines whose sweep failed are deferred.
    May be called by any number of workers. What fails for one is raised when all are through.
    """
    async with database.transaction() as db:
        waiting = await sweeps.waiting(db)
    moved = 0
    failure: Exception | None = None
    for merchant_id, settlement_id, chain in waiting:
        try:
            async with database.transaction() as db:
                await turns.take(db, merchant_id)
                changes = await sweeps.go_on(db, settlement_id, chains[chain])
                await ledger.record(db, changes)
                is_moved = bool(changes.entries or changes.events)
                if is_moved:
                    failpoints.passed("burn-asked.uncommitted")
            if is_moved:
                failpoints.passed("burn-asked.committed")
            moved += is_moved
        except ledger.InsufficientFunds as short:
            log.info("units were taken meanwhile", settlement=settlement_id, account=short.account)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return moved


async def _waiting(db: AsyncSession, at: str, schedule: str) -> list[str]:
    """Merchants with this cut-off and schedule who may have something to settle, by id."""
    captured = select(Payment.merchant).where(col(Payment.settlement_state) == "unsettled")
    carried = select(Settlement.merchant).where(
        col(Settlement.carried_tiyn) > 0, col(Settlement.carried_into).is_(None)
    )
    came_back = select(Payout.merchant).where(
        col(Payout.status).in_(("rejected", "returned")), col(Payout.carried_into).is_(None)
    )
    stuck = [
        select(Settlement.merchant)
        .join(model, col(model.settlement) == col(Settlement.id))
        .where(col(model.status) == "stuck")
        for model in (SettlementBurn, SettlementTransfer)
    ]
    stuck.append(select(Settlement.merchant).where(col(Settlement.fee_status) == "stuck"))
    found = [await db.scalars(one.distinct()) for one in (captured, carried, came_back, *stuck)]
    known = {merchant for rows in found for merchant in rows}
    theirs = select(Merchant.id).where(
        col(Merchant.id).in_(known),
        col(Merchant.cut_off) == at,
        col(Merchant.schedule) == schedule,
    )
    return sorted(await db.exec(theirs))


async def cut_off(database: Database, chains: Mapping[str, Chain]) -> int:
    """Settle every merchant with something to settle once for its newest cut-off; how many.

    `each_business_day` is each banking day, `daily` each day of the calendar. When the clock
    jumped over several cut-offs, the newest takes all. Merchants on demand have none. May be
    called at any time, by any number of workers. What fails for one merchant is raised when all
    the others are through, and tried again then.
    """
    async with database.transaction() as db:
        due = await service.due_cut_offs(db)
    made = 0
    failure: Exception | None = None
    for one in due:
        try:
            if not one.is_new:
                made += await _settle_all(database, chains, one)
            async with database.transaction() as db:
                await db.execute(
                    text(
                        "INSERT INTO settlement_cut_off (day, at, schedule, done_at)"
                        " VALUES (:day, :at, :schedule, sandbox_now()) ON CONFLICT DO NOTHING"
                    ),
                    {"day": one.day, "at": one.at, "schedule": one.schedule},
                )
        except DatabaseUnavailable:
            raise
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return made


async def _settle_all(
    database: Database, chains: Mapping[str, Chain], due: service.DueCutOff
) -> int:
    """The batches of all whose cut-off this is; raises what failed when the others are through."""
    async with database.transaction() as db:
        waiting = await _waiting(db, due.at, due.schedule)
    made = 0
    failure: Exception | None = None
    for merchant_id in waiting:
        try:
            made += await _settle_once(database, merchant_id, chains, due.day)
            failpoints.passed("cut-off.committed")
        except DatabaseUnavailable:
            raise
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return made


async def _settle_once(
    database: Database, merchant_id: str, chains: Mapping[str, Chain], day: date
) -> bool:
    """The merchant's batch for the cut-off of `day`; false when there is none, or one already."""
    async with database.transaction() as db:
        await turns.take(db, merchant_id)
        known = select(Settlement.id).where(
            col(Settlement.merchant) == merchant_id, col(Settlement.cut_off) == day
        )
        if (await db.exec(known)).one_or_none() is not None:
            return False
        try:
            async with db.begin_nested():
                await making.settle(db, merchant_id, chains, retry_payout=False, cut_off=day)
        except (NothingToSettle, PaymentCodeMissing) as refusal:
            log.warning("no batch at the cut-off", merchant=merchant_id, code=refusal.code)
            return False
        failpoints.passed("cut-off.uncommitted")
        return True
