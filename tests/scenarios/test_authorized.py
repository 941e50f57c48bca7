"""Payments that their payer signs and somebody else sends and pays for (EIP-3009).

Chain time is the sandbox's, so its clock decides what is expired.
"""

import secrets
from datetime import datetime
from typing import Any

import pytest
from eth_account import Account
from eth_keys.constants import SECPK1_N

from contracts import token as spec
from sandbox.chains.errors import PaymentRefused
from sandbox.chains.evm.tx import call_data
from tests.scenarios.on_evm import EvmGround
from tests.scenarios.world import Json, World, completed

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("ground", ["evm"], indirect=True),
]

SEND = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"
FIELDS = (
    ("from", "address"),
    ("to", "address"),
    ("value", "uint256"),
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
)


def evm(world: World) -> EvmGround:
    assert isinstance(world.ground, EvmGround)
    return world.ground


async def chain_time(world: World) -> int:
    head = (await world.chain.heads()).confirmed
    [newest] = await world.chain.blocks(head, head)
    at: datetime = newest.time
    return int(at.timestamp())


async def signed(
    world: World, payer: str, session: Json, *, after: int = -10, before: int = 60
) -> tuple[Any, ...]:
    """The arguments of the call: the session's whole amount, valid around now in seconds."""
    ground, now = evm(world), await chain_time(world)
    option = world.option(session)
    message = {
        "from": ground.accounts[payer].address,
        "to": option["address"],
        "value": option["amount_units"],
        "validAfter": now + after,
        "validBefore": now + before,
        "nonce": secrets.token_bytes(32),
    }
    domain = {
        "name": spec.load().name,
        "version": spec.load().evm.version,
        "chainId": int(await ground.node.call("eth_chainId"), 16),
        "verifyingContract": option["token"],
    }
    types = {"TransferWithAuthorization": [{"name": n, "type": t} for n, t in FIELDS]}
    made = Account.sign_typed_data(ground.accounts[payer].key, domain, types, message)
    return (*message.values(), bytes(made.signature))


async def is_refused(world: World, relayer: str, arguments: tuple[Any, ...], why: str) -> None:
    """Whoever tries first is told why, and who does not sees it fail in a block."""
    ground = evm(world)
    data = call_data(SEND, *arguments)
    with pytest.raises(PaymentRefused, match=why):
        await ground.ask(relayer, ground.token, data)
    tx = await ground.call(relayer, ground.token, data)
    await world.mine()
    assert why in (await world.failure_of(tx) or "")
    assert await world.strays(tx) == []


async def test_a_payment_that_another_sends_is_its_payers_and_counts_once(world: World) -> None:
    ground, session = evm(world), await world.session()
    payer, relayer = await world.payer(30_000), await ground.payer()
    coin = await ground.coin(payer)
    arguments = await signed(world, payer, session)
    tx = await ground.call(relayer, ground.token, call_data(SEND, *arguments))
    await world.mine()
    paid = await world.read(session)
    assert completed(paid) == ("complete", "none", [])
    assert (paid["payment"]["tx"], paid["payment"]["from_address"]) == (tx, payer)
    assert await ground.coin(payer) == coin
    await is_refused(world, relayer, arguments, "authorization is used")
    assert len((await world.read(session))["payments"]) == 1
    assert await ground.units(payer) == world.units(20_000)


async def test_an_expired_and_an_early_authorization_pay_nothing_until_the_clock_says_so(
    world: World,
) -> None:
    ground, session = evm(world), await world.session()
    payer, relayer = await world.payer(10_000), await ground.payer()
    late = await signed(world, payer, session, before=60)
    early = await signed(world, payer, session, after=200, before=500)
    await is_refused(world, relayer, early, "not yet valid")
    await world.pass_time(100)
    await is_refused(world, relayer, late, "authorization is expired")
    assert completed(await world.read(session)) == ("open", "none", [])
    await world.pass_time(200)
    await ground.call(relayer, ground.token, call_data(SEND, *early))
    await world.mine()
    assert (await world.read(session))["status"] == "complete"


async def test_altered_zero_and_twin_signatures_pay_nothing(world: World) -> None:
    ground, session = evm(world), await world.session()
    payer, relayer = await world.payer(10_000), await ground.payer()
    *said, signature = await signed(world, payer, session)
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    # The other signature that the curve admits for the same words (EIP-2).
    twin = r + (SECPK1_N - s).to_bytes(32, "big") + bytes([27 + 28 - v])
    dearer = [*said[:2], said[2] + 1, *said[3:], signature]
    for arguments in ([*said, twin], [*said, bytes(65)], [*said, b""], dearer):
        await is_refused(world, relayer, tuple(arguments), "signature")
    elsewhere = [said[0], ground.accounts[relayer].address, *said[2:], signature]
    await is_refused(world, relayer, tuple(elsewhere), "signature")
    assert completed(await world.read(session)) == ("open", "none", [])
    await ground.call(relayer, ground.token, call_data(SEND, *said, signature))
    await world.mine()
    assert (await world.read(session))["status"] == "complete"
