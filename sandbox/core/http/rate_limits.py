"""Rate limits, off until a party switches them on for itself to see how its client takes a 429.

A token bucket per key and process, by wall time: the sandbox clock may stand still. Headers as in
draft-ietf-httpapi-ratelimit-headers-10.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.core.errors import SandboxError

SWITCH = "/v1/sandbox/rate_limits"
"""Never limited: who closed the door too far must be able to open it."""
_MAX_KEYS = 10_000


class RateLimited(SandboxError):
    """The party set itself a limit, and this key is above it."""

    status, code = 429, "rate_limited"

    def __init__(self, limit: "Limit", wait_s: float) -> None:
        super().__init__(
            f"more than {limit.requests_per_s} requests a second, and {limit.burst} at once",
            retry_after_s=max(1, math.ceil(wait_s)),
            violated_policies=["key"],
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """How many requests a key has each second, and how many at once after a rest."""

    requests_per_s: int
    burst: int

    @property
    def policy(self) -> str:
        """The header `RateLimit-Policy`: the quota, and the seconds in which it is whole again."""
        return f'"key";q={self.burst};w={math.ceil(self.burst / self.requests_per_s)}'

    @property
    def seconds_to_one(self) -> int:
        """The longest that an empty bucket is without a request."""
        return math.ceil(1 / self.requests_per_s)


class Buckets:
    """What is left of the limits of each key, in this process."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._left: dict[str, tuple[Limit, float, float]] = {}

    def take(self, key: str, limit: Limit) -> str:
        """One request of `key`; answers the header `RateLimit`. Raises `RateLimited`."""
        now = self._now()
        known = self._left.pop(key, None)
        if known is None or known[0] != limit:
            left = float(limit.burst)
        else:
            left = min(limit.burst, known[1] + (now - known[2]) * limit.requests_per_s)
        enough = left >= 1
        left -= enough
        # The longest unused come first, and are let go: their buckets are full again.
        self._left[key] = limit, left, now
        if len(self._left) > _MAX_KEYS:
            del self._left[next(iter(self._left))]
        if not enough:
            raise RateLimited(limit, (1 - left) / limit.requests_per_s)
        full_in_s = math.ceil((limit.burst - left) / limit.requests_per_s)
        return f'"key";r={int(left)};t={full_in_s}'
