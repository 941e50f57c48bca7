"""`/v1/checkout/sessions`, `/v1/payments`, `/v1/refunds`, `/v1/stray_transfers`."""

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StringConstraints
from sqlalchemy import select
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.core.db import SessionDep
from sandbox.core.errors import NotFound
from sandbox.core.http import IdempotentRoute, Page, PageDep, Principal, PrincipalDep, listing
from sandbox.core.http.answers import ListOf, answers
from sandbox.core.money import SessionTiyn
from sandbox.payments import refunding, rows, sessions, shapes, strays
from sandbox.payments.errors import StrayBurned
from sandbox.payments.incoming import is_storable
from sandbox.payments.models import CheckoutSession, Payment, Refund, StrayTransfer
from sandbox.payments.objects import (
    for_viewer,
    payment_object,
    refund_object,
    session_object,
    stray_object,
)

router = APIRouter(route_class=IdempotentRoute, tags=["checkout"])

DEFAULT_EXPIRES_IN_S = 900
MAX_EXPIRES_IN_S = 86_400
MAX_METADATA = 20


def _storable(value: str) -> str:
    """PostgreSQL holds every text but U+0000, and halves of characters, which JSON may carry."""
    if not is_storable(value):
        raise ValueError("must not contain U+0000 or an unpaired surrogate")
    return value


Text = Annotated[str, AfterValidator(_storable)]
Pairs = dict[
    Annotated[Text, StringConstraints(min_length=1, max_length=40)],
    Annotated[Text, StringConstraints(max_length=500)],
]


class SessionIn(BaseModel):
    """What a customer shall pay. Limits: CONTRACT 2."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"amount_tiyn": 250000, "description": "Two coffees", "client_reference_id": "1001"}
            ]
        },
    )

    amount_tiyn: SessionTiyn
    currency: Literal["KZT"] = "KZT"
    description: Annotated[Text, StringConstraints(max_length=500)] | None = None
    client_reference_id: Annotated[Text, StringConstraints(min_length=1, max_length=200)] | None = (
        None
    )
    metadata: Annotated[Pairs, Field(max_length=MAX_METADATA)] = Field(default_factory=dict)
    expires_in_s: Annotated[StrictInt, Field(ge=1, le=MAX_EXPIRES_IN_S)] = DEFAULT_EXPIRES_IN_S
    unique_reference: Annotated[
        bool, Field(strict=True, description="return the open session of this reference, if any")
    ] = False


class RefundIn(BaseModel):
    """How much of which payment goes back to the address it came from."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"payment": "pay_01m7y0v187b2meycwd50kt9pf3", "amount_tiyn": 50000}]
        },
    )

    payment: Annotated[Text, StringConstraints(max_length=64)]
    amount_tiyn: SessionTiyn
    reason: Annotated[Text, StringConstraints(max_length=500)] | None = None


class OtherStrays(Protocol):
    """Strays that another slice keeps; wiring hands it over as `app.state.other_strays`."""

    def listed(self, db: AsyncSession, page: Page) -> Awaitable[list[dict[str, Any]]]:
        """A page of them, in its order, one more than its limit."""

    def shown(self, db: AsyncSession, burn_id: str) -> Awaitable[dict[str, Any] | None]:
        """One of them, or None."""


class ResolutionIn(BaseModel):
    """Send the money back, or take it for the session it names."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"action": "refund"}]}
    )

    action: shapes.Action


def _base_url(request: Request) -> str:
    url: str = request.app.state.settings.base_url
    return url


def _shown(
    request: Request, caller: Principal, row: CheckoutSession, payments: Sequence[Payment]
) -> dict[str, Any]:
    url = f"{_base_url(request)}/pay/{row.id}"
    return for_viewer(session_object(row, payments, url=url), owner=caller.merchant is not None)


@router.post("/v1/checkout/sessions", status_code=201, summary="Create a checkout session")
@answers(shapes.CheckoutSession)
async def create_session(
    body: SessionIn, request: Request, response: Response, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A new session, payable at `url` or by any of its `options`.

    With `unique_reference`, an open session with the same `client_reference_id` and amount is
    returned with 200 instead of making a second one.
    """
    if body.unique_reference and body.client_reference_id is not None:
        same = await sessions.same_reference(
            db, caller.party, body.client_reference_id, body.amount_tiyn
        )
        if same is not None:
            response.status_code = 200
            payments = await sessions.payments_of(db, [same.id])
            return _shown(request, caller, same, payments[same.id])
    row = await sessions.create(
        db,
        request.app.state.chains,
        base_url=_base_url(request),
        merchant=caller.party,
        **body.model_dump(exclude={"unique_reference"}),
    )
    return _shown(request, caller, row, [])


