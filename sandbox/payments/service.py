"""What other slices ask of checkout: lines to settle, a session for its page, what is open."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.payments import sessions
from sandbox.payments.models import CheckoutSession, Payment, Sweep
from sandbox.payments.sweeping import plan as plan_sweeps

__all__ = [
    "Settleable",
    "busy",
    "known_keys",
    "mark_in_batch",
    "mark_settled",
    "plan_sweeps",
    "release",
    "session_with_payments",
    "settleable",
    "sweeps_of",
]


_SETTLEABLE = text(
    "SELECT id, session, chain, decimals, tx, counted_units, refunded_units, fee_tiyn,"
    " capture_entry FROM payment WHERE merchant = :merchant"
    " AND settlement_state = 'unsettled' AND refunding_units = 0 ORDER BY id"
)
_SETTLEABLE_LOCKED = text(f"{_SETTLEABLE.text} FOR NO KEY UPDATE")


@dataclass(frozen=True, slots=True)
class Settleable:
    """A captured payment in no batch and without a pending refund.

    Its line is `counted_units` gross; what goes out is `counted_units - refunded_units`, of which
    `fee_tiyn` is the fee. `capture_entry` is the id of the entry that captured it.
    """

    id: str
    session: str
    chain: str
    decimals: int
    tx: str
    counted_units: int
    refunded_units: int
    fee_tiyn: int
    capture_entry: str


async def settleable(db: AsyncSession, merchant: str, *, lock: bool = True) -> list[Settleable]:
    """What a settlement of this merchant may take now, by id.

    `lock` holds the payments until the commit, so that no refund begins meanwhile.
    """
    found = await db.execute(_SETTLEABLE_LOCKED if lock else _SETTLEABLE, {"merchant": merchant})
    return [Settleable(**row._mapping) for row in found]


async def known_keys(db: AsyncSession, chain: str, keys: list[str]) -> set[str]:
    """Which of these match keys belong to a session (the watcher's `KnownKeys`)."""
    found = await db.scalars(
        text("SELECT key FROM session_match WHERE chain = :chain AND key = ANY(:keys)"),
        {"chain": chain, "keys": keys},
    )
    return set(found)


async def mark_in_batch(db: AsyncSession, ids: Collection[str], settlement: str) -> None:
    """Put payments got from `settleable` with its lock into a batch."""
    await _move(db, ids, "unsettled", "in_batch", settlement)


async def mark_settled(db: AsyncSession, ids: Collection[str]) -> None:
    """Say of the payments of a batch that their burn is final and their payout instructed."""
    await _move(db, ids, "in_batch", "settled", None)


async def release(db: AsyncSession, ids: Collection[str]) -> None:
    """Give payments of a batch back: a line deferred, or a batch that came to nothing."""
    await _move(db, ids, "in_batch", "unsettled", "")


async def _move(
    db: AsyncSession, ids: Collection[str], was: str, becomes: str, settlement: str | None
) -> None:
    """`settlement`: an id to set, empty to clear, None to keep."""
    moved = await db.execute(
        text(
            "UPDATE payment SET settlement_state = :becomes, settlement = CASE"
            " WHEN CAST(:settlement AS text) IS NULL THEN settlement"
            " ELSE nullif(:settlement, '') END"
            " FROM (SELECT id FROM payment WHERE id = ANY(CAST(:ids AS text[]))"
            " AND settlement_state = :was AND refunding_units = 0"
            " ORDER BY id FOR NO KEY UPDATE) locked"
            " WHERE payment.id = locked.id RETURNING payment.id"
        ),
        {"becomes": becomes, "was": was, "settlement": settlement, "ids": list(ids)},
    )
    missing = set(ids) - {row.id for row in moved}
    assert not missing, f"payments not {was}, or being refunded: {sorted(missing)}"


async def sweeps_of(db: AsyncSession, settlements: Collection[str]) -> dict[str, list[Sweep]]:
    """What these settlements asked to be swept, by settlement, in the order they asked."""
    found = select(Sweep).where(col(Sweep.settlement).in_(settlements)).order_by(col(Sweep.id))
    made: dict[str, list[Sweep]] = {id_: [] for id_ in settlements}
    for sweep in await db.exec(found.execution_options(populate_existing=True)):
        assert sweep.settlement is not None
        made[sweep.settlement].append(sweep)
    return made


async def session_with_payments(
    db: AsyncSession, session_id: str
) -> tuple[CheckoutSession, list[Payment]]:
    """Anyone's session, for its payment page. Raises `NotFound`."""
    return await sessions.one(db, session_id)


async def busy(db: AsyncSession) -> list[str]:
    """What is not at rest, in words: money that is not final, refunds on their way, expiries."""
    row = (
        await db.execute(
            text(
                "SELECT (SELECT count(*) FROM payment WHERE chain_state = 'confirmed') AS payments,"
                " (SELECT count(*) FROM stray_transfer WHERE chain_state = 'confirmed') AS strays,"
                " (SELECT count(*) FROM refund WHERE status = 'pending') AS refunds,"
                " (SELECT count(*) FROM checkout_session WHERE status = 'open'"
                " AND expires_at < sandbox_now()) AS expiries"
            )
        )
    ).one()
    words = {
        "payments": "payments not final",
        "strays": "stray transfers not final",
        "refunds": "refunds pending",
        "expiries": "sessions to expire",
    }
    return [f"{words[name]}: {count}" for name, count in row._mapping.items() if count]
