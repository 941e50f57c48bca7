"""Deposits and issuances: tenge comes in, and tokens are made of it, never of anything else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import incoming
from sandbox.bank import service as bank
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.bank.models import BankMessage
from sandbox.chains import service as chains
from sandbox.chains.port import Chain, Command, UnknownRecipient
from sandbox.core import clock
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.core.money import MAX_SUPPLY_TIYN, units_from_tiyn
from sandbox.core.shapes import plain
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Account, Changes, Leg, NewEntry, credit, debit
from sandbox.reserve import backing, minting, reconciling, reversals, shapes
from sandbox.reserve.errors import (
    ChainUnknown,
    DepositExhausted,
    DepositReversed,
    DepositUnknown,
    ReserveShort,
    SupplyCapExceeded,
)
from sandbox.reserve.models import Deposit, Issuance

INTENT_KIND = "issuance"


def deposit_object(row: Deposit, unminted_tiyn: int) -> dict[str, Any]:
    """The deposit as the API shows it; `unminted_tiyn` is what may still be minted of it."""
    shown: shapes.Deposit = {
        "object": "deposit",
        "id": row.id,
        "amount_tiyn": row.amount_tiyn,
        "unminted_tiyn": unminted_tiyn,
        "bank_reference": row.bank_reference,
        "customer_name": row.customer,
        "created_at": clock.iso(row.created_at),
    }
    return plain(shown)


def issuance_object(row: Issuance) -> dict[str, Any]:
    """The issuance as the API shows it."""
    shown: shapes.Issuance = {
        "object": "issuance",
        "id": row.id,
        "deposit": row.deposit_id,
        "chain": row.chain,
        "amount_tiyn": row.amount_tiyn,
        "recipient": row.recipient,
        "status": row.status,
        "tx": row.tx,
        "reason": row.reason,
        "created_at": clock.iso(row.created_at),
    }
    return plain(shown)


@dataclass(frozen=True, slots=True)
class Received:
    """A deposit; `is_new` is false when the bank reference was known with equal content."""

    deposit: Deposit
    is_new: bool


async def receive(
    db: AsyncSession,
    *,
    amount_tiyn: int,
    bank_reference: str,
    customer: str = incoming.SEEDED_CUSTOMER,
) -> Received:
    """A mock deposit: the bank books it and gives notice, the reserve reads that and posts it.

    The same bank reference never counts twice, also when two requests bring it at once. Raises
    `BankReferenceConflict` when its content differs.
    """
    booked = await incoming.credit(
        db,
        iban=RESERVE_IBAN,
        amount_tiyn=amount_tiyn,
        bank_reference=bank_reference,
        customer=customer,
    )
    if not booked.is_new:
        known = select(Deposit).where(col(Deposit.bank_reference) == bank_reference)
        return Received((await db.exec(known)).one(), False)
    await bank.mark_read(db, booked.message)
    return Received(await take_in(db, booked.message), True)


async def take_in(db: AsyncSession, notice: BankMessage) -> Deposit:
    """Make a deposit of the bank's notice of a booked credit; the caller marks it as read."""
    at = await clock.now(db)
    row = Deposit(
        id=new_id("dep", at),
        amount_tiyn=notice.body["amount_tiyn"],
        bank_reference=notice.ref,
        customer=notice.body["customer"],
        created_at=at,
    )
    db.add(row)
    await db.flush()
    await db.execute(
        text("UPDATE pending_credit SET booked_at = :at WHERE bank_reference = :ref"),
        {"at": at, "ref": notice.ref},
    )
    entry = NewEntry(
        id=new_id("ent", at),
        kind="posted",
        reason="deposit",
        ref=row.id,
        chain=None,
        effective_at=at,
        cause=f"camt.054:{notice.ref}",
        legs=(
            debit(accounts.reserve_bank(), row.amount_tiyn),
            credit(accounts.unminted(row.id), row.amount_tiyn),
        ),
    )
    event = NewEvent(
        new_id("evt", at),
        "reserve.deposit_received",
        at,
        deposit_object(row, row.amount_tiyn),
        refs=(row.id,),
    )
    await ledger.record(db, Changes(entries=[entry], events=[event]))
    return row


async def deposit(db: AsyncSession, deposit_id: str) -> Deposit:
    """The deposit, or `NotFound`."""
    row = await db.get(Deposit, deposit_id)
    if row is None:
        raise NotFound("deposit", deposit_id)
    return row


async def issuance(db: AsyncSession, issuance_id: str) -> Issuance:
    """The issuance, or `NotFound`."""
    row = await db.get(Issuance, issuance_id)
    if row is None:
        raise NotFound("issuance", issuance_id)
    return row


async def unminted_tiyn(db: AsyncSession, deposits: list[str]) -> dict[str, int]:
    """What may still be minted of each deposit; mints under way count as spent."""
    by_deposit = {id_: accounts.unminted(id_) for id_ in deposits}
    found = await ledger.balances(db, by_deposit.values())
    return {id_: found[account].available for id_, account in by_deposit.items()}


