"""Settlements and payouts by their ids, for answers that name them (`expand[]`)."""

from typing import Any, TypeVar

from sqlalchemy import ARRAY, String, any_, literal
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.http.expand import Reader
from sandbox.settlement.models import Payout, Settlement
from sandbox.settlement.objects import payout_object, settlement_objects

_Row = TypeVar("_Row", Settlement, Payout)


async def _found(db: AsyncSession, model: type[_Row], ids: list[str], reader: Reader) -> list[_Row]:
    found = select(model).where(col(model.id) == any_(literal(ids, ARRAY(String))))
    if reader.merchant is not None:
        found = found.where(col(model.merchant) == reader.merchant)
    return list(await db.exec(found))


async def settlements(
    db: AsyncSession, ids: list[str], reader: Reader
) -> dict[str, dict[str, Any]]:
    """Settlements with their lines that the reader may see, by id."""
    found = await _found(db, Settlement, ids, reader)
    return {one["id"]: one for one in await settlement_objects(db, found)}


async def payouts(db: AsyncSession, ids: list[str], reader: Reader) -> dict[str, dict[str, Any]]:
    """Payouts that the reader may see, by id."""
    return {row.id: payout_object(row) for row in await _found(db, Payout, ids, reader)}
