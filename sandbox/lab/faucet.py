"""The faucet: tokens and gas for test wallets, out of a float that the reserve backs like any."""

from collections.abc import Mapping
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import Chain, Command
from sandbox.chains.watching import IntentDone, IntentFailed
from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.core.money import units_from_tiyn
from sandbox.core.shapes import plain
from sandbox.eventlog.types import NewEvent
from sandbox.lab import floats, shapes
from sandbox.lab.errors import FaucetToItself, FloatRefilling
from sandbox.lab.models import FaucetGrant
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, Resolution, credit, debit
from sandbox.reserve.errors import ChainUnknown

INTENT_KIND = "faucet"


def grant_object(row: FaucetGrant) -> dict[str, Any]:
    """The grant as the API shows it."""
    shown: shapes.FaucetGrant = {
        "object": "faucet_grant",
        "id": row.id,
        "chain": row.chain,
        "address": row.address,
        "amount_tiyn": row.amount_tiyn,
        "status": row.status,
        "tx": row.tx,
        "reason": row.reason,
        "created_at": clock.iso(row.created_at),
    }
    return plain(shown)


async def grant(
    db: AsyncSession,
    database: Database,
    configured: Mapping[str, Chain],
    *,
    chain: str,
    address: str,
    amount_tiyn: int,
) -> FaucetGrant:
    """Promise exactly `amount_tiyn` and gas to `address`; the worker sends them (CONTRACT 10, 3).

    Raises `ChainUnknown`, `UnknownRecipient`, `FaucetToItself`, `FloatRefilling`; what a refill
    would not make room for by itself is asked for in a transaction of `database`.
    """
    port = configured.get(chain)
    if port is None:
        raise ChainUnknown(chain, sorted(configured))
    address = port.check_recipient(address)
    if address in port.own_addresses():
        raise FaucetToItself(chain, address)
    if await floats.available_tiyn(db, port) < amount_tiyn:
        # Before any balance is locked: the refill may be waiting for one.
        if amount_tiyn > floats.LOW_TIYN:
            await floats.ask(database, chain, amount_tiyn)
        raise FloatRefilling(chain)
    at = await clock.now(db)
    row = FaucetGrant(
        id=new_id("fau", at),
        chain=chain,
        address=address,
        amount_tiyn=amount_tiyn,
        status="pending",
        created_at=at,
    )
    units = units_from_tiyn(amount_tiyn, port.decimals)
    entry = NewEntry(
        id=new_id("ent", at),
        kind="pending",
        reason="faucet",
        ref=row.id,
        chain=chain,
        effective_at=at,
        cause=row.id,
        legs=(
            debit(accounts.external(chain), units),
            credit(accounts.treasury(chain), units),
            debit(accounts.float_(chain), units),
            credit(accounts.custody(chain), units),
        ),
    )
    try:
        await ledger.record(db, Changes(entries=[entry]))
    except ledger.InsufficientFunds as error:
        raise FloatRefilling(chain) from error
    db.add(row)
    await db.flush()
    command = Command("transfer", reference=row.id, recipient=address, amount_units=units, gas=True)
    await chains.request(db, [chains.Intent(row.id, INTENT_KIND, chain, command)])
    return row


async def find(db: AsyncSession, grant_id: str) -> FaucetGrant:
    """The grant, or `NotFound`."""
    row = await db.get(FaucetGrant, grant_id)
    if row is None:
        raise NotFound("faucet_grant", grant_id)
    return row


class FaucetHandler:
    """The end of a grant."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        row = await _ended(db, done.id, "sent", done.tx, None)
        at = await clock.now(db)
        event = NewEvent(new_id("evt", at), "faucet.sent", at, grant_object(row), refs=(row.id,))
        resolution = Resolution(row.id, "posted", event.id, done.height)
        return Changes(resolutions=[resolution], events=[event])

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        row = await _ended(db, failed.id, "failed", failed.tx, failed.reason)
        at = await clock.now(db)
        event = NewEvent(new_id("evt", at), "faucet.failed", at, grant_object(row), refs=(row.id,))
        resolution = Resolution(row.id, "voided", event.id, failed.height)
        return Changes(resolutions=[resolution], events=[event])


async def _ended(
    db: AsyncSession, id_: str, status: str, tx: str | None, reason: str | None
) -> FaucetGrant:
    found = select(FaucetGrant).where(col(FaucetGrant.id) == id_).with_for_update(key_share=True)
    row = (await db.exec(found.execution_options(populate_existing=True))).one()
    assert row.status == "pending", f"{id_} ended before: {row.status}"
    row.status, row.tx, row.reason = status, tx, reason
    row.resolved_at = await clock.now(db)
    await db.flush()
    return row
