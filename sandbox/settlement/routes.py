"""`/v1/settlements` and `/v1/payouts` (CONTRACT 8)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from sandbox.chains.port import Chain
from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import IdempotentRoute, PageDep, Principal, PrincipalDep, listing
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.money import BPS_PER_WHOLE, MAX_DEPOSIT_TIYN
from sandbox.parties import service as parties
from sandbox.parties import shapes as parties_shapes
from sandbox.settlement import making, printing, reporting, service, shapes, terms
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


class TermsIn(BaseModel):
    """How the merchant is settled from its next batch on; what is left out is none."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"mode": "payout", "refund_reserve_tiyn": 500000}]},
    )

    mode: terms.Mode = Field(
        description="payout: all in tenge; hold: tokens to the wallets; split: both"
    )
    split_bps: Annotated[
        StrictInt | None,
        Field(ge=1, lt=BPS_PER_WHOLE, description="of a split, the share paid out in tenge"),
    ] = None
    wallets: dict[
        Annotated[str, Field(max_length=32)], Annotated[str, Field(min_length=1, max_length=128)]
    ] = Field(default_factory=dict, max_length=16, description="chain → the merchant's address")
    refund_reserve_tiyn: Annotated[
        StrictInt,
        Field(ge=0, le=MAX_DEPOSIT_TIYN, description="kept on each chain for later refunds"),
    ] = 0


def _whose(caller: Principal, asked: str | None) -> str | None:
    """The merchant whose objects are meant; None: everybody's."""
    if caller.merchant is None:
        return asked
    if asked is not None and asked != caller.merchant:
        raise NotFound("merchant", asked)
    return caller.merchant


@router.post("/settlements", status_code=201, summary="Settle now")
@answers(shapes.Settlement)
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
    return await making.settle(db, merchant, chains, retry_payout=body.retry_payout)


@router.get("/settlements", summary="List settlements")
@answers(ListOf(shapes.Settlement))
async def list_settlements(
    db: SessionDep, caller: PrincipalDep, page: PageDep, merchant_id: MerchantFilter = None
) -> dict[str, Any]:
    """Newest first; a merchant sees its own."""
    rows = await service.settlements(db, page, merchant=_whose(caller, merchant_id))
    return listing(page, rows)


@router.get("/settlements/{settlement_id}", summary="Read a settlement")
@answers(shapes.Settlement)
async def read_settlement(
    settlement_id: str, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """The batch with its lines, burns and payout; `check` is computed from them on each call."""
    return await service.settlement_object(db, settlement_id, merchant=caller.merchant)


Format = Literal["json", "csv", "html"]


def _format(asked: Format | None, accept: str | None) -> Format:
    """What to answer: `format` when given, else the first of ours that Accept names."""
    if asked is not None:
        return asked
    ours: dict[str, Format] = {"application/json": "json", "text/csv": "csv", "text/html": "html"}
    for one in (accept or "").split(","):
        found = ours.get(one.partition(";")[0].strip().lower())
        if found is not None:
            return found
    return "json"


@router.get(
    "/settlements/{settlement_id}/report", summary="A settlement's report", response_model=None
)
@answers(shapes.SettlementReport)
async def read_report(
    settlement_id: str,
    db: SessionDep,
    caller: PrincipalDep,
    asked: Annotated[Format | None, Query(alias="format")] = None,
    with_proofs: Annotated[
        bool, Query(alias="proofs", description="JSON only: with leaves and proofs, to verify")
    ] = False,
    accept: Annotated[str | None, Header(max_length=400)] = None,
) -> Response:
    """Every line with its payment, transaction, ledger entry and log position, and the check line.

    As JSON, CSV or a page to print, by `format` or `Accept`. `sandbox settlement verify` checks
    the JSON with proofs offline.
    """
    form = _format(asked, accept)
    made = await reporting.settlement_report(
        db, settlement_id, merchant=caller.merchant, with_proofs=with_proofs and form == "json"
    )
    if form == "json":
        return JSONResponse(made)
    file = {"Content-Disposition": f'inline; filename="{settlement_id}.{form}"'}
    if form == "csv":
        return Response(printing.as_csv(made), media_type="text/csv", headers=file)
    owner = None if caller.merchant is None else await parties.merchant(db, caller.merchant)
    page = printing.as_html(
        made,
        name=None if owner is None else owner.name,
        tax_number=None if owner is None else owner.bin,
    )
    return HTMLResponse(page, headers=file)


@router.get("/payouts", summary="List payouts")
@answers(ListOf(shapes.Payout))
async def list_payouts(
    db: SessionDep, caller: PrincipalDep, page: PageDep, merchant_id: MerchantFilter = None
) -> dict[str, Any]:
    """Newest first; a merchant sees its own."""
    rows = await service.payouts(db, page, merchant=_whose(caller, merchant_id))
    return listing(page, rows)


@router.get("/payouts/{payout_id}", summary="Read a payout")
@answers(shapes.Payout)
async def read_payout(payout_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Its status follows the bank: sent when accepted, completed when booked."""
    return await service.payout(db, payout_id, merchant=caller.merchant)


@router.post("/merchants/{merchant_id}/settlement_terms", summary="Choose how to be settled")
@answers(parties_shapes.Merchant)
async def choose_terms(
    merchant_id: str, body: TermsIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Mode, wallets and refund reserve, as a whole; batches that exist keep theirs.

    The fee is burned in every mode. A chain without a wallet is paid out in tenge. A batch keeps
    at most half of a chain's net until the refund reserve there is full, and gives back what is
    too much.
    """
    if caller.merchant not in (None, merchant_id):
        raise NotFound("merchant", merchant_id)
    row = await terms.choose(
        db,
        merchant_id,
        request.app.state.chains,
        mode=body.mode,
        split_bps=body.split_bps,
        wallets=body.wallets,
        refund_reserve_tiyn=body.refund_reserve_tiyn,
    )
    return parties.merchant_object(row)
