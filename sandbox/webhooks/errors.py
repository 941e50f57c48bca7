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
