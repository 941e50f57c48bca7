"""Redemption at par (LEDGER E9): units are burned, and then their tenge are paid to an account.

The claim 2030 of a redemption holds its tenge from the burn on, but while an order of the bank has
them: a failed order gives them back to it, and only then another one can be given.
"""

from collections.abc import Mapping
from typing import Final, Literal

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.bank import service as bank
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.bank.models import BankMessage, Kind
from sandbox.bank.service import CreditTransfer
from sandbox.chains.port import Chain
from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Account, Changes, NewEntry, Resolution, credit, debit
from sandbox.parties import numbers
from sandbox.reserve import aims, intakes
from sandbox.reserve.errors import NotRetryable
from sandbox.reserve.models import Intake, Redemption

PREFIX: Final = "red"
KINDS: Final = (Kind.accepted, Kind.rejected, Kind.returned, Kind.debit_notice)
MAX_ORDERS: Final = 9999
"""The number of an order ends its end-to-end id, which has 35 characters."""


async def request(
    db: AsyncSession,
    configured: Mapping[str, Chain],
    *,
    chain: str,
    amount_tiyn: int,
    iban: str,
    payee_name: str,
    tax_number: str,
    knp: str,
    kbe: str,
    expires_in_s: int,
) -> tuple[Intake, NewEvent]:
    """A holder wants tenge for units of `chain`; it is told where to send them.

    Raises `ChainUnknown`, `IbanInvalid`, `TaxNumberInvalid`, `KbeContradictsPayee`
    (KAZAKHSTAN 2.1, 2.2, 2.7).
    """
    port = intakes.port_of(configured, chain)
    payee = row_of("", iban, payee_name, tax_number, knp, kbe)
    intake = await intakes.open_(
        db, port, prefix=PREFIX, amount_tiyn=amount_tiyn, expires_in_s=expires_in_s
    )
    payee.id = intake.id
    db.add(payee)
    await db.flush()
    return intake, await aims.event(db, intake, "requested")


def row_of(id_: str, iban: str, payee_name: str, tax_number: str, knp: str, kbe: str) -> Redemption:
    """Who is paid; raises `IbanInvalid`, `TaxNumberInvalid`, `KbeContradictsPayee`."""
    account = numbers.iban(iban)
    numbers.check_kbe(kbe, numbers.tax_kind(tax_number))
    return Redemption(
        id=id_,
        iban=account,
        payee=bank.payee_name(payee_name),
        tax_number=tax_number,
        knp=knp,
        kbe=kbe,
        payout_status="none",
        payout_attempt=0,
    )


async def lock(db: AsyncSession, redemption_id: str) -> Intake:
    """The redemption's intake, locked with its row; raises `NotFound`."""
    return await intakes.lock_one(db, redemption_id, PREFIX, "redemption")


async def instruct(db: AsyncSession, intake: Intake) -> NewEntry:
    """Order the payout on the right value date (E8c), and reserve its claim."""
    row = await _row(db, intake)
    at = await clock.now(db)
    row.payout_attempt += 1
    row.payout_status, row.payout_reason = "pending", None
    row.value_date = calendar.value_date(at)
    db.add(row)
    await bank.hand_over(
        db,
        CreditTransfer(
            end_to_end_id=aims.end_to_end_id(row),
            debtor_iban=RESERVE_IBAN,
            creditor_iban=row.iban,
            creditor=row.id,
            creditor_name=row.payee,
            amount_tiyn=intake.amount_tiyn,
            value_date=row.value_date,
            knp=row.knp,
            kbe=row.kbe,
        ),
    )
    move = (accounts.redemption(row.id), accounts.in_transit())
    return await _entry(db, "pending", "sent", intake, row, move)


async def retry(
    db: AsyncSession, intake: Intake, *, iban: str | None, knp: str | None, kbe: str | None
) -> Changes:
    """Go on with what stands still: collect and burn again, or pay out again, to another account
    if one is named. Raises `NotRetryable` when nothing stands still, and the refusals of `request`.
    """
    row = await _row(db, intake)
    account = None if iban is None else numbers.iban(iban)
    if kbe is not None:
        numbers.check_kbe(kbe, numbers.tax_kind(row.tax_number))
    if intake.state == "burned" and (
        row.payout_status not in ("rejected", "returned") or row.payout_attempt >= MAX_ORDERS
    ):
        raise NotRetryable(intake.id, aims.status_of(intake, row), "retried")
    row.iban, row.knp, row.kbe = account or row.iban, knp or row.knp, kbe or row.kbe
    db.add(row)
    if intake.state != "burned":
        return Changes(events=[await intakes.retry_units(db, intake)])
    entry = await instruct(db, intake)
    return Changes(entries=[entry], events=[await aims.event(db, intake, "payout_retried")])


async def on_message(db: AsyncSession, message: BankMessage) -> Changes:
    """What a message of the bank on one of our orders means for books and events (E8c to E8e)."""
    order_id = message.end_to_end_id
    assert order_id is not None
    intake = await lock(db, order_id.partition(":")[0])
    row = await _row(db, intake)
    assert order_id == aims.end_to_end_id(row), f"{order_id} is not the newest order"
    at = await clock.now(db)
    changes = Changes()
    move: tuple[Account, Account] | None = None
    transit, owed = accounts.in_transit(), accounts.redemption(row.id)
    ref, outcome = _ref(row, "sent"), ""
    match (message.kind, row.payout_status):
        case (Kind.accepted, "pending"):
            row.payout_status, outcome = "sent", "posted"
        case (Kind.rejected, "pending"):
            row.payout_status, outcome = "rejected", "voided"
        case (Kind.rejected, "sent"):
            row.payout_status, move = "rejected", (transit, owed)
        case (Kind.debit_notice, "sent"):
            row.payout_status, row.paid_at = "paid", at
            move = (transit, accounts.reserve_bank())
        case (Kind.returned, "paid"):
            row.payout_status, row.paid_at = "returned", None
            move = (accounts.reserve_bank(), owed)
        case _:
            raise AssertionError(f"{order_id} is {row.payout_status}, the bank: {message.kind}")
    row.payout_reason = message.body.get("reason")
    db.add(row)
    refs = [ref] if outcome else []
    if move is not None:
        entry = await _entry(db, "posted", row.payout_status, intake, row, move)
        changes.entries.append(entry)
        refs.append(entry.ref)
    event = await aims.event(db, intake, row.payout_status, tuple(refs))
    changes.events.append(event)
    if outcome == "posted":
        changes.resolutions.append(Resolution(ref, "posted", event.id))
    elif outcome == "voided":
        changes.resolutions.append(Resolution(ref, "voided", event.id))
    return changes


def _ref(row: Redemption, step: str) -> str:
    return f"{row.id}:{step}:{row.payout_attempt}"


async def _row(db: AsyncSession, intake: Intake) -> Redemption:
    row = await aims.aim_of(db, intake.id)
    assert isinstance(row, Redemption)
    return row


async def _entry(
    db: AsyncSession,
    kind: Literal["pending", "posted"],
    step: str,
    intake: Intake,
    row: Redemption,
    move: tuple[Account, Account],
) -> NewEntry:
    """An entry of two legs in the issuer's book: (debit, credit)."""
    at = await clock.now(db)
    legs = (debit(move[0], intake.amount_tiyn), credit(move[1], intake.amount_tiyn))
    return NewEntry(
        new_id("ent", at), kind, f"redemption {step}", _ref(row, step), None, at,
        aims.end_to_end_id(row), legs,
    )  # fmt: skip
