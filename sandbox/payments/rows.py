"""Rows of this slice by the set: a block full of payments costs as many statements as one.

Rows read here are copies, not ORM state: nothing is written but by `insert` and `update`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import orjson
from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.orm.attributes import manager_of_class
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.driver import Statement
from sandbox.payments.models import CheckoutSession, Payment, Refund, StrayTransfer

Row = TypeVar("Row", CheckoutSession, Payment, StrayTransfer, Refund)


def table(model: type[SQLModel]) -> Table:
    """The table of a model."""
    found: Table = model.__table__  # type: ignore[attr-defined]  # set by SQLModel's metaclass
    return found


async def fetch(
    db: AsyncSession, model: type[Row], where: ColumnElement[bool], *, lock: bool = False
) -> list[Row]:
    """The rows by id; `lock` takes them in that order, FOR NO KEY UPDATE (DESIGN, Locks)."""
    wanted = table(model)
    found = select(wanted).where(where).order_by(wanted.c.id)
    if lock:
        found = found.with_for_update(key_share=True)
    return [copy(model, row) for row in await db.execute(found)]


def copy(model: type[Row], row: Any) -> Row:
    """A detached copy of a row of the model's table.

    Made as the ORM makes what it loads, without the constructor: that one took 60 µs, of five
    copies or so per payment.
    """
    made: Row = manager_of_class(model).new_instance()
    values = made.__dict__
    values.update(row._mapping)
    if model is CheckoutSession:
        values["meta"] = values.pop("metadata")
    return made


def _json(rows: Sequence[Row]) -> str:
    documents = []
    for row in rows:
        values = {name: getattr(row, name) for name in type(row).model_fields}
        if isinstance(row, CheckoutSession):
            values["metadata"] = values.pop("meta")
        documents.append(values)
    return orjson.dumps(documents).decode()


async def insert(db: AsyncSession, rows: Sequence[Row]) -> None:
    """Write new rows of one table in one statement."""
    if not rows:
        return
    await _inserting(table(type(rows[0])).name).fetch(db, {"rows": _json(rows)})


async def update(db: AsyncSession, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write `columns` of locked rows of one table in one statement."""
    if not rows:
        return
    writing = _updating(table(type(rows[0])).name, tuple(columns))
    await writing.fetch(db, {"rows": _json(rows)})


@cache
def _inserting(name: str) -> Statement:
    return Statement(
        f"INSERT INTO {name} SELECT * FROM"  # noqa: S608 - a table of our own
        f" jsonb_populate_recordset(NULL::{name}, CAST(:rows AS jsonb))"
    )


@cache
def _updating(name: str, columns: tuple[str, ...]) -> Statement:
    sets = ", ".join(f"{column} = r.{column}" for column in columns)
    return Statement(
        f"UPDATE {name} t SET {sets} FROM"  # noqa: S608 - names of our own
        f" jsonb_populate_recordset(NULL::{name}, CAST(:rows AS jsonb)) r WHERE t.id = r.id"
    )
