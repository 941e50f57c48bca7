"""The float of each chain: what the faucet hands out of, deposited and minted like all tokens."""

from collections.abc import Mapping

import structlog
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank.errors import BankReferenceConflict
from sandbox.chains.port import Chain
from sandbox.core.db import Database
from sandbox.core.money import MAX_DEPOSIT_TIYN, tiyn_from_units
from sandbox.lab.models import ChainFloat
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.reserve import service as reserve
from sandbox.reserve.errors import MintingHalted, ReserveShort
from sandbox.reserve.models import Issuance

FLOAT_TIYN = 10**10
LOW_TIYN = FLOAT_TIYN // 10

DUE = (
    "(SELECT count(*) FROM chain_float) < (SELECT count(*) FROM chain_deployment)"
    " OR EXISTS (SELECT FROM chain_float f LEFT JOIN issuance i ON i.id = f.issuance_id"
    " WHERE f.wanted_tiyn > 0 AND i.status IS DISTINCT FROM 'pending')"
)
"""SQL: a float was never filled, or somebody wants more than it holds; not that it ran low."""

log = structlog.get_logger(__name__)


async def ask(database: Database, chain: str, amount_tiyn: int) -> None:
    """Say that somebody wants more than a float that is not low may hold.

    A transaction of its own, because the request that found the float short is rolled back. The
    caller holds no balances: a refill that waits for one would hold this row.
    """
    async with database.transaction() as db:
        await db.execute(
            text(
                "INSERT INTO chain_float (chain, refills, wanted_tiyn) VALUES (:chain, 0, :tiyn)"
                " ON CONFLICT (chain) DO UPDATE"
                " SET wanted_tiyn = greatest(chain_float.wanted_tiyn, excluded.wanted_tiyn)"
            ),
            {"chain": chain, "tiyn": amount_tiyn},
        )


async def available_tiyn(db: AsyncSession, chain: Chain) -> int:
    """What the faucet can promise on `chain` now; grants under way are gone already."""
    units = (await ledger.balance(db, accounts.float_(chain.name))).available
    return tiyn_from_units(units, chain.decimals)[0]


async def are_ready(db: AsyncSession, configured: Mapping[str, Chain]) -> bool:
    """Whether no float is low: a new world is ready once its first fill is final (DESIGN 6)."""
    return all([await available_tiyn(db, chain) >= LOW_TIYN for chain in configured.values()])


async def refill(database: Database, configured: Mapping[str, Chain], chain: str) -> bool:
    """Take one step towards a full float of `chain`; true when there was something to do.

    A deposit, then in a transaction of its own the mint against it. What was done stands in
    `chain_float`, whose row is held meanwhile, so neither a crash nor a second worker doubles it.
    """
    try:
        async with database.transaction() as db:
            return await _step(db, configured, configured[chain])
    except (MintingHalted, ReserveShort) as refused:
        log.warning("the float stays as it is", chain=chain, code=refused.code)
        return False


async def _step(db: AsyncSession, configured: Mapping[str, Chain], chain: Chain) -> bool:
    row = await _held(db, chain.name)
    if await _is_minting(db, row):
        return False
    if row.deposit_id is not None:
        left = (await reserve.unminted_tiyn(db, [row.deposit_id]))[row.deposit_id]
        if left > 0:
            [treasury] = [a for a, place in chain.own_addresses().items() if place == "treasury"]
            made = await reserve.issue(
                db,
                configured,
                deposit_id=row.deposit_id,
                chain=chain.name,
                amount_tiyn=left,
                recipient=treasury,
            )
            row.issuance_id = made.id
            return True
    there = await available_tiyn(db, chain)
    if there >= max(LOW_TIYN, row.wanted_tiyn):
        row.wanted_tiyn = 0
        return False
    row.refills += 1
    missing = min(max(FLOAT_TIYN, row.wanted_tiyn) - there, MAX_DEPOSIT_TIYN)
    try:
        received = await reserve.receive(
            db, amount_tiyn=missing, bank_reference=f"FLOAT-{chain.name}-{row.refills:06d}"
        )
    except BankReferenceConflict:
        # Somebody used our next reference for a deposit of its own; the one after is free.
        return True
    row.deposit_id = received.deposit.id
    return True


async def _held(db: AsyncSession, chain: str) -> ChainFloat:
    await db.execute(
        text(
            "INSERT INTO chain_float (chain, refills, wanted_tiyn) VALUES (:chain, 0, 0)"
            " ON CONFLICT DO NOTHING"
        ),
        {"chain": chain},
    )
    found = select(ChainFloat).where(col(ChainFloat.chain) == chain).with_for_update()
    return (await db.exec(found.execution_options(populate_existing=True))).one()


async def _is_minting(db: AsyncSession, row: ChainFloat) -> bool:
    if row.issuance_id is None:
        return False
    issued = await db.get(Issuance, row.issuance_id, populate_existing=True)
    return issued is not None and issued.status == "pending"
