"""Deliveries over TLS to real receivers, whose certificates are right or are not."""

import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from sandbox.core.db import Database
from sandbox.webhooks import sending
from sandbox.webhooks.jobs import Courier
from tests.webhooks.authority import DAY, Authority
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_delivery import carry

HERE = "127.0.0.1"
STRANGER, IMPOSTOR = Authority("Somebody"), Authority("The one")


@pytest.fixture
def authority() -> Authority:
    return Authority("The one")


@pytest.fixture
async def trusting(database: Database, authority: Authority) -> AsyncIterator[Courier]:
    """A courier that trusts the test's authority and no other."""
    http = sending.client(allow_loopback=True, tls=authority.trusted())
    courier = Courier(database, "test", allow_loopback=True, http=http)
    yield courier
    await courier.close()


async def delivered(world: World, courier: Courier, url: str) -> tuple[str, str | None]:
    """What came of the first attempt: the delivery's status and the error of the attempt."""
    await world.endpoint(url)
    await world.facts(1)
    assert await carry(courier) == 1
    [row] = await world.rows("SELECT status, last_error, last_status FROM webhook_delivery")
    assert (row.last_status is None) == (row.last_error is not None)
    return row.status, row.last_error


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (lambda ours: STRANGER.receiver(HERE), "unable to get local issuer certificate"),
        (
            lambda ours: STRANGER.receiver(HERE, shown=[STRANGER]),
            "self-signed certificate in certificate chain",
        ),
        (lambda ours: IMPOSTOR.receiver(HERE), "certificate signature failure"),
        (lambda ours: ours.receiver(HERE, ends=-timedelta(seconds=1)), "certificate has expired"),
        (lambda ours: ours.receiver(HERE, begins=DAY, ends=2 * DAY), "is not yet valid"),
        (lambda ours: ours.receiver("shop.example"), "not valid for '127.0.0.1'"),
        (lambda ours: ours.receiver("127.0.0.2"), "not valid for '127.0.0.1'"),
    ],
    ids=["nobody's", "a stranger's", "forged", "expired", "early", "a name's", "another's"],
)
async def test_a_receiver_with_a_wrong_certificate_is_told_nothing_and_tried_again(
    world: World,
    trusting: Courier,
    authority: Authority,
    certificate: Callable[[Authority], ssl.SSLContext],
    reason: str,
) -> None:
    async with Receiver(tls=certificate(authority)) as receiver:
        status, error = await delivered(world, trusting, receiver.url)
    assert status == "pending"
    assert error is not None
    assert "CERTIFICATE_VERIFY_FAILED" in error
    assert reason in error
    assert receiver.received == []


async def test_a_name_is_what_its_certificate_must_be_for_not_the_address_behind_it(
    world: World, trusting: Courier, authority: Authority
) -> None:
    async with Receiver(tls=authority.receiver(HERE)) as receiver:
        named = receiver.url.replace(HERE, "localhost")
        status, error = await delivered(world, trusting, named)
    assert status == "pending"
    assert error is not None
    assert "Hostname mismatch" in error
    assert receiver.received == []


@pytest.mark.parametrize("host", [HERE, "localhost"])
async def test_a_receiver_whose_certificate_is_right_gets_its_webhooks(
    world: World, trusting: Courier, authority: Authority, host: str
) -> None:
    async with Receiver(tls=authority.receiver(host)) as receiver:
        found = await delivered(world, trusting, receiver.url.replace(HERE, host))
        assert found == ("delivered", None)
        await world.facts(1)
        assert await carry(trusting) == 1
    assert len(receiver.received) == 2


async def test_by_default_nobody_is_trusted_but_whom_browsers_trust(
    world: World, courier: Courier, authority: Authority
) -> None:
    async with Receiver(tls=authority.receiver(HERE, shown=[authority])) as receiver:
        status, error = await delivered(world, courier, receiver.url)
    assert (status, receiver.received) == ("pending", [])
    assert error is not None
    assert "CERTIFICATE_VERIFY_FAILED" in error