async def issue(
    db: AsyncSession,
    configured: Mapping[str, Chain],
    *,
    deposit_id: str,
    chain: str,
    amount_tiyn: int,
    recipient: str,
) -> Issuance:
    """Ask for a mint against one deposit; the worker carries it out.

    Everything is judged under the locks of the accounts it rests on, so requests that come at
    once cannot together mint more than one of them could. Raises `ChainUnknown`,
    `UnknownRecipient`, `DepositUnknown`, `MintingHalted`, `StatementStale`, `DepositReversed`,
    `DepositExhausted`, `SupplyCapExceeded`, `ReserveShort`.
    """
    port = configured.get(chain)
    if port is None:
        raise ChainUnknown(chain, sorted(configured))
    recipient = port.check_recipient(recipient)
    legs = _legs(port, deposit_id, amount_tiyn, recipient)
    if await db.get(Deposit, deposit_id) is None:
        raise DepositUnknown(deposit_id)
    await minting.check_on(db)
    held = await ledger.lock(db, {*backing.guarded_accounts(), *(leg.account for leg in legs)})
    if await reversals.of_deposit(db, deposit_id) is not None:
        raise DepositReversed(deposit_id)
    _judge(held, port, deposit_id, amount_tiyn)
    now = await backing.read(db)
    if not now.is_enough:
        raise ReserveShort(now.reserve_tiyn, now.owed_tiyn)

    at = await clock.now(db)
    row = Issuance(
        id=new_id("iss", at),
        deposit_id=deposit_id,
        chain=chain,
        amount_tiyn=amount_tiyn,
        recipient=recipient,
        status="pending",
        created_at=at,
    )
    db.add(row)
    await db.flush()
    entry = NewEntry(
        id=new_id("ent", at),
        kind="pending",
        reason="issuance",
        ref=row.id,
        chain=chain,
        effective_at=at,
        cause=row.id,
        legs=legs,
    )
    event = NewEvent(new_id("evt", at), "reserve.issuance_requested", at, issuance_object(row))
    units = units_from_tiyn(amount_tiyn, port.decimals)
    command = Command("mint", reference=row.id, recipient=recipient, amount_units=units)
    await chains.request(db, [chains.Intent(row.id, INTENT_KIND, chain, command)])
    await ledger.record(db, Changes(entries=[entry], events=[event]))
    return row


def _legs(port: Chain, deposit_id: str, amount_tiyn: int, recipient: str) -> tuple[Leg, ...]:
    """CONTRACT 10, row 2: to the treasury it is the float's, to anyone else it leaves."""
    chain, units = port.name, units_from_tiyn(amount_tiyn, port.decimals)
    backed = (
        debit(accounts.unminted(deposit_id), amount_tiyn),
        credit(accounts.outstanding(chain), amount_tiyn),
    )
    place = port.own_addresses().get(recipient)
    if place is None:
        made = (debit(accounts.external(chain), units), credit(accounts.supply(chain), units))
        return backed + made
    if place != "treasury":
        raise UnknownRecipient(chain, recipient)
    return (
        *backed,
        debit(accounts.treasury(chain), units),
        credit(accounts.supply(chain), units),
        debit(accounts.custody(chain), units),
        credit(accounts.float_(chain), units),
    )


def _judge(
    held: Mapping[Account, ledger.Balance], port: Chain, deposit_id: str, amount_tiyn: int
) -> None:
    left_tiyn = held[accounts.unminted(deposit_id)].available
    if amount_tiyn > left_tiyn:
        raise DepositExhausted(deposit_id, amount_tiyn, left_tiyn)
    supply = held[accounts.supply(port.name)]
    after_units = (
        supply.posted + supply.pending_credit + units_from_tiyn(amount_tiyn, port.decimals)
    )
    if after_units > units_from_tiyn(MAX_SUPPLY_TIYN, port.decimals):
        raise SupplyCapExceeded(port.name, MAX_SUPPLY_TIYN)


async def totals(db: AsyncSession, configured: Mapping[str, Chain]) -> dict[str, Any]:
    """The reserve in figures (CONTRACT 8): what is final, and a deposit at once."""
    supplies = {name: accounts.supply(name) for name in configured}
    units = await ledger.balances(db, supplies.values())
    now = await backing.read(db)
    is_on, _ = await minting.state(db)
    return {
        "object": "reserve",
        "outstanding_units": {name: units[account].posted for name, account in supplies.items()},
        "reserve_tiyn": now.reserve_tiyn,
        "ratio": now.ratio,
        "minting": "on" if is_on else "off",
    }


async def details(db: AsyncSession, configured: Mapping[str, Chain]) -> dict[str, Any]:
    """The same with every line of both sides, why minting is off, and what is not as it must be."""
    now = await backing.read(db)
    _, reason = await minting.state(db)
    return {
        **await totals(db, configured),
        "minting_reason": reason or None,
        "assets": now.assets,
        "owed_tiyn": now.owed_tiyn,
        "debts": now.debts,
        "announced_tiyn": await reversals.announced_tiyn(db),
        "reversals": [reversals.reversal_object(row) for row in await reversals.unsettled(db)],
        **await reconciling.figures(db),
    }
