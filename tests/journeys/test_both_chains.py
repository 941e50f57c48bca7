"""What customers do wrong, on each chain: every tiyn has a place and a name."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from contracts import evm as artifacts
from contracts import token as specification
from contracts.evm_addresses import created_address
from merchants.client import MerchantClient
from sandbox.chains.errors import PaymentRefused
from sandbox.chains.evm import tx as evm_tx
from sandbox.chains.evm.deploy import DEPLOY_GAS, creation_code
from sandbox.chains.evm.wallet import EvmWallet
from sandbox.chains.solana import tx as solana_tx
from sandbox.chains.solana.wallet import SolanaWallet
from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running
from tests.journeys.customers import CHAINS, funded, option_of, rpc

ENOUGH_TIYN, PRICE_TIYN = 500_000, 10_000


@pytest.fixture(params=CHAINS)
def chain(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(sandbox: Running) -> Iterator[MerchantClient]:
    with MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant")) as client:
        yield client
    sandbox.quiesce()
    audit = sandbox.get("/v1/sandbox/audit")
    assert audit["ok"], [check for check in audit["checks"] if not check["ok"]]


def strays_of(sandbox: Running, **wanted: Any) -> list[JsonObject]:
    found = sandbox.get("/v1/stray_transfers", limit=100)["data"]
    return [one for one in found if all(one[key] == value for key, value in wanted.items())]


def paid(
    sandbox: Running, folder: Path, session: JsonObject, chain: str, amount_tiyn: int | None = None
) -> str:
    """A payment by the test wallet, final by now; its transaction's id."""
    tx: str = pay.pay(sandbox, folder, session["id"], chain, "resident", amount_tiyn)["tx"]
    sandbox.quiesce()
    return tx


def test_too_little_waits_for_the_rest(
    sandbox: Running, shop: MerchantClient, folder: Path, chain: str
) -> None:
    session = shop.create_session(PRICE_TIYN)
    paid(sandbox, folder, session, chain, 4_000)
    part = shop.session(session["id"])
    assert (part["status"], part["reasons"], part["received_units"]) == (
        "open", ["underpaid"], 4_000,
    )  # fmt: skip
    paid(sandbox, folder, session, chain)
    whole = shop.session(session["id"])
    assert (whole["status"], whole["received_units"], whole["excess_units"]) == (
        "complete", PRICE_TIYN, 0,
    )  # fmt: skip
    assert {p["settlement_state"] for p in whole["payments"]} == {"unsettled"}


def test_too_much_is_kept_apart_and_can_go_back(
    sandbox: Running, shop: MerchantClient, folder: Path, chain: str
) -> None:
    session = shop.create_session(PRICE_TIYN)
    tx = paid(sandbox, folder, session, chain, 12_500)
    whole = shop.session(session["id"])
    assert (whole["status"], whole["reason"], whole["excess_units"]) == (
        "complete", "overpaid", 2_500,
    )  # fmt: skip
    [stray] = strays_of(sandbox, session=session["id"])
    assert (stray["tx"], stray["amount_units"], stray["proposal"]) == (tx, 2_500, "refund")
    shop.post(f"/v1/stray_transfers/{stray['id']}/resolve", {"action": "refund"})
    sandbox.quiesce()
    [stray] = strays_of(sandbox, session=session["id"])
    assert (stray["status"], stray["resolution"]) == ("resolved", "refunded")


def test_a_second_payment_of_the_same_bill_is_a_duplicate(
    sandbox: Running, shop: MerchantClient, folder: Path, chain: str
) -> None:
    session = shop.create_session(PRICE_TIYN)
    paid(sandbox, folder, session, chain)
    paid(sandbox, folder, session, chain, PRICE_TIYN)
    twice = shop.session(session["id"])
    assert (twice["status"], twice["reasons"]) == ("complete", ["duplicate"])
    [stray] = strays_of(sandbox, session=session["id"])
    assert (stray["amount_units"], stray["proposal"]) == (PRICE_TIYN, "refund")


def test_money_after_the_expiry_waits_for_a_decision(
    sandbox: Running, shop: MerchantClient, folder: Path, chain: str
) -> None:
    session = shop.create_session(PRICE_TIYN, expires_in_s=5)
    sandbox.advance(60)
    sandbox.quiesce()
    paid(sandbox, folder, session, chain)
    late = shop.session(session["id"])
    assert (late["status"], late["reasons"]) == ("expired", ["late"])
    [stray] = strays_of(sandbox, session=session["id"])
    assert stray["proposal"] == "accept"
    shop.post(f"/v1/stray_transfers/{stray['id']}/resolve", {"action": "accept"})
    sandbox.quiesce()
    [payment] = shop.session(session["id"])["payments"]
    assert payment["settlement_state"] == "unsettled"


def test_a_refund_goes_back_to_who_paid(
    sandbox: Running, shop: MerchantClient, folder: Path, chain: str
) -> None:
    session = shop.create_session(PRICE_TIYN)
    paid(sandbox, folder, session, chain)
    payment = shop.session(session["id"])["payments"][0]
    refund = shop.refund(payment["id"], 4_000)
    sandbox.quiesce()
    done = shop.get(f"/v1/refunds/{refund['id']}")
    assert (done["status"], done["amount_units"]) == ("completed", 4_000)
    assert shop.session(session["id"])["payments"][0]["refunded_units"] == 4_000


def test_money_straight_to_the_treasury_is_nobodys_until_somebody_decides(
    sandbox: Running, shop: MerchantClient, chain: str
) -> None:
    session = shop.create_session(PRICE_TIYN)
    tx = asyncio.run(to_treasury(sandbox, chain, option_of(session, chain)))
    sandbox.quiesce()
    [stray] = strays_of(sandbox, tx=tx)
    assert (stray["session"], stray["amount_units"], stray["proposal"]) == (None, 700, "refund")
    assert shop.session(session["id"])["status"] == "open"


