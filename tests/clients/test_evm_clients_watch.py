"""Unmodified clients follow blocks and transfers over WebSocket, and hear of a payment."""

import asyncio
import json

import pytest
from eth_utils.address import to_checksum_address

from tests.chains.suite.worlds import EvmWorld, funded
from tests.clients.evm_clients import CLIENTS, DEADLINE_S, start


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_shop_that_watches_its_deposit_address_hears_of_its_payment_only(
    evm_world: EvmWorld, evm_rpc: str, client: str
) -> None:
    holder = await funded(evm_world, 1000)
    watched = evm_world.chain.receive_option("cs_watched", 250, "a shop")
    other = evm_world.chain.receive_option("cs_other", 250, "another shop")
    deposit = str(watched.fields["address"])
    shop = await start(
        client,
        "watch",
        evm_rpc.replace("http://", "ws://"),
        to_checksum_address(evm_world.token),
        to_checksum_address(deposit),
    )
    assert shop.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            assert await shop.stdout.readline() == b"ready\n"
            await evm_world.pay(holder, other, 250)
            tx = await evm_world.pay(holder, watched, 250)
            out, err = await shop.communicate()
    finally:
        if shop.returncode is None:
            shop.kill()
            await shop.wait()
    assert shop.returncode == 0, err.decode()
    told = json.loads(out)
    assert {**told, "from": told["from"].lower(), "to": told["to"].lower()} == {
        "tx": tx,
        "from": holder,
        "to": deposit.lower(),
        "units": "250",
        "height": await evm_world.height_of(tx),
        "removed": False,
    }
