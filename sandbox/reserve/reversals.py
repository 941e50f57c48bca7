"""Credits that the bank took back: what is missing, that it stops minting, and who makes it good.

What was not minted goes back at once (D 2020 / C 1010). What was, is missing: the customer owes it
(D 1210), the reserve is short by it, and no mint follows until it is paid in again or covered by
the issuer's own money.
"""

from typing import Any, Final, Literal

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar, incoming
from sandbox.bank import service as bank
from sandbox.bank.accounts import ISSUER, OPERATING_IBAN, RESERVE_IBAN
from sandbox.bank.errors import BankReferenceConflict
from sandbox.bank.models import BankMessage, Kind
from sandbox.core import clock
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.core.shapes import plain
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, Resolution, credit, debit
from sandbox.reserve import minting, shapes
from sandbox.reserve.errors import NothingMissing
from sandbox.reserve.models import CreditReversal, Deposit

PREFIX: Final = "rev_"
# A transfer between accounts of one holder; the issuer is a resident company (KAZAKHSTAN 2.7).
OWN_KNP, OWN_KBE, OWN_NAME = "342", "15", "KZTE issuer"


def missing_tiyn(row: CreditReversal) -> int:
    """What was minted of the deposit and nobody has made good."""
    return row.amount_tiyn - row.taken_back_tiyn - row.covered_tiyn


def owed_tiyn(row: CreditReversal) -> int:
    """What its customer owes: what was minted of it, less what it paid and what was given up."""
    paid_in = row.covered_tiyn if row.covered_by == "customer" else 0
    return row.amount_tiyn - row.taken_back_tiyn - paid_in - row.repaid_tiyn - row.written_off_tiyn


def reversal_object(row: CreditReversal) -> dict[str, Any]:
    """The reversal as API and log show it."""
    shown: shapes.CreditReversal = {
        "object": "credit_reversal",
        "id": row.id,
        "deposit": row.deposit_id,
        "bank_reference": row.bank_reference,
        "amount_tiyn": row.amount_tiyn,
        "taken_back_tiyn": row.taken_back_tiyn,
        "covered_tiyn": row.covered_tiyn,
        "missing_tiyn": missing_tiyn(row),
        "covered_by": row.covered_by,
        "cover_reference": row.cover_reference,
        "owed_tiyn": owed_tiyn(row),
        "repaid_tiyn": row.repaid_tiyn,
        "repaid_reference": row.repaid_reference,
        "written_off_tiyn": row.written_off_tiyn,
        "status": row.status,
        "created_at": clock.iso(row.created_at),
    }
    return plain(shown)


async def find(db: AsyncSession, reversal_id: str) -> CreditReversal:
    """The reversal, or `NotFound`."""
    row = await db.get(CreditReversal, reversal_id)
    if row is None:
        raise NotFound("credit reversal", reversal_id)
    return row


async def locked(db: AsyncSession, reversal_id: str) -> CreditReversal:
    """The reversal, locked; raises `NotFound`."""
    found = select(CreditReversal).where(col(CreditReversal.id) == reversal_id)
    found = found.with_for_update().execution_options(populate_existing=True)
    row = (await db.exec(found)).one_or_none()
    if row is None:
        raise NotFound("credit reversal", reversal_id)
    return row


async def of_deposit(db: AsyncSession, deposit_id: str) -> CreditReversal | None:
    """How the bank took back this deposit, if it did."""
    found = select(CreditReversal).where(col(CreditReversal.deposit_id) == deposit_id)
    found = found.execution_options(populate_existing=True)
    return (await db.exec(found)).one_or_none()


async def unsettled(db: AsyncSession) -> list[CreditReversal]:
    """Those with something missing, the oldest first."""
    found = select(CreditReversal).where(col(CreditReversal.status) != "settled")
    return list((await db.exec(found.order_by(col(CreditReversal.id)))).all())


