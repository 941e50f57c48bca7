"""`/v1/sandbox/rate_limits`: a party switches limits on for its own keys."""

from typing import Annotated, Any, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from sandbox.core.db import SessionDep
from sandbox.core.driver import Statement
from sandbox.core.http import shapes
from sandbox.core.http.answers import answers
from sandbox.core.http.auth import PrincipalDep
from sandbox.core.http.idempotency import IdempotentRoute
from sandbox.core.http.rate_limits import SWITCH

router = APIRouter(route_class=IdempotentRoute, tags=["requests"])

_SET = Statement(
    "INSERT INTO rate_limit (party, requests_per_s, burst) VALUES (:party, :rate, :burst)"
    " ON CONFLICT (party) DO UPDATE SET requests_per_s = excluded.requests_per_s,"
    " burst = excluded.burst"
)
_UNSET = Statement("DELETE FROM rate_limit WHERE party = :party")
_READ = Statement("SELECT requests_per_s, burst FROM rate_limit WHERE party = :party")


class RateLimitIn(BaseModel):
    """Requests a second for each key, and at once after a rest; null switches limits off."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"requests_per_s": 5, "burst": 10}]}
    )

    requests_per_s: Annotated[StrictInt, Field(ge=1, le=100_000)] | None
    burst: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = None

    @model_validator(mode="after")
    def _burst_needs_a_rate(self) -> Self:
        if self.requests_per_s is None and self.burst is not None:
            raise ValueError("a burst without requests_per_s limits nothing")
        return self


@router.get(SWITCH, summary="Read the rate limit")
@answers(shapes.RateLimit)
async def read_limit(db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """The limit that the caller's party set itself; null where there is none."""
    found = await _READ.fetch(db, {"party": caller.party})
    rate, burst = (found[0]["requests_per_s"], found[0]["burst"]) if found else (None, None)
    return {
        "object": "rate_limit",
        "party": caller.party,
        "requests_per_s": rate,
        "burst": burst,
    }


@router.post(SWITCH, summary="Switch the rate limit on or off")
@answers(shapes.RateLimit)
async def set_limit(body: RateLimitIn, db: SessionDep, caller: PrincipalDep) -> dict[str, Any]:
    """From the next request on, each key of the caller's party has this limit, by wall time.

    Above it a request is answered 429 with `Retry-After`; this address is never limited. Each API
    process counts on its own. `burst` is `requests_per_s` unless said otherwise.
    """
    if body.requests_per_s is None:
        await _UNSET.fetch(db, {"party": caller.party})
    else:
        values = {"party": caller.party, "rate": body.requests_per_s}
        await _SET.fetch(db, values | {"burst": body.burst or body.requests_per_s})
    return await read_limit(db, caller)
