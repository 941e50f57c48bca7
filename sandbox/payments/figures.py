"""Checkout in figures for /metrics."""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.metrics import Figure

_PAYMENTS = text(
    "SELECT chain, chain_state, settlement_state, count(*) AS payments FROM payment"
    " GROUP BY chain, chain_state, settlement_state"
)


async def figures(db: AsyncSession) -> list[Figure]:
    """Open sessions, all payments by their states, and what waits for a decision."""
    open_ = await db.scalar(text("SELECT count(*) FROM checkout_session WHERE status = 'open'"))
    strays = await db.scalar(text("SELECT count(*) FROM stray_transfer WHERE status = 'open'"))
    found = [
        Figure("sandbox_sessions_open", "Checkout sessions that can be paid.", open_ or 0),
        Figure("sandbox_strays_open", "Stray transfers that nobody resolved.", strays or 0),
    ]
    for row in await db.execute(_PAYMENTS):
        labels = {
            "chain": row.chain,
            "chain_state": row.chain_state,
            "settlement_state": row.settlement_state,
        }
        found.append(Figure("sandbox_payments", "Payments by their states.", row.payments, labels))
    return found
