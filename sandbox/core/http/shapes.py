"""What the API shows of requests, and of what is kept of them."""

from typing import Annotated, Any, Literal

from typing_extensions import TypedDict

from sandbox.core.http.roles import Role
from sandbox.core.shapes import Day, RequestId, Sha256, Time, one_of


class LoggedRequest(TypedDict):
    """A request that was answered."""

    object: Literal["request_log"]
    id: RequestId
    method: str
    path: str
    query: str
    status: int
    code: str | None
    duration_ms: int
    role: Annotated[str, one_of(Role)]
    api_key: str | None
    api_version: Day
    idempotency_key: str | None
    replayed: bool
    created_at: Time


class LoggedRequestWithBodies(LoggedRequest):
    """A request with what was sent and answered: JSON as JSON, anything else as text."""

    request_body: Any
    response_body: Any


class RateLimit(TypedDict):
    """The limit that a party set itself; null where there is none."""

    object: Literal["rate_limit"]
    party: str | None
    requests_per_s: int | None
    burst: int | None


class KeptAnswer(TypedDict):
    """A request whose answer is kept."""

    method: Literal["POST"]
    path: str
    fingerprint: Sha256
    status: int
    code: str | None
    request_id: RequestId
    request_log_url: str
    created_at: Time
    age_s: int
    expires_at: Time
    expired: bool


class StoredIdempotencyKey(TypedDict):
    """Every request that an Idempotency-Key was kept for, newest first."""

    object: Literal["idempotency_key"]
    key: str
    canonical: str
    uses: list[KeptAnswer]


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """Whether everything it needs answers."""

    ready: bool
    not_ready: list[str]
