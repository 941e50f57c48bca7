"""What a developer's webhook handler gets from `sandbox listen`, and how often."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from sandbox.cli.forwarding import Forwarder
from tests.cli.servers import Hooks, event, webhook_handler

SECRET = "whsec_N4CokQQ/QDS6pYznlLc8LqQR80UrCm5Ur71FXDMYAIs="


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with webhook_handler() as made:
        yield made


class Sender:
    def __init__(self, url: str, **options: bool) -> None:
        self.slept: list[float] = []
        self.forwarder = Forwarder(
            url, SECRET, {"X-Tenant": "aru"}, sleep=self.slept.append, **options
        )

    def __enter__(self) -> Forwarder:
        return self.forwarder

    def __exit__(self, *_: object) -> None:
        self.forwarder.close()


def test_a_refused_event_is_sent_again_until_it_is_taken(hooks: Hooks) -> None:
    hooks.answers = [(500, {}), (302, {"Location": hooks.url}), (404, {})]
    sender = Sender(hooks.url)
    with sender as forwarder:
        attempts = list(forwarder.deliver(event(1)))
    assert [one.status for one in attempts] == [500, 302, 404, 204]
    assert [one.number for one in attempts] == [1, 2, 3, 4]
    assert attempts[0].response_head == "no, not now"
    assert sender.slept == [0.5, 1.0, 2.0]
    assert {one.headers["webhook-id"] for one in hooks.got} == {f"e1_{event(1)['id']}"}


def test_a_receiver_that_is_down_is_waited_for_with_longer_and_longer_pauses() -> None:
    with webhook_handler() as gone:
        url = gone.url
    sender = Sender(url)
    with sender as forwarder:
        deliveries = forwarder.deliver(event(1))
        attempts = [next(deliveries) for _ in range(8)]
    assert {one.status for one in attempts} == {None}
    assert "ConnectError" in (attempts[0].error or "")
    assert sender.slept == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_a_receiver_says_when_to_come_again(hooks: Hooks) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=60)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    hooks.answers = [
        (429, {"Retry-After": "7"}),
        (503, {"Retry-After": soon}),
        (503, {"Retry-After": "99999999999"}),
        (503, {"Retry-After": "soon"}),
        (503, {"Retry-After": "Mon, 01 Jan 2026 00:00:00 +999999999999999999999"}),
    ]
    sender = Sender(hooks.url)
    with sender as forwarder:
        assert [one.status for one in forwarder.deliver(event(1))] == [429, 503, 503, 503, 503, 204]
    assert (sender.slept[0], sender.slept[2:]) == (7.0, [300.0, 4.0, 8.0])
    assert 50 < sender.slept[1] <= 60


def test_with_skip_refused_any_answer_ends_it(hooks: Hooks) -> None:
    hooks.answers = [(500, {})]
    with Sender(hooks.url, skip_refused=True) as forwarder:
        [attempt] = forwarder.deliver(event(1))
    assert (attempt.delivered, attempt.again_s) == (False, None)


def test_the_official_library_takes_what_is_forwarded(hooks: Hooks) -> None:
    with Sender(hooks.url) as forwarder:
        for number in (1, 2):
            assert [one.status for one in forwarder.deliver(event(number))] == [204]
    for number, delivery in enumerate(hooks.got, 1):
        said = Webhook(SECRET).verify(delivery.body, delivery.headers)
        assert said == {**event(number), "timestamp": event(number)["created"]}
        assert delivery.headers["x-tenant"] == "aru"
        assert delivery.headers["content-type"] == "application/json"
    # As the sandbox writes it: not one character more than needed.
    assert '"note":"шай"'.encode() in hooks.got[0].body
