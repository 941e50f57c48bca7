"""`/v1/merchants`."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt
from sqlmodel import col, select

from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import IdempotentRoute, PageDep, PrincipalDep, listing
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.money import BPS_PER_WHOLE, MAX_SESSION_TIYN
from sandbox.parties import plans, service, shapes, signs
from sandbox.parties.errors import NotYours
from sandbox.parties.models import Merchant

router = APIRouter(route_class=IdempotentRoute, tags=["parties"])


class MerchantIn(BaseModel):
    """Who the merchant is, where its tenge goes, and its fee."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "Book shop", "bin": "260340001239", "iban": "KZ88601A000000000042"}
            ]
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=140)]
    bin: Annotated[str, Field(description="BIN, or the IIN of a sole proprietor")]
    iban: Annotated[str, Field(max_length=40)]
    knp: Annotated[str, Field(pattern=r"^[0-9]{3}$", description="purpose of its payouts")] = "859"
    kbe: Annotated[str, Field(pattern=r"^[12][1-9]$", description="residency and sector")] = "17"
    fee_bps: Annotated[StrictInt, Field(ge=0, le=BPS_PER_WHOLE)] = service.DEFAULT_FEE_BPS
    confirm_policy: service.ConfirmPolicy = "confirmed"
    category: signs.Category = service.DEFAULT_CATEGORY
    district: signs.District | None = None
    zone: Annotated[bool, Field(strict=True, description="in the pilot zone")] = False
    languages: Annotated[signs.Languages, Field(default_factory=lambda: ["kk", "ru"])]
    cut_off: signs.CutOff = service.DEFAULT_CUT_OFF
    schedule: signs.Schedule = "each_business_day"
    status: Literal["unverified", "active"] = "active"


def _describe_change(schema: dict[str, Any]) -> None:
    """What is left out stays as it is: nothing has a default that a client might fill in."""
    schema["examples"] = [{"iban": "KZ88601A000000000042"}]
    for member in schema["properties"].values():
        member.pop("default", None)


class MerchantChangeIn(BaseModel):
    """What to change; what is left out stays. Category, district and zone are the operator's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_describe_change)

    iban: Annotated[str, Field(max_length=40)] = ""
    knp: Annotated[str, Field(pattern=r"^[0-9]{3}$")] = ""
    kbe: Annotated[str, Field(pattern=r"^[12][1-9]$")] = ""
    confirm_policy: service.ConfirmPolicy = "confirmed"
    languages: Annotated[signs.Languages, Field(default_factory=list)]
    cut_off: signs.CutOff = service.DEFAULT_CUT_OFF
    schedule: signs.Schedule = "each_business_day"
    category: signs.Category = service.DEFAULT_CATEGORY
    district: signs.District | None = None
    zone: Annotated[bool, Field(strict=True)] = False


_OPERATORS = {"category", "district", "zone"}


class StatusIn(BaseModel):
    """The status to set. The reason is kept out of the log's leaf."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"status": "suspended", "reason": "fraud"}]}
    )

    status: Literal["active", "suspended", "closed"]
    reason: Annotated[str, Field(max_length=500)] | None = None


class FeePlanIn(BaseModel):
    """A share in basis points and a fixed part, at least the minimum; amounts include VAT.

    A refund gives back its share only: the fixed part and the minimum stay due, up to the payment.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"fee_bps": 80, "fixed_tiyn": 500, "minimum_tiyn": 1000}]},
    )

    fee_bps: Annotated[StrictInt, Field(ge=0, le=BPS_PER_WHOLE)]
    fixed_tiyn: Annotated[StrictInt, Field(ge=0, le=MAX_SESSION_TIYN)] = 0
    minimum_tiyn: Annotated[StrictInt, Field(ge=0, le=MAX_SESSION_TIYN)] = 0
    from_at: Annotated[AwareDatetime, Field(description="not before this moment")] | None = None


@router.post("/v1/merchants", status_code=201, summary="Create a merchant")
@answers(shapes.Merchant)
async def create_merchant(body: MerchantIn, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """A new merchant; its keys come from `POST /v1/api_keys`."""
    row = await service.create_merchant(
        db,
        name=body.name,
        tax_number=body.bin,
        account_iban=body.iban,
        knp=body.knp,
        kbe=body.kbe,
        fee_bps=body.fee_bps,
        confirm_policy=body.confirm_policy,
        category=body.category,
        district=body.district,
        zone=body.zone,
        languages=body.languages,
        cut_off=body.cut_off,
        schedule=body.schedule,
        status=body.status,
    )
    return service.merchant_object(row)


@router.get("/v1/merchants", summary="List merchants")
@answers(ListOf(shapes.Merchant))
async def merchants(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Merchants, newest first; a merchant sees itself."""
    found = select(Merchant)
    if caller.merchant is not None:
        found = found.where(col(Merchant.id) == caller.merchant)
    found = page.of(found, col(Merchant.id))
    return listing(page, [service.merchant_object(row) for row in await db.exec(found)])


