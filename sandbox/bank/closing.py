"""The bank's day ends at midnight in Almaty: then each of the issuer's accounts gets its statement.

A day once, in their order, however many workers look and however far the clock jumped.
"""

from datetime import date
from typing import Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar, inbox, service
from sandbox.bank.accounts import OPERATING_IBAN, RESERVE_IBAN
from sandbox.bank.iso20022 import statements
from sandbox.core import clock, failpoints
from sandbox.core.db import Database

IBANS: Final = (RESERVE_IBAN, OPERATING_IBAN)

_OPEN_DAYS = text(
    """
    SELECT a.iban, a.opened_at, (SELECT max(day) FROM bank_statement s WHERE s.iban = a.iban)
        AS newest, (SELECT count(*) FROM bank_held h WHERE h.kind = :kind
        AND starts_with(h.ref, a.iban) AND h.resolved_at IS NULL) AS held
    FROM bank_sim.account a WHERE a.iban = ANY(:ibans) ORDER BY a.iban
    """
)


async def close_days(database: Database, *, limit: int = 20) -> int:
    """Send the statements of days that are over, each in a transaction of its own; how many.

    At most `limit` of each account in one call. One that is refused is held, and sent again.
    """
    async with database.transaction() as db:
        due = list(await _due(db))
    sent = 0
    for iban in due:
        for _ in range(limit):
            async with database.transaction() as db:
                is_sent = await _close(db, iban)
                if is_sent:
                    failpoints.passed("statement-taken.uncommitted")
            if not is_sent:
                break
            failpoints.passed("statement-taken.committed")
            sent += 1
    return sent


async def busy(db: AsyncSession) -> list[str]:
    """Accounts with a day that is over and has no statement; held ones wait for people."""
    due = await _due(db)
    return [f"statement of {day} is due: {iban}" for iban, (day, held) in due.items() if not held]


async def _due(db: AsyncSession) -> dict[str, tuple[date, int]]:
    """By account: its oldest day that is over and has no statement, how many are held."""
    today = calendar.local_date(await clock.now(db))
    rows = await db.execute(_OPEN_DAYS, {"ibans": list(IBANS), "kind": inbox.STATEMENT_KIND})
    days = {
        row.iban: (
            calendar.local_date(row.opened_at)
            if row.newest is None
            else calendar.day_after(row.newest),
            row.held,
        )
        for row in rows
    }
    return {iban: (day, held) for iban, (day, held) in days.items() if day < today}


async def _close(db: AsyncSession, iban: str) -> bool:
    # Whoever books on the account has committed, or waits and then finds the next day.
    await db.execute(
        text("SELECT 1 FROM bank_sim.account WHERE iban = :iban FOR UPDATE"), {"iban": iban}
    )
    due = (await _due(db)).get(iban)
    if due is None:
        return False
    made = await service.day_statement(db, iban, due[0])
    xml = statements.build(made, await clock.now(db))
    return await inbox.receive_statement(db, iban, due[0], xml)
