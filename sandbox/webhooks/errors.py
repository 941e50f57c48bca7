"""Refusals of webhooks."""

from sandbox.core.errors import SandboxError


class WebhookUrlRefused(SandboxError):
    """The sandbox does not send anything there."""

    status, code = 422, "webhook_url_refused"
    fields = ("url",)

    def __init__(self, reason: str) -> None:
        super().__init__(f"webhooks do not go there: {reason}")


class TooManyEndpoints(SandboxError):
    """A merchant has as many endpoints as it may."""

    status, code = 409, "too_many_webhook_endpoints"

    def __init__(self, limit: int) -> None:
        super().__init__(f"a merchant has at most {limit} webhook endpoints", limit=limit)


class EndpointNotActive(SandboxError):
    """Nothing is sent to a disabled endpoint: enable it first."""

    status, code = 409, "webhook_endpoint_disabled"

    def __init__(self, endpoint: str) -> None:
        super().__init__("enable the endpoint, then ask again", endpoint=endpoint)


class ResendUnclear(SandboxError):
    """A resend names events, or types and a span of time, or a span of sequences: one of them."""

    status, code = 422, "resend_unclear"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class TooManyEvents(SandboxError):
    """One resend is bounded: a wider span is asked for in parts."""

    status, code = 422, "too_many_events"

    def __init__(self, limit: int) -> None:
        super().__init__(f"one resend takes at most {limit} events: ask in parts", limit=limit)