@router.get("/v1/merchants/{merchant_id}", summary="Read a merchant")
@answers(shapes.Merchant)
async def get_merchant(merchant_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """One merchant; somebody else's is not found.

    `fee_bps` is what it signed up with: what is in force now stands in its fee plans.
    """
    if caller.merchant not in (None, merchant_id):
        raise NotFound("merchant", merchant_id)
    return service.merchant_object(await service.merchant(db, merchant_id))


@router.post("/v1/merchants/{merchant_id}", summary="Change a merchant")
@answers(shapes.Merchant)
async def change_merchant(
    merchant_id: str, body: MerchantChangeIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Account, languages, policy and cut-off, by the merchant itself or the operator.

    A new IBAN ends the hold that a returned payout put on payouts to the old one.
    """
    if caller.merchant not in (None, merchant_id):
        raise NotFound("merchant", merchant_id)
    changes = {name: getattr(body, name) for name in sorted(body.model_fields_set)}
    foreign = sorted(_OPERATORS & changes.keys())
    if caller.merchant is not None and foreign:
        raise NotYours(foreign)
    return service.merchant_object(await service.update_merchant(db, merchant_id, changes))


@router.post("/v1/merchants/{merchant_id}/status", summary="Verify, suspend or close a merchant")
@answers(shapes.Merchant)
async def set_status(
    merchant_id: str, body: StatusIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Suspended: no new sessions, money is carried. Closed: for good, with a last settlement.

    Refunds stay possible in every status. Who is not verified yet sells, and is not paid out.
    """
    return service.merchant_object(
        await service.set_status(db, merchant_id, body.status, body.reason)
    )


@router.get("/v1/merchants/{merchant_id}/fee_plans", summary="List a merchant's fee plans")
@answers(ListOf(shapes.FeePlan))
async def fee_plans(merchant_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Every version, newest first: what is in force, and what waits for consent."""
    if caller.merchant not in (None, merchant_id):
        raise NotFound("merchant", merchant_id)
    await service.merchant(db, merchant_id)
    rows = [plans.plan_object(row) for row in await plans.plans_of(db, merchant_id)]
    return {"object": "list", "data": rows, "has_more": False}


@router.post("/v1/merchants/{merchant_id}/fee_plans", status_code=201, summary="Offer a fee plan")
@answers(shapes.FeePlan)
async def offer_plan(
    merchant_id: str, body: FeePlanIn, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A new version of the fee; nothing changes before the merchant consents."""
    row = await plans.offer(
        db,
        merchant_id,
        fee_bps=body.fee_bps,
        fixed_tiyn=body.fixed_tiyn,
        minimum_tiyn=body.minimum_tiyn,
        from_at=body.from_at,
    )
    return plans.plan_object(row)


@router.post(
    "/v1/merchants/{merchant_id}/fee_plans/{version}/consent", summary="Consent to a fee plan"
)
@answers(shapes.FeePlan)
async def consent_to_plan(
    merchant_id: str, version: int, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """From now on, or from the plan's `from_at`, captures have this fee; earlier ones keep theirs.

    Only the newest version can be consented to.
    """
    if caller.merchant != merchant_id:
        raise NotFound("merchant", merchant_id)
    return plans.plan_object(await plans.consent(db, merchant_id, version))