@router.get("/v1/checkout/sessions", summary="List sessions")
@answers(ListOf(shapes.CheckoutSession))
async def list_sessions(
    page: PageDep, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Sessions with their payments, newest first."""
    found = await _page(db, CheckoutSession, page, caller.merchant)
    payments = await sessions.payments_of(db, [row.id for row in found])
    return listing(page, [_shown(request, caller, row, payments[row.id]) for row in found])


@router.get("/v1/checkout/sessions/{session_id}", summary="Read a session")
@answers(shapes.CheckoutSession)
async def get_session(
    session_id: str, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """One session; somebody else's is not found."""
    row, payments = await sessions.one(db, session_id, caller.merchant)
    return _shown(request, caller, row, payments)


@router.post("/v1/checkout/sessions/{session_id}/cancel", summary="Cancel a session")
@answers(shapes.CheckoutSession)
async def cancel_session(
    session_id: str, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Cancel an open session; money that came in part, or comes later, is on the stray desk."""
    row, payments = await sessions.cancel(db, session_id, caller.party)
    return _shown(request, caller, row, payments)


@router.get("/v1/payments", summary="List payments")
@answers(ListOf(shapes.Payment))
async def list_payments(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Payments, newest first."""
    found = await _page(db, Payment, page, caller.merchant)
    return listing(page, [payment_object(row) for row in found])


@router.get("/v1/payments/{payment_id}", summary="Read a payment")
@answers(shapes.Payment)
async def get_payment(payment_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """One payment; somebody else's is not found."""
    return payment_object(await _one(db, Payment, "payment", payment_id, caller.merchant))


@router.post("/v1/refunds", status_code=201, summary="Refund a payment")
@answers(shapes.Refund)
async def create_refund(body: RefundIn, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Refund part or all of a captured payment that is in no settlement yet."""
    row = await refunding.refund_payment(
        db,
        merchant=caller.party,
        payment_id=body.payment,
        amount_tiyn=body.amount_tiyn,
        reason=body.reason,
    )
    return refund_object(row)


@router.get("/v1/refunds", summary="List refunds")
@answers(ListOf(shapes.Refund))
async def list_refunds(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Refunds, newest first."""
    found = await _page(db, Refund, page, caller.merchant)
    return listing(page, [refund_object(row) for row in found])


@router.get("/v1/refunds/{refund_id}", summary="Read a refund")
@answers(shapes.Refund)
async def get_refund(refund_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """One refund; somebody else's is not found."""
    return refund_object(await _one(db, Refund, "refund", refund_id, caller.merchant))


@router.get("/v1/stray_transfers", summary="List stray transfers")
@answers(ListOf(shapes.AnyStray))
async def list_strays(
    page: PageDep, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Stray transfers, newest first; a merchant sees those of its own sessions.

    What a holder burned itself proposes `holder_burn`, and is paid by
    `POST /v1/reserve/burns/{id}/redeem`.
    """
    found = [stray_object(row) for row in await _page(db, StrayTransfer, page, caller.merchant)]
    others = _others(request)
    if caller.merchant is None and others is not None:
        found += await others.listed(db, page)
        found.sort(key=lambda one: str(one["id"]), reverse=page.ending_before is None)
    return listing(page, found)


@router.get("/v1/stray_transfers/{stray_id}", summary="Read a stray transfer")
@answers(shapes.AnyStray)
async def get_stray(
    stray_id: str, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """One stray transfer; somebody else's is not found."""
    if (other := await _other(request, db, caller, stray_id)) is not None:
        return other
    row = await _one(db, StrayTransfer, "stray_transfer", stray_id, caller.merchant)
    return stray_object(row)


@router.post("/v1/stray_transfers/{stray_id}/resolve", summary="Decide a stray transfer")
@answers(shapes.StrayTransfer)
async def resolve_stray(
    stray_id: str, body: ResolutionIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """Send a stray transfer back (it is resolved when that is final), or accept it at once."""
    if (other := await _other(request, db, caller, stray_id)) is not None:
        raise StrayBurned(stray_id, str(other["source"]))
    row = await strays.resolve(db, stray_id, body.action, merchant=caller.merchant)
    return stray_object(row)


def _others(request: Request) -> OtherStrays | None:
    found: OtherStrays | None = getattr(request.app.state, "other_strays", None)
    return found


async def _other(
    request: Request, db: AsyncSession, caller: Principal, stray_id: str
) -> dict[str, Any] | None:
    others = _others(request)
    if caller.merchant is not None or others is None:
        return None
    return await others.shown(db, stray_id)


async def _one(
    db: AsyncSession, model: type[rows.Row], kind: str, id_: str, merchant: str | None
) -> rows.Row:
    column = rows.table(model).c
    where = column.id == id_
    if merchant is not None:
        where &= column.merchant == merchant
    found = await rows.fetch(db, model, where)
    if not found:
        raise NotFound(kind, id_)
    return found[0]


async def _page(
    db: AsyncSession, model: type[rows.Row], page: Page, merchant: str | None
) -> list[rows.Row]:
    column = rows.table(model).c
    found = select(rows.table(model))
    if merchant is not None:
        found = found.where(column.merchant == merchant)
    found = page.of(found, column.id)
    return [rows.copy(model, row) for row in await db.execute(found)]
