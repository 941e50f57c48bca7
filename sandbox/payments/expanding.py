"""Objects of checkout by their ids, for answers that name them (`expand[]`)."""

from typing import Any

from sqlalchemy import ARRAY, String, any_, literal
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.http.expand import Reader
from sandbox.payments import rows, sessions
from sandbox.payments.models import CheckoutSession, Payment, Refund, StrayTransfer
from sandbox.payments.objects import (
    for_viewer,
    payment_object,
    refund_object,
    session_object,
    stray_object,
)


async def _found(
    db: AsyncSession, model: type[rows.Row], ids: list[str], reader: Reader
) -> list[rows.Row]:
    column = rows.table(model).c
    where = column.id == any_(literal(ids, ARRAY(String)))
    if reader.merchant is not None:
        where &= column.merchant == reader.merchant
    return await rows.fetch(db, model, where)


async def payments(db: AsyncSession, ids: list[str], reader: Reader) -> dict[str, dict[str, Any]]:
    """Payments that the reader may see, by id."""
    return {row.id: payment_object(row) for row in await _found(db, Payment, ids, reader)}


async def refunds(db: AsyncSession, ids: list[str], reader: Reader) -> dict[str, dict[str, Any]]:
    """Refunds that the reader may see, by id."""
    return {row.id: refund_object(row) for row in await _found(db, Refund, ids, reader)}


async def strays(db: AsyncSession, ids: list[str], reader: Reader) -> dict[str, dict[str, Any]]:
    """Stray transfers of sessions that the reader may see, by id."""
    return {row.id: stray_object(row) for row in await _found(db, StrayTransfer, ids, reader)}


async def checkout_sessions(
    db: AsyncSession, ids: list[str], reader: Reader
) -> dict[str, dict[str, Any]]:
    """Sessions with their payments that the reader may see, by id."""
    found = await _found(db, CheckoutSession, ids, reader)
    paid = await sessions.payments_of(db, [row.id for row in found])
    shown = {
        row.id: session_object(row, paid[row.id], url=f"{reader.base_url}/pay/{row.id}")
        for row in found
    }
    owner = reader.merchant is not None
    return {id_: for_viewer(data, owner=owner) for id_, data in shown.items()}
