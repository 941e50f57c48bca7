"""The customer's wallet: what it refuses to pay, and how it pays."""

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from sandbox.chains.errors import BadPaymentUrl, PaymentRefused
from sandbox.chains.evm.wallet import balance, parse_url, pay, units_from_text
from sandbox.chains.port import Command
from tests.chains.suite.worlds import EvmWorld, carry_out, funded

TOKEN, TO = to_checksum_address("0x" + "5f" * 20), to_checksum_address("0x" + "7a" * 20)
URL = f"ethereum:{TOKEN}@31337/transfer?address={TO}&uint256=250"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "solana:abc",
        f"ethereum:{TOKEN}@31337",
        f"ethereum:{TO}@31337?value=5",
        f"ethereum:{TOKEN}@31337/approve?address={TO}&uint256=250",
        f"ethereum:{TOKEN}@31337/transfer?uint256=250&address={TO}",
        f"ethereum:{TOKEN}@31337/transfer?address={TO}&uint256=250&uint256=9",
        f"ethereum:{TOKEN}@31337/transfer?address={TO}&uint256=250&gas=5",
        f"ethereum:{TOKEN}@31337/transfer?address={TO}&uint256=-1",
        f"ethereum:{TOKEN}@31337/transfer?address={TO}&uint256=1.5",
        f"ethereum:{TOKEN}@31337/transfer?address={TO}&uint256=1e99",
        f"ethereum:{TOKEN}@x/transfer?address={TO}&uint256=250",
        f"ethereum:{TOKEN}@31337/transfer?address={TO[:-1]}&uint256=250",
        f"ethereum:{TOKEN}@31337/transfer?address={TO[:-2]}{TO[-2:].swapcase()}&uint256=250",
        f"ethereum:example.eth@31337/transfer?address={TO}&uint256=250",
    ],
)
def test_what_is_no_token_transfer_request_is_refused_by_name(url: str) -> None:
    with pytest.raises(BadPaymentUrl):
        parse_url(url)


async def test_a_request_for_another_chain_is_not_paid(evm_world: EvmWorld) -> None:
    holder = await funded(evm_world, 1000)
    url = str(evm_world.chain.receive_option("cs_1", 250, "").fields["url"])
    with pytest.raises(BadPaymentUrl, match="chain 1,"):
        await evm_world.wallet(holder).pay(url.replace("@31337", "@1"))
    with pytest.raises(BadPaymentUrl, match="chain 1,"):
        await evm_world.wallet(holder).pay(url.replace("@31337", ""))


async def test_a_token_that_is_not_there_is_not_paid(evm_world: EvmWorld) -> None:
    holder = await evm_world.holder()
    with pytest.raises(BadPaymentUrl, match="no such token"):
        await evm_world.wallet(holder).pay(URL)
    with pytest.raises(BadPaymentUrl, match="no such token"):
        await balance(evm_world.url, holder, TOKEN)


async def test_a_payer_without_the_money_is_refused_before_anything_is_sent(
    evm_world: EvmWorld,
) -> None:
    holder = await evm_world.holder()
    url = str(evm_world.chain.receive_option("cs_1", 250, "").fields["url"])
    with pytest.raises(PaymentRefused, match="insufficient funds"):
        await evm_world.wallet(holder).pay(url)
    with pytest.raises(PaymentRefused):
        await pay(evm_world.url, Account.create(), url)


async def test_tokens_sent_to_the_token_itself_are_refused(evm_world: EvmWorld) -> None:
    holder = await funded(evm_world, 1000)
    url = f"ethereum:{evm_world.token}@31337/transfer?address={evm_world.token}&uint256=5"
    with pytest.raises(PaymentRefused, match="frozen"):
        await evm_world.wallet(holder).pay(url)


async def test_a_frozen_payer_is_told_so(evm_world: EvmWorld) -> None:
    holder = await funded(evm_world, 1000)
    await evm_world.confirmed(await carry_out(evm_world, Command("freeze", "case_1", holder)))
    url = str(evm_world.chain.receive_option("cs_1", 250, "").fields["url"])
    with pytest.raises(PaymentRefused, match="frozen"):
        await evm_world.wallet(holder).pay(url)


async def test_it_pays_what_the_url_says_or_what_it_is_told(evm_world: EvmWorld) -> None:
    holder = await funded(evm_world, 1000)
    option = evm_world.chain.receive_option("cs_1", 250, "")
    key = evm_world.accounts[holder]
    await pay(evm_world.url, key, str(option.fields["url"]))
    await pay(evm_world.url, key, str(option.fields["url"]), amount_units=30)
    deposit = str(option.fields["address"])
    assert await balance(evm_world.url, deposit, evm_world.token) == 280
    assert await evm_world.wallet(holder).units(evm_world.token) == 720


def test_the_parts_of_a_request() -> None:
    request = parse_url(URL)
    assert (request.token, request.recipient) == (TOKEN.lower(), TO.lower())
    assert (request.chain_id, request.amount_units) == (31337, 250)
    assert parse_url(URL.replace("ethereum:", "ethereum:pay-")) == request
    assert parse_url(URL.replace("uint256=250", "uint256=2.5e2")) == request
    assert parse_url(URL.replace("&uint256=250", "")).amount_units is None


@pytest.mark.parametrize(
    ("text", "units"), [("0", 0), ("1500e2", 150_000), ("2.014E18", 2014 * 10**15)]
)
def test_numbers_are_read_as_the_standard_writes_them(text: str, units: int) -> None:
    assert units_from_text(text) == units
