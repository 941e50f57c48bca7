"""Reads what the bank says of the reserve account's credits: announced, booked, taken back."""

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import service as bank
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.bank.models import BankMessage, Kind
from sandbox.core import clock, failpoints
from sandbox.core.db import Database, DatabaseUnavailable
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import reversals, service

BATCH = 50
CREDITS = (Kind.pending_notice, Kind.credit_notice, Kind.reversal_notice)
ORDERS = (Kind.accepted, Kind.rejected, Kind.debit_notice)

DUE = " OR ".join(
    (
        bank.unread_sql(CREDITS),
        bank.unread_sql(ORDERS, prefixes=(reversals.PREFIX,)),
        "EXISTS (SELECT FROM credit_reversal WHERE status = 'short')",
    )
)
"""SQL: the bank said something of a credit, or a missing amount may be there by now."""

log = structlog.get_logger(__name__)


async def step(database: Database) -> int:
    """Act on what the bank said, each message in a transaction of its own; how many.

    Reading and acting commit together, so a message counts once however many workers read. One
    that cannot be acted upon stays unread, and its error is raised when the others are through.
    """
    done, failure = 0, None
    for kinds, prefixes in ((CREDITS, ()), (ORDERS, (reversals.PREFIX,))):
        after = 0
        for _ in range(BATCH):
            try:
                async with database.transaction() as db:
                    found = await bank.unread(db, kinds, prefixes=prefixes, after=after, limit=1)
                    if not found:
                        break
                    message = found[0]
                    after = message.id or after
                    is_read = await _act(db, message)
                    if is_read:
                        await bank.mark_read(db, message)
                        done += 1
                        failpoints.passed("credit-notice.uncommitted", message.kind)
                if is_read:
                    failpoints.passed("credit-notice.committed", message.kind)
            except DatabaseUnavailable:
                raise
            except Exception as error:
                failure = failure or error
    done += await _reclaim(database)
    if failure is not None:
        raise failure
    return done


async def _reclaim(database: Database) -> int:
    async with database.transaction() as db:
        short = [row.id for row in await reversals.unsettled(db) if row.status == "short"]
    done = 0
    for id_ in short:
        async with database.transaction() as db:
            done += await reversals.reclaim(db, id_)
    return done


async def _act(db: AsyncSession, message: BankMessage) -> bool:
    """Whether the message was for us and could be acted upon."""
    if message.kind in ORDERS:
        await reversals.on_order(db, message)
        return True
    if message.body["iban"] != RESERVE_IBAN:
        return False
    if message.kind == Kind.pending_notice:
        await _announced(db, message)
        return True
    if message.kind == Kind.credit_notice:
        await service.take_in(db, message)
        return True
    return await reversals.take_back(db, message)


async def _announced(db: AsyncSession, notice: BankMessage) -> None:
    at = await clock.now(db)
    new = await db.scalar(
        text(
            "INSERT INTO pending_credit (bank_reference, amount_tiyn, customer, announced_at,"
            " booked_at) SELECT CAST(:ref AS varchar), :tiyn, :customer, :at,"
            " (SELECT created_at FROM deposit WHERE bank_reference = :ref)"
            " ON CONFLICT DO NOTHING RETURNING booked_at IS NULL"
        ),
        {
            "ref": notice.ref,
            "tiyn": notice.body["amount_tiyn"],
            "customer": notice.body["customer"],
            "at": at,
        },
    )
    if not new:
        return
    data = {
        "object": "pending_credit",
        "bank_reference": notice.ref,
        "amount_tiyn": notice.body["amount_tiyn"],
        "customer_name": notice.body["customer"],
        "announced_at": clock.iso(at),
    }
    event = NewEvent(new_id("evt", at), "reserve.deposit_announced", at, data)
    await ledger.record(db, Changes(events=[event]))
