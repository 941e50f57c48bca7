"""Which accounts the simulated banks keep: opened, closed, opened again."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import accounts
from sandbox.bank.models import BankAccount
from sandbox.core import clock
from sandbox.core.iban import bank_code


async def ensure_accounts(db: AsyncSession) -> None:
    """Open the issuer's accounts: the segregated reserve account and the operating one."""
    for iban in (accounts.RESERVE_IBAN, accounts.OPERATING_IBAN):
        await ensure_account(db, iban, accounts.ISSUER)


async def ensure_account(db: AsyncSession, iban: str, holder: str) -> None:
    """Open the account `iban` for `holder` unless some bank has it already."""
    row = {
        "iban": iban,
        "bank": bank_code(iban),
        "holder": holder,
        "currency": accounts.CURRENCY,
        "opened_at": await clock.now(db),
    }
    await db.execute(insert(BankAccount).values(row).on_conflict_do_nothing())


async def refuse_payments_to(db: AsyncSession, iban: str) -> None:
    """Close the account `iban`: the bank rejects every order to it that is not booked."""
    await ensure_account(db, iban, "")
    await _set_closed(db, iban, await clock.now(db))


async def accept_payments_to(db: AsyncSession, iban: str) -> None:
    """Open a closed account again."""
    await _set_closed(db, iban, None)


async def _set_closed(db: AsyncSession, iban: str, at: datetime | None) -> None:
    await db.execute(
        text("UPDATE bank_sim.account SET closed_at = :at WHERE iban = :iban"),
        {"iban": iban, "at": at},
    )
