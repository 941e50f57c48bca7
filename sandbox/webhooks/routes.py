"""`/v1/webhook_endpoints`, `/v1/webhook_deliveries`, `/v1/events/resend` and the public keys."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import text
from sqlmodel import col, select

from sandbox.core import api_version
from sandbox.core.db import SessionDep
from sandbox.core.http import IdempotentRoute, PageDep, PrincipalDep, listing, show_once
from sandbox.core.http.answers import ListOf, answers
from sandbox.webhooks import deliveries as shown
from sandbox.webhooks import keys, resending, service, shapes
from sandbox.webhooks.egress import MAX_URL_LENGTH
from sandbox.webhooks.errors import ResendUnclear
from sandbox.webhooks.models import WebhookEndpoint
from sandbox.webhooks.resending import Span
from sandbox.webhooks.service import Ordering, Status, Wanted

router = APIRouter(route_class=IdempotentRoute, tags=["webhooks"])

MAX_TYPES = 50
MAX_NAMED = 100

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)]
Types = Annotated[
    list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=MAX_TYPES)
]
Version = Annotated[str, Field(max_length=32)]
Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
]


def _example(**members: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [members]})


class EndpointIn(BaseModel):
    """Where events go, and which: in full (`payment.final`), as a group (`payment.*`), or `*`.

    With `ordering` `per_object`, an event waits until those before it about the same object have
    arrived or were given up, an hour at most. `api_version` is pinned; without it, today's is.
    """

    model_config = _example(
        url="http://127.0.0.1:9000/hooks", types=["checkout.session.*", "payment.final"]
    )

    url: Url
    types: Types = ["*"]
    ordering: Ordering = "none"
    api_version: Version = api_version.LATEST


class EndpointChangeIn(BaseModel):
    """What is to be different; what is not named stays."""

    model_config = _example(types=["payment.*"], ordering="per_object", status="active")

    url: Url | None = None
    types: Types | None = None
    ordering: Ordering | None = None
    api_version: Version | None = None
    status: Status | None = None


class RotateIn(BaseModel):
    """For how many seconds of sandbox time both secrets sign; 0 ends the one before at once."""

    model_config = _example(overlap_s=3_600)

    overlap_s: Annotated[int, Field(ge=0, le=service.MAX_OVERLAP_S)] = 86_400


class ResendIn(BaseModel):
    """Events by id; or by type, by span of time [from, to) or by both; or sequences behind
    `after_sequence` up to `to_sequence`. With `endpoint` they go there only, whatever its types.
    """

    model_config = _example(**{"type": "payment.*", "from": "2026-11-20T06:00:00Z"})

    events: (
        Annotated[
            list[Annotated[str, Field(max_length=35)]], Field(min_length=1, max_length=MAX_NAMED)
        ]
        | None
    ) = None
    type: Annotated[str | None, Field(max_length=64)] = None
    since: Annotated[Moment | None, Field(alias="from")] = None
    until: Annotated[Moment | None, Field(alias="to")] = None
    after_sequence: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    to_sequence: Annotated[int | None, Field(ge=1, lt=2**63)] = None
    endpoint: Annotated[str | None, Field(max_length=35)] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        spans = (self.type, self.since, self.until)
        sequences = (self.after_sequence, self.to_sequence)
        ways = [
            self.events is not None,
            any(value is not None for value in spans),
            any(value is not None for value in sequences),
        ]
        if sum(ways) != 1:
            raise ResendUnclear("name events, or type and time, or sequences: one of the three")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ResendUnclear("`from` lies behind `to`")
        return self

    def span(self) -> Span:
        """What it asks for."""
        sequences = self.after_sequence, self.to_sequence
        return Span(self.events, self.type, self.since, self.until, *sequences)


@router.post("/v1/webhook_endpoints", status_code=201, summary="Register a webhook endpoint")
@answers(shapes.WebhookEndpointWithSecret)
async def create_endpoint(
    body: EndpointIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A new endpoint. Its `secret` is shown here and never again."""
    show_once(request, "secret")
    wanted = Wanted(body.url, body.types, body.ordering, body.api_version)
    row = await service.create_endpoint(
        db, caller.party, wanted, allow_loopback=request.app.state.webhook_allow_loopback
    )
    return service.endpoint_object(row, row.secret)


