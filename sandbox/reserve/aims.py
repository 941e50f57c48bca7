"""What holders want for the units they send: redemptions and moves as the API and the log show
them."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core import clock
from sandbox.core.ids import new_id
from sandbox.core.shapes import plain
from sandbox.eventlog.types import NewEvent
from sandbox.reserve import shapes
from sandbox.reserve.models import BridgeMove, Intake, Redemption, UnitReceipt

HOLDS_ITS_AMOUNT = ("received", "burning", "stuck", "burned")
"""States of an intake that received its whole amount: what is beyond that is a remainder."""

OWN_BURN = "own_burn"
"""The `method` of a redemption whose units their holder burned itself: none came to us."""

_UNITS = text(
    """
    SELECT coalesce(r.final, 0)::bigint AS received, coalesce(r.seen, 0)::bigint AS confirmed,
        coalesce((SELECT sum(amount_units) FROM send_back
            WHERE intake = i.id AND status <> 'failed'), 0)::bigint AS given_back
    FROM intake i LEFT JOIN (
        SELECT intake, sum(amount_units) FILTER (WHERE state = 'final') AS final,
            sum(amount_units) FILTER (WHERE state = 'confirmed') AS seen
        FROM unit_receipt WHERE intake = :id GROUP BY intake
    ) r ON r.intake = i.id WHERE i.id = :id
    """
)


def is_redemption(intake_id: str) -> bool:
    """Whether the units become tenge; else they become units of another chain."""
    return intake_id.startswith("red_")


def status_of(intake: Intake, aim: Redemption | BridgeMove) -> str:
    """One word for both halves: the units' state until they are burned, then the second half's."""
    if intake.state != "burned":
        return intake.state
    return aim.payout_status if isinstance(aim, Redemption) else aim.mint_status


async def aim_of(db: AsyncSession, intake_id: str) -> Redemption | BridgeMove:
    """The second half; its row is locked with the intake's."""
    model = Redemption if is_redemption(intake_id) else BridgeMove
    found: Redemption | BridgeMove | None = await db.get(model, intake_id)
    assert found is not None, f"{intake_id} has no second half"
    return found


async def object_of(db: AsyncSession, intake: Intake) -> dict[str, Any]:
    """The redemption or the move as the API shows it."""
    await db.flush()
    aim = await aim_of(db, intake.id)
    units = (await db.execute(_UNITS, {"id": intake.id})).one()
    is_kept = intake.state in HOLDS_ITS_AMOUNT and intake.option["method"] != OWN_BURN
    kept = intake.amount_units if is_kept else 0
    shown: dict[str, Any] = {
        "object": "redemption" if isinstance(aim, Redemption) else "bridge_move",
        "id": intake.id,
        "amount_tiyn": intake.amount_tiyn,
        "amount_units": intake.amount_units,
        "status": status_of(intake, aim),
        "units_state": intake.state,
        "reason": intake.reason,
        "option": intake.option,
        "confirmed_units": units.confirmed,
        "received_units": units.received,
        "remainder_units": units.received - kept - units.given_back,
        "burn_tx": intake.tx,
        "expires_at": clock.iso(intake.expires_at),
        "created_at": clock.iso(intake.created_at),
        "burned_at": _moment(intake.burned_at),
    }
    if isinstance(aim, Redemption):
        return shown | {"chain": intake.chain} | _payout(aim)
    return shown | {"from_chain": intake.chain} | _mint(intake, aim)


def _payout(row: Redemption) -> dict[str, Any]:
    return {
        "iban": row.iban,
        "payee_name": row.payee,
        "tax_number": row.tax_number,
        "knp": row.knp,
        "kbe": row.kbe,
        "payout_status": row.payout_status,
        "payout_attempt": row.payout_attempt,
        "payout_reason": row.payout_reason,
        "end_to_end_id": end_to_end_id(row) if row.payout_attempt else None,
        "value_date": row.value_date.isoformat() if row.value_date else None,
        "paid_at": _moment(row.paid_at),
    }


def _mint(intake: Intake, row: BridgeMove) -> dict[str, Any]:
    return {
        "to_chain": row.to_chain,
        "recipient": row.recipient,
        "mint_status": row.mint_status,
        "mint_attempt": row.mint_attempt,
        "mint_chain": intake.chain if row.is_back else row.to_chain,
        "back_recipient": row.back_recipient,
        "mint_tx": row.mint_tx,
        "mint_reason": row.mint_reason,
        "minted_at": _moment(row.minted_at),
    }


def end_to_end_id(row: Redemption) -> str:
    """The name of the newest payment order (at most 35 characters for ISO 20022)."""
    return f"{row.id}:{row.payout_attempt}"


def _moment(at: datetime | None) -> str | None:
    return clock.iso(at) if at else None


async def event(
    db: AsyncSession, intake: Intake, step: str, refs: tuple[str, ...] = ()
) -> NewEvent:
    """`reserve.redemption_<step>` or `reserve.move_<step>` with the object as it is now."""
    noun = "redemption" if is_redemption(intake.id) else "move"
    at = await clock.now(db)
    data = await object_of(db, intake)
    return NewEvent(new_id("evt", at), f"reserve.{noun}_{step}", at, data, refs=refs)


def receipt_object(row: UnitReceipt) -> dict[str, Any]:
    """A transfer that brought units, as the log tells it."""
    shown: shapes.UnitReceipt = {
        "object": "unit_receipt",
        "id": row.id,
        "intake": row.intake,
        "chain": row.chain,
        "tx": row.tx,
        "source": row.source,
        "amount_units": row.amount_units,
        "place": row.place,
        "chain_state": row.state,
    }
    return plain(shown)
