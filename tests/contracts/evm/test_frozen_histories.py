"""Random calls around one frozen holder: its money moves by confiscation only. And 1,000 random
senders around the deposits: nobody but the treasury ever gains."""

import random
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from contracts import evm
from tests.contracts.evm.calls import Contract, Reverted
from tests.contracts.evm.odd import odd_token
from tests.contracts.evm.random_calls import random_call
from tests.contracts.evm.signed import parts
from tests.contracts.evm.world import MAX, START, World, address, person, word

ROUNDS = 1000


def test_frozen_money_moves_by_confiscation_only(world: World, kzte: Contract) -> None:
    frozen = person("frozen")
    shop, spender = address("shop"), address("spender")
    world.give(frozen.address, 1000)
    kzte.approve(spender, MAX, sender=frozen.address)
    kzte.configureMinter(frozen.address, MAX, sender=world.master)
    world.freeze(frozen.address)
    chance = random.Random(4)
    left = 1000
    for round_ in range(300):
        units, nonce = chance.choice([0, 1, 7, 1000]), word(f"nonce {round_}")
        terms = (frozen.address, shop, units, 0, START + 300, nonce)
        form = chance.choice(["bytes", "vrs"])
        attempt = chance.randrange(7)
        reason = ""
        try:
            if attempt == 0:
                kzte.transfer(shop, units, sender=frozen.address)
            elif attempt == 1:
                kzte.transferFrom(frozen.address, shop, units, sender=spender)
            elif attempt == 2:
                kzte.burn(units, nonce, sender=frozen.address)
            elif attempt == 3:
                signature = world.sign(frozen, "TransferWithAuthorization", *terms)
                kzte.transferWithAuthorization(*terms, *parts(form, signature))
            elif attempt == 4:
                signature = world.sign(frozen, "ReceiveWithAuthorization", *terms)
                kzte.receiveWithAuthorization(*terms, *parts(form, signature), sender=shop)
            elif attempt == 5:
                kzte.mint(frozen.address, units, nonce, sender=world.issuer)
            else:
                kzte.confiscate(frozen.address, shop, units, nonce, sender=world.confiscator)
                left -= units
        except Reverted as reverted:
            reason = reverted.reason
        assert attempt == 6 or reason == "kzte: account is frozen"
        assert kzte.balanceOf(frozen.address) == left
    assert left < 1000


@pytest.fixture
def scene(world: World) -> dict[str, Any]:
    deposits = world.deposits()
    salts = [word(f"session {number}") for number in range(8)]
    stray = odd_token(world.rescuer)
    for number, salt in enumerate(salts):
        world.give(deposits.depositAddress(salt), 100 + number)
        stray.give(deposits.depositAddress(salt), 50)
    # Some addresses have code already, one is frozen.
    for salt in salts[:3]:
        deposits.sweep(salt)
        world.give(deposits.depositAddress(salt), 9)
    world.freeze(deposits.depositAddress(salts[5]))
    return {"deposits": deposits, "salts": salts, "stray": stray}


def test_a_thousand_random_senders_move_deposits_to_nobody_but_the_treasury(
    world: World, kzte: Contract, scene: dict[str, Any]
) -> None:
    deposits, salts, stray = scene["deposits"], scene["salts"], scene["stray"]
    chance = random.Random(5)
    addresses = [deposits.depositAddress(salt) for salt in salts]
    forwarder_abi = evm.load("forwarder").abi
    targets = [
        deposits,
        *(Contract(at, forwarder_abi) for at in [deposits.FORWARDER(), *addresses]),
    ]
    held = {at: kzte.balanceOf(at) for at in addresses}
    strays = {at: stray.balanceOf(at) for at in addresses}
    treasury = kzte.balanceOf(world.treasury)
    supply = kzte.totalSupply()
    moved = refusals = 0
    for round_ in range(ROUNDS):
        # No key: nobody signs here, and making a thousand keys takes longer than the calls.
        sender = to_checksum_address(word(f"sender {round_}")[12:])
        target = chance.choice([deposits, *targets])
        known = {"bytes32": salts, "address": [kzte.address, stray.address, sender]}
        _, data = random_call(chance, target, known)
        try:
            target.raw(data, sender=sender)
        except Reverted:
            refusals += 1
        assert kzte.balanceOf(sender) == stray.balanceOf(sender) == 0
        now = {at: kzte.balanceOf(at) for at in addresses}
        gone = 0
        for at, units in now.items():
            # All of it or nothing.
            assert units in (held[at], 0)
            gone += held[at] - units
        held, moved = now, moved + gone
        treasury += gone
        assert kzte.balanceOf(world.treasury) == treasury
        if gone and chance.random() < 0.8:
            salt = chance.choice(salts)
            at = deposits.depositAddress(salt)
            if not kzte.isFrozen(at):
                world.give(at, 5)
                held[at] += 5
                supply += 5
    assert {at: stray.balanceOf(at) for at in addresses} == strays
    assert kzte.totalSupply() == supply
    assert moved > 300
    assert refusals > 100