async def to_treasury(sandbox: Running, chain: str, option: JsonObject) -> str:
    treasury = sandbox.endpoints["kzte"][f"{chain}_treasury"]
    async with customer(sandbox, chain) as (wallet, key):
        if chain == "evm":
            data = evm_tx.call_data("transfer(address,uint256)", treasury, 700)
            return str(await wallet.send(option["token"], data))
        mint, owner = Pubkey.from_string(option["mint"]), Pubkey.from_string(treasury)
        coin = solana_tx.Token(mint, sandbox.endpoints["kzte"]["decimals"])
        moved = solana_tx.transfer_units(coin, key.pubkey(), owner, 700)
        return str(await wallet.send([moved]))


@asynccontextmanager
async def customer(
    sandbox: Running, chain: str, amount_tiyn: int = ENOUGH_TIYN
) -> AsyncIterator[tuple[Any, Any]]:
    """A wallet with tokens and coin, and its key."""
    key = await asyncio.to_thread(funded, sandbox, chain, amount_tiyn)
    kind: Any = {"solana": SolanaWallet, "evm": EvmWallet}[chain]
    wallet = kind(sandbox.endpoints[f"{chain}_rpc"], key)
    try:
        yield wallet, key
    finally:
        await wallet.aclose()


def test_native_coin_is_no_payment_and_stands_on_the_desk(
    sandbox: Running, shop: MerchantClient, chain: str
) -> None:
    session = shop.create_session(PRICE_TIYN)
    tx = asyncio.run(send_coin(sandbox, chain, option_of(session, chain)))
    sandbox.quiesce()
    [stray] = strays_of(sandbox, tx=tx)
    assert stray["token"] == {"solana": "SOL", "evm": "native"}[chain]
    assert shop.session(session["id"])["status"] == "open"


async def send_coin(sandbox: Running, chain: str, option: JsonObject) -> str:
    async with customer(sandbox, chain) as (wallet, key):
        if chain == "evm":
            return str(await wallet.send(option["address"], value_wei=10**15))
        treasury = Pubkey.from_string(option["recipient"])
        params = TransferParams(from_pubkey=key.pubkey(), to_pubkey=treasury, lamports=5_000_000)
        return str(await wallet.send([transfer(params)]))


def test_a_payment_without_the_money_fails_and_moves_nothing(
    sandbox: Running, shop: MerchantClient, chain: str
) -> None:
    session = shop.create_session(PRICE_TIYN)
    option = option_of(session, chain)
    with pytest.raises(PaymentRefused):
        asyncio.run(pay_too_much(sandbox, chain, option))
    sandbox.quiesce()
    left = shop.session(session["id"])
    assert (left["status"], left["payments"]) == ("open", [])


async def pay_too_much(sandbox: Running, chain: str, option: JsonObject) -> None:
    async with customer(sandbox, chain, 1_000) as (wallet, _):
        if chain == "evm":
            data = evm_tx.call_data("transfer(address,uint256)", option["address"], PRICE_TIYN)
            # With gas given, no wallet's trial run stands between: the chain itself must refuse.
            await wallet.send(option["token"], data, gas=150_000)
        else:
            await wallet.pay(option["url"])


def test_a_transfer_to_the_token_contract_itself_is_refused_by_the_token(
    sandbox: Running, shop: MerchantClient
) -> None:
    session = shop.create_session(PRICE_TIYN)
    with pytest.raises(PaymentRefused, match="frozen"):
        asyncio.run(pay_the_token(sandbox, option_of(session, "evm")["token"]))
    assert shop.session(session["id"])["status"] == "open"


async def pay_the_token(sandbox: Running, token: str) -> None:
    async with customer(sandbox, "evm") as (wallet, _):
        await wallet.send(token, evm_tx.call_data("transfer(address,uint256)", token, PRICE_TIYN))


def test_another_token_at_the_deposit_address_is_a_stray_of_the_session(
    sandbox: Running, shop: MerchantClient
) -> None:
    session = shop.create_session(PRICE_TIYN)
    deposit = option_of(session, "evm")["address"]
    tx, other = asyncio.run(pay_with_another_token(sandbox, deposit))
    sandbox.quiesce()
    [stray] = strays_of(sandbox, tx=tx)
    assert (stray["session"], stray["token"]) == (session["id"], other.lower())
    assert shop.session(session["id"])["status"] == "open"


async def pay_with_another_token(sandbox: Running, deposit: str) -> tuple[str, str]:
    """A token like ours, made by somebody else; (the payment, the token)."""
    roles = specification.load().evm.roles
    issuer = Account.create()
    rpc(sandbox.endpoints["evm_rpc"], "anvil_setBalance", issuer.address, hex(10**18))
    minting = EvmWallet(sandbox.endpoints["evm_rpc"], issuer)
    async with customer(sandbox, "evm") as (wallet, key), aclosing(minting):
        others = {name: Account.create().address for name in astuple(roles)}
        others[roles.master_minter] = key.address
        arguments = artifacts.token_arguments(specification.load(), others)
        token = created_address(key.address, 0)
        await wallet.send("", creation_code("kzte", arguments), gas=DEPLOY_GAS)
        data = evm_tx.call_data("configureMinter(address,uint256)", issuer.address, 1_000)
        await wallet.send(token, data, gas=200_000)
        data = evm_tx.call_data("mint(address,uint256,bytes32)", key.address, 1_000, b"\1" * 32)
        await minting.send(token, data, gas=200_000)
        data = evm_tx.call_data("transfer(address,uint256)", deposit, 900)
        return await wallet.send(token, data, gas=200_000), token
