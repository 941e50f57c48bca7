"""The customer's wallet: what it refuses to pay, and how it pays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from sandbox.chains.errors import BadPaymentUrl, PaymentRefused
from sandbox.chains.port import Command
from sandbox.chains.solana.wallet import (
    balance,
    parse_url,
    pay,
    units_from_text,
)
from sandbox.core.money import format_units
from tests.chains.suite.worlds import SolanaWorld, carry_out

KEY = str(Pubkey.new_unique())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ethereum:0x1",
        f"solana:{KEY}",
        f"solana:{KEY}?amount=1",
        f"solana:nobody?amount=1&spl-token={KEY}",
        f"solana:{KEY}?amount=1&spl-token={KEY}&reference=nothing",
        f"solana:https%3A%2F%2Fshop.invalid?spl-token={KEY}",
    ],
)
def test_a_url_that_is_no_transfer_request_is_refused_by_name(url: str) -> None:
    with pytest.raises(BadPaymentUrl):
        parse_url(url)


@pytest.mark.parametrize("amount", ["", ".5", "-1", "1e3", "1,5", "0.001", "١", "1_000", " 1"])
def test_an_amount_that_the_token_cannot_have_is_refused(amount: str) -> None:
    with pytest.raises(BadPaymentUrl):
        units_from_text(amount, 2)


@given(st.integers(0, 10**18), st.integers(2, 9))
def test_amounts_in_urls_are_read_back_exactly(units: int, decimals: int) -> None:
    assert units_from_text(format_units(units, decimals), decimals) == units


async def test_a_customer_who_has_too_little_is_refused_before_anything_is_sent(
    solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    await solana_world.final(await carry_out(solana_world, Command("mint", "iss_1", holder, 100)))
    url = str(solana_world.chain.receive_option("cs_1", 250, "").fields["url"])
    with pytest.raises(PaymentRefused, match="insufficient funds"):
        await pay(solana_rpc, solana_world.key(holder), url)


async def test_a_token_nobody_knows_is_refused(solana_rpc: str) -> None:
    url = f"solana:{KEY}?amount=1&spl-token={Pubkey.new_unique()}"
    with pytest.raises(BadPaymentUrl):
        await pay(solana_rpc, Keypair(), url)


async def test_the_amount_may_be_another_than_asked(
    solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder = await solana_world.holder()
    await solana_world.final(await carry_out(solana_world, Command("mint", "iss_1", holder, 1000)))
    option = solana_world.chain.receive_option("cs_1", 250, "")
    url, mint = str(option.fields["url"]), str(option.fields["mint"])
    await pay(solana_rpc, solana_world.key(holder), url)
    await pay(solana_rpc, solana_world.key(holder), url, amount_units=300)
    assert await balance(solana_rpc, str(option.fields["recipient"]), mint) == 550
    assert await balance(solana_rpc, holder, mint) == 450
