"""What the API and the log show of webhook endpoints and deliveries."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from sandbox.core.shapes import (
    Day,
    DeliveryId,
    EndpointId,
    EventId,
    Time,
    id_of,
    states,
)
from sandbox.webhooks import models

ResendId = Annotated[str, id_of("rs")]


class WebhookEndpoint(TypedDict):
    """Where a merchant wants its events."""

    object: Literal["webhook_endpoint"]
    id: EndpointId
    url: str
    types: list[str]
    ordering: Annotated[str, states(models.WebhookEndpoint, "ordering")]
    api_version: Day
    status: Annotated[str, states(models.WebhookEndpoint, "status")]
    status_reason: str | None
    previous_secret_until: Time | None
    created_at: Time


class WebhookEndpointWithSecret(WebhookEndpoint):
    """An endpoint as the one answer shows it that made its secret."""

    secret: str | None


class DeletedEndpoint(TypedDict):
    """Nothing is sent there any more."""

    object: Literal["webhook_endpoint"]
    id: EndpointId
    deleted: Literal[True]


class Delivery(TypedDict):
    """One event on its way to one endpoint."""

    object: Literal["webhook_delivery"]
    id: DeliveryId
    endpoint: EndpointId
    event: EventId
    webhook_id: str
    status: Annotated[str, states(models.WebhookDelivery, "status")]
    attempts: int
    next_attempt_at: Time | None
    last_attempt_at: Time | None
    last_status: int | None
    last_error: str | None
    response_head: str | None
    ordered_by: str | None
    out_of_order: bool
    resend: ResendId | None
    created_at: Time


class DeliveryAttempt(TypedDict):
    """One attempt, and what came of it."""

    number: int
    at: Time
    status: int | None
    error: str | None
    duration_ms: int
    response_head: str | None


class DeliveryWithAttempts(Delivery):
    """A delivery with each attempt, oldest first."""

    attempts_made: list[DeliveryAttempt]


class EventResend(TypedDict):
    """Events that were queued again."""

    object: Literal["event_resend"]
    id: ResendId
    endpoint: EndpointId | None
    events: int
    deliveries: int
    created_at: Time


class WebhookKey(TypedDict):
    """A public key that deliveries are signed with."""

    id: Annotated[str, id_of("whk")]
    scheme: Literal["v1a"]
    type: Literal["ed25519"]
    public_key: Annotated[str, id_of("whpk")]
    created_at: Time
    retired_at: Time | None


class WebhookKeys(TypedDict):
    """Every public key there was, newest first."""

    object: Literal["webhook_keys"]
    keys: list[WebhookKey]
