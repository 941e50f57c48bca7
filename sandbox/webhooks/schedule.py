"""When a failed delivery is tried again: the example schedule of Standard Webhooks 1.0.0. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DELAYS_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Before attempt 1, 2, …, 10: about 75 hours in all."""

MAX_RETRY_AFTER_S = 86_400
_JITTER_PERCENT = 10


def delay_ms(attempts: int, retry_after_s: int, randbelow: Callable[[int], int]) -> int | None:
    """Milliseconds from now to the next attempt after `attempts` ones, None when it was the last.

    Jitter only shortens (by up to a tenth), so an attempt is never later than the schedule says;
    a receiver's Retry-After is never undercut.
    """
    assert attempts >= 1
    if attempts >= len(DELAYS_S):
        return None
    whole = DELAYS_S[attempts] * 1_000
    jittered = whole - randbelow(whole * _JITTER_PERCENT // 100 + 1)
    return max(jittered, retry_after_s * 1_000)


def retry_after_s(value: str | None, now: datetime) -> int:
    """The seconds that a Retry-After header asks for (RFC 9110, section 10.2.3), 0 if none."""
    if value is None:
        return 0
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(int(value[:9]), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # an offset may have any number of digits
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, min(int((moment - now).total_seconds()), MAX_RETRY_AFTER_S))
