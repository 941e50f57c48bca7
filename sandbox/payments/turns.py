"""Whose turn it is with a merchant's money: a batch is made, or a settled payment refunded."""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession


async def take(db: AsyncSession, merchant_id: str) -> None:
    """Be the only one who makes a batch of this merchant or spends its refund reserve, until the
    commit. Taken before any row is locked."""
    await db.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('settle:' || :merchant, 0))"),
        {"merchant": merchant_id},
    )
