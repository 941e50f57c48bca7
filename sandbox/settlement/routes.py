"""`/v1/settlements` and `/v1/payouts` (CONTRACT 8)."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from sandbox.chains.port import Chain
from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import IdempotentRoute, PageDep, Principal, PrincipalDep, listing
from sandbox.settlement import service
from sandbox.settlement.errors import MerchantMissing

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["settlement"])

MerchantFilter = Annotated[str | None, Query(alias="merchant_id", max_length=64)]


class SettleIn(BaseModel):
    """Whose payments to settle. A merchant may leave its own id out."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    merchant_id: str | None = Field(None, max_length=64)
    retry_payout: StrictBool = Field(
        True, description="pay out again what the bank rejected or returned; false: carry it on"
    )


def _whose(caller: Principal, asked: str | None) -> str | None:
    """The merchant whose objects are meant; None: everybody's."""
    if caller.merchant is None:
        return asked
    if asked is not None and asked != caller.merchant:
        raise NotFound("merchant", asked)
    return caller.merchant


@router.post("/settlements", status_code=201, summary="Settle now")
async def create_settlement(
    body: SettleIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Put every captured payment into a batch, and pay the merchant on the next banking day.

    The batch is `settled` when its burns are final and the bank has the payout's order.
    """
    merchant = _whose(caller, body.merchant_id)
    if merchant is None:
        raise MerchantMissing
    chains: Mapping[str, Chain] = request.app.state.chains
    return await service.settle(db, merchant, chains, retry_payout=body.retry_payout)


@router.get("/settlements", summary="List settlements")
async def list_settlements(
    db: SessionDep, caller: PrincipalDep, page: PageDep, merchant_id: MerchantFilter = None
) -> dict[str, Any]:
    """Newest first; a merchant sees its own."""
    rows = await service.settlements(db, page, merchant=_whose(caller, merchant_id))
    return listing(page, rows)


@router.get("/settlements/{settlement_id}", summary="Read a settlement")
async def read_settlement(
    settlement_id: str, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The batch with its lines, burns and payout; `check` is computed from them on each call."""
    return await service.settlement_object(db, settlement_id, merchant=caller.merchant)


@router.get("/payouts", summary="List payouts")
async def list_payouts(
    db: SessionDep, caller: PrincipalDep, page: PageDep, merchant_id: MerchantFilter = None
) -> dict[str, Any]:
    """Newest first; a merchant sees its own."""
    rows = await service.payouts(db, page, merchant=_whose(caller, merchant_id))
    return listing(page, rows)


@router.get("/payouts/{payout_id}", summary="Read a payout")
async def read_payout(payout_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Its status follows the bank: sent when accepted, completed when booked."""
    return await service.payout(db, payout_id, merchant=caller.merchant)