async def take_back(db: AsyncSession, notice: BankMessage) -> bool:
    """Act on the bank's notice of a reversal; false while the credit itself is not read.

    A mint that is asked for at the same time is either there first, and then missing money is
    told, or finds nothing left.
    """
    found = select(Deposit).where(col(Deposit.bank_reference) == notice.ref)
    row = (await db.exec(found)).one_or_none()
    if row is None:
        return False
    amount_tiyn: int = notice.body["amount_tiyn"]
    await minting.hold(db)
    unminted, receivable = accounts.unminted(row.id), accounts.receivable(row.id)
    held = await ledger.lock(db, {accounts.reserve_bank(), unminted, receivable})
    taken = min(held[unminted].available, amount_tiyn)
    at = await clock.now(db)
    made = CreditReversal(
        id=new_id("rev", at),
        deposit_id=row.id,
        bank_reference=notice.ref,
        amount_tiyn=amount_tiyn,
        taken_back_tiyn=taken,
        status="settled" if taken == amount_tiyn else "short",
        created_at=at,
        settled_at=at if taken == amount_tiyn else None,
    )
    db.add(made)
    await db.flush()
    missing = amount_tiyn - taken
    parts = ((unminted, taken), (receivable, missing))
    legs = tuple(debit(account, tiyn) for account, tiyn in parts if tiyn)
    entry = NewEntry(
        id=new_id("ent", at),
        kind="posted",
        reason="deposit_reversed",
        ref=made.id,
        chain=None,
        effective_at=at,
        cause=f"camt.054:{notice.body['bank_reference']}",
        legs=(*legs, credit(accounts.reserve_bank(), amount_tiyn)),
    )
    told = NewEvent(
        new_id("evt", at),
        "reserve.deposit_reversed",
        at,
        reversal_object(made),
        refs=(made.id,),
    )
    events = [told]
    if missing:
        events += await minting.halt(db, f"{missing} tiyn of {row.id} were minted and taken back")
    await ledger.record(db, Changes(entries=[entry], events=events))
    return True


async def reclaim(db: AsyncSession, reversal_id: str) -> bool:
    """Take back what a mint that failed meanwhile gave back to the deposit; true when it did."""
    row = await locked(db, reversal_id)
    unminted, receivable = accounts.unminted(row.deposit_id), accounts.receivable(row.deposit_id)
    held = await ledger.lock(db, {unminted, receivable})
    tiyn = min(held[unminted].available, missing_tiyn(row))
    if tiyn == 0 or row.status != "short":
        return False
    ref = f"{row.id}:reclaim:{row.taken_back_tiyn + tiyn}"
    entry = await _entry(db, "posted", ref, row, (unminted, receivable, tiyn))
    event = await _made_good(db, row, "deposit", tiyn, ref)
    await ledger.record(db, Changes(entries=[entry], events=[event]))
    return True


async def pay_in_again(db: AsyncSession, reversal_id: str, bank_reference: str) -> CreditReversal:
    """The customer pays what is missing: D 1010 / C 1210, by a new credit at the bank.

    Raises `NotFound`, `NothingMissing`, `BankReferenceConflict`, `BankReferenceReserved`.
    """
    row = await locked(db, reversal_id)
    tiyn = missing_tiyn(row)
    if row.status != "short":
        raise NothingMissing(row.id, row.status)
    await paid_by_customer(db, row, RESERVE_IBAN, tiyn, bank_reference)
    move = (accounts.reserve_bank(), accounts.receivable(row.deposit_id), tiyn)
    entry = await _entry(db, "posted", f"{row.id}:cover", row, move)
    event = await _made_good(db, row, "customer", tiyn, entry.ref, bank_reference)
    await ledger.record(db, Changes(entries=[entry], events=[event]))
    return row


async def paid_by_customer(
    db: AsyncSession, row: CreditReversal, iban: str, tiyn: int, bank_reference: str
) -> None:
    """Book a new credit of the deposit's customer on `iban`, its notice read.

    Raises `BankReferenceConflict`, `BankReferenceReserved`.
    """
    deposit = await db.get_one(Deposit, row.deposit_id)
    booked = await incoming.credit(
        db,
        iban=iban,
        amount_tiyn=tiyn,
        bank_reference=bank_reference,
        customer=deposit.customer,
    )
    if not booked.is_new:
        raise BankReferenceConflict(bank_reference)
    await bank.mark_read(db, booked.message)


