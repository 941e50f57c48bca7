"""What a customer still owes after the issuer's own money covered its deposit (1210): it pays late,
to the operating account, or it is written off; a write-off that was wrong is taken back.
"""

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank.accounts import OPERATING_IBAN
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Account, Changes, NewEntry, credit, debit
from sandbox.reserve import reversals
from sandbox.reserve.errors import NothingOwed, NotWrittenOff
from sandbox.reserve.models import CreditReversal


async def repay(db: AsyncSession, reversal_id: str, bank_reference: str) -> CreditReversal:
    """The customer pays what own money covered: D 1110 / C 1210, by a new credit at the bank.

    Raises `NotFound`, `NothingOwed`, `BankReferenceConflict`, `BankReferenceReserved`.
    """
    row, tiyn = await _owed(db, reversal_id)
    await reversals.paid_by_customer(db, row, OPERATING_IBAN, tiyn, bank_reference)
    row.repaid_tiyn, row.repaid_reference = tiyn, bank_reference
    entry = await _entry(db, "repaid", row, accounts.operating(), tiyn)
    await _tell(db, row, "repaid", entry, tiyn, None)
    return row


async def write_off(db: AsyncSession, reversal_id: str, reason: str) -> CreditReversal:
    """Give up what nobody will pay: D 5030 / C 1210. Raises `NotFound`, `NothingOwed`."""
    row, tiyn = await _owed(db, reversal_id)
    row.written_off_tiyn, row.write_offs = tiyn, row.write_offs + 1
    entry = await _entry(db, f"write-off:{row.write_offs}", row, accounts.bad_debt(), tiyn)
    await _tell(db, row, "written_off", entry, tiyn, reason)
    return row


async def undo_write_off(db: AsyncSession, reversal_id: str, reason: str) -> CreditReversal:
    """Take a wrong write-off back by the entry that reverses its own: the customer owes again.

    Raises `NotFound`, `NotWrittenOff`.
    """
    row = await reversals.locked(db, reversal_id)
    if not row.written_off_tiyn:
        raise NotWrittenOff(row.id)
    ref = f"{row.id}:write-off:{row.write_offs}"
    [wrong] = [one for one in await ledger.entries_for(db, ref) if one.ref == ref]
    back = ledger.reversal(wrong, at=await clock.now(db), cause=row.id)
    tiyn, row.written_off_tiyn = row.written_off_tiyn, 0
    await _tell(db, row, "restored", back, tiyn, reason)
    return row


async def _owed(db: AsyncSession, reversal_id: str) -> tuple[CreditReversal, int]:
    row = await reversals.locked(db, reversal_id)
    tiyn = reversals.owed_tiyn(row) if row.status == "settled" else 0
    if tiyn == 0:
        raise NothingOwed(row.id, row.status)
    return row, tiyn


async def _entry(
    db: AsyncSession, step: str, row: CreditReversal, against: Account, tiyn: int
) -> NewEntry:
    at = await clock.now(db)
    legs = (debit(against, tiyn), credit(accounts.receivable(row.deposit_id), tiyn))
    return NewEntry(
        new_id("ent", at), "posted", "receivable", f"{row.id}:{step}", None, at, row.id, legs
    )


async def _tell(
    db: AsyncSession,
    row: CreditReversal,
    step: str,
    entry: NewEntry,
    tiyn: int,
    reason: str | None,
) -> None:
    db.add(row)
    await db.flush()
    at = await clock.now(db)
    data = {**reversals.reversal_object(row), "moved_tiyn": tiyn, "reason": reason}
    event = NewEvent(new_id("evt", at), f"reserve.receivable_{step}", at, data, refs=(entry.ref,))
    await ledger.record(db, Changes(entries=[entry], events=[event]))
