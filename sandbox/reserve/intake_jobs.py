"""Background work for redemptions and moves: their next steps, and what the bank says of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import service as bank
from sandbox.chains.port import Chain
from sandbox.core import failpoints
from sandbox.core.db import Database, DatabaseUnavailable
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import intakes, moves, redemptions

BATCH = 50
PREFIXES = (f"{redemptions.PREFIX}_",)

log = structlog.get_logger(__name__)

_UNITS = """
    i.state = 'received' AND NOT i.is_sweeping
    OR i.state = 'open' AND i.expires_at <= sandbox_now() AND NOT EXISTS (
        SELECT FROM unit_receipt r WHERE r.intake = i.id AND r.state = 'confirmed')
    OR NOT i.is_sweeping AND EXISTS (
        SELECT FROM send_back b WHERE b.intake = i.id AND b.status = 'waiting')
"""
_UNITS_DUE = f"""
SELECT i.id, i.chain FROM intake i WHERE i.chain = ANY(:chains) AND ({_UNITS}) ORDER BY i.id
"""  # noqa: S608 - our own words
_MINTS_DUE = """
SELECT m.id FROM bridge_move m JOIN intake i ON i.id = m.id WHERE m.mint_status = 'waiting'
AND CASE WHEN m.is_back THEN i.chain ELSE m.to_chain END = ANY(:chains) ORDER BY m.id
"""
DUE = (
    "EXISTS (SELECT FROM intake i WHERE i.state IN ('open', 'received')"  # noqa: S608 - our own
    f" AND ({_UNITS}))"
    " OR EXISTS (SELECT FROM send_back WHERE status = 'waiting')"
    " OR EXISTS (SELECT FROM bridge_move WHERE mint_status = 'waiting')"
)
"""SQL: an intake or a move has a next step."""
MESSAGES_DUE = bank.unread_sql(redemptions.KINDS, prefixes=PREFIXES)
"""SQL: the bank said something of a redemption's payout."""


async def follow(database: Database, configured: Mapping[str, Chain]) -> int:
    """Take the next step of every intake and move that has one, each in a transaction of its own.

    May be called by any number of workers; how many went on. What fails for one is raised when
    all the others are through.
    """
    chains = {"chains": sorted(configured)}
    async with database.transaction() as db:
        due = [(row.id, row.chain) for row in await db.execute(text(_UNITS_DUE), chains)]
        mints = [row.id for row in await db.execute(text(_MINTS_DUE), chains)]

    def unit_step(id_: str, chain: str) -> Callable[[AsyncSession], Awaitable[Changes]]:
        return lambda db: intakes.step(db, id_, configured[chain])

    def mint_step(id_: str) -> Callable[[AsyncSession], Awaitable[Changes]]:
        return lambda db: moves.step(db, id_, configured)

    steps = [(id_, id_.partition("_")[0], unit_step(id_, chain)) for id_, chain in due]
    steps += [(id_, "mint", mint_step(id_)) for id_ in mints]
    return await _each(database, steps)


async def _each(
    database: Database,
    steps: Sequence[tuple[str, str, Callable[[AsyncSession], Awaitable[Changes]]]],
) -> int:
    moved = 0
    failure: Exception | None = None
    for id_, sort, step in steps:
        try:
            async with database.transaction() as db:
                changes = await step(db)
                await ledger.record(db, changes)
                failpoints.passed("intake-step.uncommitted", sort)
            failpoints.passed("intake-step.committed", sort)
            moved += bool(changes.entries or changes.events)
        except ledger.InsufficientFunds as short:
            log.info("units were taken meanwhile", intake=id_, account=short.account)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return moved


async def read_bank(database: Database) -> int:
    """Act on what the bank answered to payouts of redemptions, each message by itself; how many.

    One that cannot be acted upon stays unread and does not keep the others waiting.
    """
    done, after = 0, 0
    failure: Exception | None = None
    for _ in range(BATCH):
        try:
            async with database.transaction() as db:
                found = await bank.unread(
                    db, redemptions.KINDS, prefixes=PREFIXES, after=after, limit=1
                )
                if not found:
                    break
                message = found[0]
                after = message.id or after
                await ledger.record(db, await redemptions.on_message(db, message))
                await bank.mark_read(db, message)
                failpoints.passed("redemption-message.uncommitted", message.kind)
            failpoints.passed("redemption-message.committed", message.kind)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            failure = failure or error
        else:
            done += 1
    if failure is not None:
        raise failure
    return done


async def busy(db: AsyncSession) -> list[str]:
    """What the worker could do now for redemptions and moves (CONTRACT 6, Quiesce).

    A mint that waits for minting to be on waits for people, and does not count.
    """
    units = await db.scalar(
        text(
            "SELECT count(*) FROM intake i WHERE i.state = 'received' OR EXISTS (SELECT FROM"
            " send_back b WHERE b.intake = i.id AND b.status = 'waiting')"
        )
    )
    # While units that came are not final, nobody can tell whether they came in time.
    expiries = await db.scalar(
        text(
            "SELECT count(*) FROM intake i WHERE i.state = 'open' AND i.expires_at <= sandbox_now()"
            " AND NOT EXISTS (SELECT FROM unit_receipt r WHERE r.intake = i.id"
            " AND r.state = 'confirmed')"
        )
    )
    mints = await db.scalar(
        text(
            "SELECT count(*) FROM bridge_move WHERE mint_status = 'waiting' AND mint_reason IS NULL"
        )
    )
    left = []
    if units:
        left.append(f"redemptions and moves whose units wait: {units}")
    if expiries:
        left.append(f"redemptions and moves to expire: {expiries}")
    if mints:
        left.append(f"moves that wait for their mint: {mints}")
    return left
