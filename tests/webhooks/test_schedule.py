from datetime import UTC, datetime

import pytest

from sandbox.webhooks.schedule import DELAYS_S, delay_ms, retry_after_s

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def test_there_is_no_eleventh_attempt() -> None:
    assert delay_ms(10, 0, lambda below: 0) is None
    assert delay_ms(10, 3_600, lambda below: 0) is None


def test_attempts_follow_the_published_schedule_and_are_never_later() -> None:
    latest = [delay_ms(attempts, 0, lambda below: 0) for attempts in range(1, 10)]
    assert latest == [delay * 1_000 for delay in DELAYS_S[1:]]
    assert sum(DELAYS_S) == 272_105
    earliest = [delay_ms(attempts, 0, lambda below: below - 1) for attempts in range(1, 10)]
    assert earliest == [delay * 900 for delay in DELAYS_S[1:]]


def test_a_receivers_retry_after_is_never_undercut() -> None:
    assert delay_ms(1, 120, lambda below: below - 1) == 120_000
    assert delay_ms(2, 120, lambda below: 0) == 300_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("Mon, 01 Jan 2026 00:00:00 +999999999999999999999", 0),
        ("120", 120),
        ("999999999999999", 86_400),
        ("Fri, 20 Nov 2026 10:02:00 GMT", 120),
        ("Fri, 20 Nov 2026 09:00:00 GMT", 0),
        ("Fri, 20 Nov 2099 09:00:00 GMT", 86_400),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: int) -> None:
    assert retry_after_s(value, NOW) == seconds