async def cover_from_own(db: AsyncSession, reversal_id: str) -> CreditReversal:
    """Order own money into the reserve: D 1010 / C 1110, posted when the bank has booked it.

    The customer goes on owing it. Raises `NotFound`, `NothingMissing`, `InsufficientFunds`.
    """
    row = await locked(db, reversal_id)
    if row.status != "short":
        raise NothingMissing(row.id, row.status)
    tiyn, at = missing_tiyn(row), await clock.now(db)
    row.status, row.orders = "covering", row.orders + 1
    db.add(row)
    move = (accounts.reserve_bank(), accounts.operating(), tiyn)
    entry = await _entry(db, "pending", _order(row), row, move)
    await bank.hand_over(
        db,
        bank.CreditTransfer(
            end_to_end_id=_order(row),
            debtor_iban=OPERATING_IBAN,
            creditor_iban=RESERVE_IBAN,
            creditor=ISSUER,
            creditor_name=OWN_NAME,
            amount_tiyn=tiyn,
            value_date=calendar.value_date(at),
            knp=OWN_KNP,
            kbe=OWN_KBE,
        ),
    )
    await ledger.record(db, Changes(entries=[entry]))
    return row


def _order(row: CreditReversal) -> str:
    return f"{row.id}:c{row.orders}"


async def on_order(db: AsyncSession, message: BankMessage) -> None:
    """What the bank says of an order of `cover_from_own`."""
    assert message.end_to_end_id is not None
    row = await locked(db, message.end_to_end_id.partition(":")[0])
    at, ref = await clock.now(db), _order(row)
    assert (row.status, ref) == ("covering", message.end_to_end_id), f"{row.id} is {row.status}"
    if message.kind == Kind.rejected:
        row.status = "short"
        db.add(row)
        event = NewEvent(
            new_id("evt", at), "reserve.cover_failed", at, reversal_object(row), refs=(ref,)
        )
        changes = Changes(resolutions=[Resolution(ref, "voided", event.id)], events=[event])
    elif message.kind == Kind.debit_notice:
        event = await _made_good(db, row, "own", missing_tiyn(row), ref)
        changes = Changes(resolutions=[Resolution(ref, "posted", event.id)], events=[event])
    else:
        return
    await ledger.record(db, changes)


async def _made_good(
    db: AsyncSession,
    row: CreditReversal,
    by: Literal["deposit", "customer", "own"],
    tiyn: int,
    ref: str,
    bank_reference: str | None = None,
) -> NewEvent:
    at = await clock.now(db)
    if by == "deposit":
        row.taken_back_tiyn += tiyn
    else:
        row.covered_tiyn, row.covered_by, row.cover_reference = tiyn, by, bank_reference
    row.status = "settled" if missing_tiyn(row) == 0 else "short"
    row.settled_at = at if row.status == "settled" else None
    db.add(row)
    await db.flush()
    data = {**reversal_object(row), "by": by, "moved_tiyn": tiyn}
    return NewEvent(new_id("evt", at), "reserve.shortfall_covered", at, data, refs=(ref,))


async def _entry(
    db: AsyncSession,
    kind: Literal["pending", "posted"],
    ref: str,
    row: CreditReversal,
    move: tuple[Any, Any, int],
) -> NewEntry:
    at = await clock.now(db)
    debited, credited, tiyn = move
    legs = (debit(debited, tiyn), credit(credited, tiyn))
    return NewEntry(new_id("ent", at), kind, "shortfall_covered", ref, None, at, row.id, legs)


async def in_words(db: AsyncSession) -> list[str]:
    """What is missing, by deposit, for whoever wants minting back."""
    return [
        f"{missing_tiyn(row)} tiyn of {row.deposit_id} are missing: {row.id} is {row.status}"
        for row in await unsettled(db)
    ]


async def announced_tiyn(db: AsyncSession) -> int:
    """Credits on their way, which are nobody's yet."""
    total: int = await db.scalar(
        text(
            "SELECT coalesce(sum(amount_tiyn), 0)::bigint FROM pending_credit"
            " WHERE booked_at IS NULL"
        )
    )
    return total
