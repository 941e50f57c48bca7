"""The shop against a real sandbox: each test begins in the same world."""

import pytest
from shop import Shop

from merchants.pytest_sandbox import Clock, Sandbox, Wallets


@pytest.fixture
def shop(sandbox: Sandbox) -> Shop:
    made = Shop(sandbox.merchant, sandbox.webhooks.secret)
    sandbox.webhooks.deliver_to(made.webhook)
    return made


def test_goods_are_handed_over_when_the_webhook_says_paid(
    shop: Shop, sandbox: Sandbox, wallets: Wallets
) -> None:
    shop.order("1001", "plov")
    assert shop.handed_over == []
    wallets["exact"].pay(shop.sessions["1001"], chain="evm")
    sandbox.webhooks.wait("checkout.session.completed")
    assert shop.handed_over == ["1001"]


def test_what_is_underpaid_expires_and_nothing_is_handed_over(
    shop: Shop, sandbox: Sandbox, wallets: Wallets, clock: Clock
) -> None:
    shop.order("1001", "plov")  # the same number: nothing of the test before has happened
    wallets["anna"].pay(shop.sessions["1001"], chain="evm", amount_tiyn=100_000)
    sandbox.webhooks.wait("checkout.session.underpaid")
    clock.advance_to(sandbox.session(shop.sessions["1001"])["expires_at"])
    sandbox.webhooks.wait("checkout.session.expired")
    assert (shop.state["1001"], shop.handed_over) == ("expired", [])


def test_a_refund_gives_everything_back(shop: Shop, sandbox: Sandbox, wallets: Wallets) -> None:
    shop.order("1001", "samsa")
    wallets["exact"].pay(shop.sessions["1001"], chain="evm")
    sandbox.webhooks.wait("payment.captured")
    shop.refund("1001")
    sandbox.webhooks.wait("refund.completed")
    assert shop.state["1001"] == "refunded"