@router.get("/v1/webhook_endpoints", summary="List endpoints")
@answers(ListOf(shapes.WebhookEndpoint))
async def endpoints(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Endpoints, newest first, without their secrets."""
    found = select(WebhookEndpoint).where(col(WebhookEndpoint.status) != "deleted")
    if caller.merchant is not None:
        found = found.where(col(WebhookEndpoint.merchant) == caller.merchant)
    found = page.of(found, col(WebhookEndpoint.id))
    return listing(page, [service.endpoint_object(row) for row in await db.exec(found)])


@router.get("/v1/webhook_endpoints/{endpoint_id}", summary="Read an endpoint")
@answers(shapes.WebhookEndpoint)
async def endpoint(endpoint_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """One endpoint, without its secret."""
    return service.endpoint_object(await service.endpoint(db, endpoint_id, caller.merchant))


@router.post("/v1/webhook_endpoints/{endpoint_id}", summary="Change an endpoint")
@answers(shapes.WebhookEndpoint)
async def update_endpoint(
    endpoint_id: str,
    body: EndpointChangeIn,
    request: Request,
    db: SessionDep,
    caller: PrincipalDep,
) -> dict[str, Any]:
    """Another address, other types or another order; `status` disables it and enables it again.

    What waits goes to the new address. Of an endpoint that is disabled it is given up.
    """
    row = await service.update_endpoint(
        db,
        endpoint_id,
        caller.merchant,
        Wanted(body.url, body.types, body.ordering, body.api_version, body.status),
        allow_loopback=request.app.state.webhook_allow_loopback,
    )
    return service.endpoint_object(row)


@router.post("/v1/webhook_endpoints/{endpoint_id}/rotate_secret", summary="Give it a new secret")
@answers(shapes.WebhookEndpointWithSecret)
async def rotate_secret(
    endpoint_id: str, body: RotateIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A new `secret`, shown here and never again. Until the overlap ends every delivery bears a
    signature of each."""
    show_once(request, "secret")
    row = await service.rotate_secret(db, endpoint_id, caller.merchant, body.overlap_s)
    return service.endpoint_object(row, row.secret)


@router.delete("/v1/webhook_endpoints/{endpoint_id}", summary="Delete an endpoint")
@answers(shapes.DeletedEndpoint)
async def delete_endpoint(endpoint_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Send nothing there any more."""
    await service.delete_endpoint(db, endpoint_id, caller.merchant)
    return {"object": "webhook_endpoint", "id": endpoint_id, "deleted": True}


@router.get("/v1/webhook_deliveries", summary="List deliveries")
@answers(ListOf(shapes.Delivery))
async def deliveries(
    page: PageDep,
    db: SessionDep,
    caller: PrincipalDep,
    endpoint: Annotated[str | None, Query(max_length=35)] = None,
    event: Annotated[str | None, Query(max_length=35)] = None,
    status: Annotated[str | None, Query(max_length=16)] = None,
) -> dict[str, Any]:
    """Deliveries, newest first, with the last answer of the receiver."""
    filters = {"merchant": caller.merchant, "endpoint": endpoint, "event_id": event}
    chosen = {**filters, "status": status}
    condition, order, values = page.clause()
    for column, value in chosen.items():
        if value is not None:
            condition += f" AND {column} = :{column}"
            values[column] = value
    found = await db.execute(
        text(f"SELECT * FROM webhook_delivery WHERE true{condition}{order}"),  # noqa: S608 - SQL of our own, no input
        values,
    )
    return listing(page, [shown.delivery_object(row) for row in found])


@router.get("/v1/webhook_deliveries/{delivery_id}", summary="Read a delivery and its attempts")
@answers(shapes.DeliveryWithAttempts)
async def delivery(delivery_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """One delivery with `attempts_made`: each with its sandbox time, what was answered, and the
    wall milliseconds that took."""
    return await shown.delivery(db, delivery_id, caller.merchant)


@router.post("/v1/events/resend", status_code=201, tags=["events"], summary="Get events once more")
@answers(shapes.EventResend)
async def resend(body: ResendIn, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Queue events again, also from before an endpoint was made: at all endpoints whose types name
    them, and as `event: resend` on every open event stream; or at one endpoint.

    Each keeps its `webhook-id`, by which receivers drop repeats. At most 1,000 events at once.
    """
    return await resending.resend(db, caller.party, body.span(), body.endpoint)


@router.get("/.well-known/webhook-keys.json", summary="Public keys of webhook signatures")
@answers(shapes.WebhookKeys)
async def webhook_keys(request: Request) -> dict[str, Any]:
    """The keys of the `v1a` signatures, newest first; one signs until `retired_at`.

    Take them from here, never from a request that is to be verified.
    """
    return keys.public_document(request.app.state.settings.keys_dir)
