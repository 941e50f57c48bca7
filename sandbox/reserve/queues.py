"""Redemptions and moves as lists: by state, with ages and totals."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.http import Page
from sandbox.reserve import aims
from sandbox.reserve.models import Intake

_STATUS = "CASE WHEN i.state <> 'burned' THEN i.state ELSE {second} END"
_SECOND = {"redemption": "a.payout_status", "bridge_move": "a.mint_status"}
OVER = ("paid", "minted", "given_back", "expired", "canceled")
"""What nobody waits for any more."""


def age_s(intake: Intake, now: datetime) -> int:
    """Seconds of sandbox time since it was asked for."""
    return int((now - intake.created_at).total_seconds())


async def shown(db: AsyncSession, intake: Intake) -> dict[str, Any]:
    """The object with its age; of a burned one also the age of what is owed for it."""
    now = await clock.now(db)
    found = await aims.object_of(db, intake)
    is_over = found["status"] in OVER
    owed_s = None
    if intake.burned_at is not None and not is_over:
        owed_s = int((now - intake.burned_at).total_seconds())
    return found | {"age_s": None if is_over else age_s(intake, now), "owed_for_s": owed_s}


async def listed(
    db: AsyncSession, table: str, page: Page, *, status: str | None, min_age_s: int
) -> list[dict[str, Any]]:
    """Objects of one kind, newest first; `status` and a least age in seconds pick some."""
    condition, order, values = page.clause("i.id")
    if status is not None:
        condition += f" AND {_status(table)} = :status"
        values["status"] = status
    condition += " AND i.created_at <= sandbox_now() - make_interval(secs => :age)"
    ids = await db.scalars(
        text(
            f"SELECT i.id FROM intake i JOIN {table} a ON a.id = i.id"  # noqa: S608 - our own
            f" WHERE true{condition}{order}"
        ),
        values | {"age": min_age_s},
    )
    return [await shown(db, await _read(db, id_)) for id_ in list(ids)]


async def _read(db: AsyncSession, id_: str) -> Intake:
    row = await db.get(Intake, id_)
    assert row is not None
    return row


def _status(table: str) -> str:
    return _STATUS.format(second=_SECOND[table])


async def totals(db: AsyncSession, table: str) -> dict[str, dict[str, int]]:
    """Per status: how many, worth how much, and how old the oldest is."""
    rows = await db.execute(
        text(
            f"SELECT {_status(table)} AS status, count(*) AS number,"  # noqa: S608 - our own
            " sum(i.amount_tiyn)::bigint AS amount_tiyn,"
            " floor(extract(epoch FROM sandbox_now() - min(i.created_at)))::bigint AS oldest_s"
            f" FROM intake i JOIN {table} a ON a.id = i.id GROUP BY 1 ORDER BY 1"
        )
    )
    return {
        row.status: {
            "count": row.number,
            "amount_tiyn": row.amount_tiyn,
            "oldest_age_s": row.oldest_s,
        }
        for row in rows
    }
