"""Unmodified EVM clients pay by our URL, and the payment arrives with its key."""

import re
from pathlib import Path

import pytest

from sandbox.chains.port import ReceiveOption, Transfer
from tests.chains.suite.worlds import EvmWorld, funded
from tests.clients.evm_clients import CLIENTS, ClientRefused, run, traffic

every_client = pytest.mark.parametrize("client", CLIENTS)


def key_file(world: EvmWorld, holder: str, folder: Path) -> str:
    path = folder / "key"
    path.write_text("0x" + world.accounts[holder].key.hex().removeprefix("0x"))
    return str(path)


def url_of(option: ReceiveOption) -> str:
    return str(option.fields["url"])


@every_client
async def test_a_customer_without_the_money_is_told_so_in_the_tokens_words(
    evm_world: EvmWorld, evm_rpc: str, tmp_path: Path, client: str
) -> None:
    holder = await funded(evm_world, 249)
    url = url_of(evm_world.chain.receive_option("cs_1", 250, "a shop"))
    with pytest.raises(ClientRefused, match="kzte: transfer amount exceeds balance"):
        await run(client, "pay", evm_rpc, key_file(evm_world, holder, tmp_path), url)


@every_client
async def test_a_wallet_that_pays_the_token_itself_is_refused_before_it_sends(
    evm_world: EvmWorld, evm_rpc: str, tmp_path: Path, client: str
) -> None:
    holder = await funded(evm_world, 1000)
    url = url_of(evm_world.chain.receive_option("cs_1", 250, "a shop"))
    token = re.search(r"ethereum:(0x\w{40})@", url)
    assert token
    misread = re.sub(r"address=0x\w{40}", f"address={token[1]}", url)
    with pytest.raises(ClientRefused, match="kzte: account is frozen"):
        await run(client, "pay", evm_rpc, key_file(evm_world, holder, tmp_path), misread)
    assert await evm_world.wallet(holder).units(evm_world.token) == 1000


@every_client
async def test_a_request_for_another_chain_is_not_paid_here(
    evm_world: EvmWorld, evm_rpc: str, tmp_path: Path, client: str
) -> None:
    holder = await funded(evm_world, 1000)
    url = url_of(evm_world.chain.receive_option("cs_1", 250, "a shop"))
    with pytest.raises(ClientRefused, match=r"31337|network"):
        await run(
            client,
            "pay",
            evm_rpc,
            key_file(evm_world, holder, tmp_path),
            url.replace("@31337/", "@31338/"),
        )
    assert await evm_world.wallet(holder).units(evm_world.token) == 1000


@every_client
async def test_a_customer_with_an_ordinary_client_pays_and_waits_until_it_is_final(
    evm_world: EvmWorld, evm_rpc: str, tmp_path: Path, client: str
) -> None:
    holder = await funded(evm_world, 1000)
    option = evm_world.chain.receive_option("cs_1", 250, "a shop")
    async with traffic(evm_world):
        tx = await run(
            client, "pay", evm_rpc, key_file(evm_world, holder, tmp_path), url_of(option)
        )
    height = await evm_world.height_of(tx)
    assert height is not None
    assert height <= (await evm_world.chain.heads()).final
    block = await evm_world.final(tx)
    deposit = str(option.fields["address"]).lower()
    assert [t for t in block.transfers if t.tx == tx] == [
        Transfer(tx, 0, "transfer", holder, deposit, 250, option.keys)
    ]
