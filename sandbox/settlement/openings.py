"""What a batch opens with: carried by earlier ones, come back from the bank, owed in fees; and why
nothing may be paid out.
"""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.parties import service as parties
from sandbox.parties.models import Merchant
from sandbox.settlement.models import Settlement

FAILED = "('rejected', 'returned')"


async def hold(db: AsyncSession, merchant: Merchant) -> str | None:
    """Why nothing is paid out now: the merchant's status, or a payout to its present account
    that came back while nobody asked again."""
    if merchant.status in parties.NO_PAYOUT:
        return merchant.status
    found = await db.scalar(
        text(
            "SELECT EXISTS (SELECT FROM payout WHERE merchant = :merchant"  # noqa: S608 - SQL of our own, no input
            f" AND status IN {FAILED} AND iban = :iban AND hold_lifted_at IS NULL)"
        ),
        {"merchant": merchant.id, "iban": merchant.iban},
    )
    return "payout_failed" if found else None


async def lift_hold(db: AsyncSession, merchant_id: str) -> None:
    await db.execute(
        text(
            "UPDATE payout SET hold_lifted_at = sandbox_now() WHERE merchant = :merchant"  # noqa: S608 - SQL of our own, no input
            f" AND status IN {FAILED} AND hold_lifted_at IS NULL"
        ),
        {"merchant": merchant_id},
    )


# Money of a batch that is not burned yet is not in the account it would be paid from.
_CARRIED = (
    "SELECT id, carried_tiyn AS amount FROM settlement"
    " WHERE merchant = :merchant AND status = 'settled' AND carried_tiyn <> 0"
    " AND carried_into IS NULL"
)
_CAME_BACK = (
    "SELECT id, amount_tiyn AS amount FROM payout"  # noqa: S608 - SQL of our own, no input
    f" WHERE merchant = :merchant AND status IN {FAILED} AND carried_into IS NULL"
)


async def carried(db: AsyncSession, merchant_id: str) -> list[int]:
    """What the next batch opens with, in tiyn: carried by earlier ones, or back from the bank.

    Below zero: fees that a batch left unpaid. Locks the rows, so that `take` takes them.
    """
    found: list[int] = []
    for source in (_CARRIED, _CAME_BACK):
        locked = await db.execute(
            text(f"{source} ORDER BY id FOR NO KEY UPDATE"), {"merchant": merchant_id}
        )
        found += [row.amount for row in locked]
    return found


async def take(db: AsyncSession, settlement: Settlement) -> None:
    taken = 0
    for table, source in (("settlement", _CARRIED), ("payout", _CAME_BACK)):
        rows = await db.execute(
            text(
                f"WITH source AS ({source}) UPDATE {table} AS t SET carried_into = :into"  # noqa: S608 - SQL of our own, no input
                " FROM source WHERE t.id = source.id RETURNING source.amount"
            ),
            {"merchant": settlement.merchant, "into": settlement.id},
        )
        taken += sum(row.amount for row in rows)
    assert taken == settlement.opening_tiyn
