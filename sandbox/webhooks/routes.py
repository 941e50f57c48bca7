"""`/v1/webhook_endpoints` and `/v1/webhook_deliveries`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlmodel import col, select

from sandbox.core.db import SessionDep
from sandbox.core.http import IdempotentRoute, PageDep, PrincipalDep, listing, show_once
from sandbox.webhooks import service
from sandbox.webhooks.egress import MAX_URL_LENGTH
from sandbox.webhooks.models import WebhookEndpoint

router = APIRouter(route_class=IdempotentRoute, tags=["webhooks"])

MAX_TYPES = 50


class EndpointIn(BaseModel):
    """Where events go, and which: in full (`payment.final`), as a group (`payment.*`), or `*`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "url": "http://127.0.0.1:9000/hooks",
                    "types": ["checkout.session.*", "payment.final"],
                }
            ]
        },
    )

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)]
    types: Annotated[
        list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=MAX_TYPES)
    ] = ["*"]


@router.post("/v1/webhook_endpoints", status_code=201, summary="Register a webhook endpoint")
async def create_endpoint(
    body: EndpointIn, request: Request, db: SessionDep, caller: PrincipalDep
) -> dict[str, Any]:
    """A new endpoint. Its `secret` is shown here and never again."""
    show_once(request, "secret")
    row = await service.create_endpoint(
        db,
        caller.party,
        body.url,
        body.types,
        allow_loopback=request.app.state.webhook_allow_loopback,
    )
    return service.endpoint_object(row, row.secret)


@router.get("/v1/webhook_endpoints", summary="List endpoints")
async def endpoints(page: PageDep, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Endpoints, newest first, without their secrets."""
    found = select(WebhookEndpoint).where(col(WebhookEndpoint.status) != "deleted")
    if caller.merchant is not None:
        found = found.where(col(WebhookEndpoint.merchant) == caller.merchant)
    found = page.of(found, col(WebhookEndpoint.id))
    return listing(page, [service.endpoint_object(row) for row in await db.exec(found)])


@router.get("/v1/webhook_endpoints/{endpoint_id}", summary="Read an endpoint")
async def endpoint(endpoint_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """One endpoint, without its secret."""
    return service.endpoint_object(await service.endpoint(db, endpoint_id, caller.merchant))


@router.delete("/v1/webhook_endpoints/{endpoint_id}", summary="Delete an endpoint")
async def delete_endpoint(endpoint_id: str, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """Send nothing there any more."""
    await service.delete_endpoint(db, endpoint_id, caller.merchant)
    return {"object": "webhook_endpoint", "id": endpoint_id, "deleted": True}


@router.get("/v1/webhook_deliveries", summary="List deliveries")
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
    return listing(page, [service.delivery_object(row) for row in found])
