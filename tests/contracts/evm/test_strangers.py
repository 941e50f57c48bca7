"""A thousand strangers who try everything: they own nothing and may nothing, so nothing moves."""

import random
from typing import Any

from eth_utils.address import to_checksum_address

from tests.contracts.evm.calls import ZERO, Contract, Reverted
from tests.contracts.evm.odd import odd_token
from tests.contracts.evm.random_calls import random_call
from tests.contracts.evm.signed import TRANSFER
from tests.contracts.evm.world import MAX, Authorization, World, address, vrs, word

STRANGERS = 1000
HARMLESS = {"transfer", "transferFrom", "approve", "increaseAllowance", "decreaseAllowance"}
ROLES = ("admin", "pendingAdmin", "masterMinter", "pauser", "freezer", "confiscator", "rescuer")


def what_matters(kzte: Contract, holders: list[str], minters: list[str], nonce: bytes) -> Any:
    return (
        {who: kzte.balanceOf(who) for who in holders},
        {(a, b): kzte.allowance(a, b) for a in holders for b in holders},
        {who: (kzte.isMinter(who), kzte.minterAllowance(who)) for who in minters},
        {who: (kzte.isFrozen(who), kzte.authorizationState(who, nonce)) for who in holders},
        {who: kzte.nonces(who) for who in holders},
        [getattr(kzte, role)() for role in ROLES],
        (kzte.totalSupply(), kzte.paused(), kzte.isReferenceUsed(nonce)),
    )


def test_a_thousand_strangers_with_signatures_that_are_not_theirs_move_nothing(
    world: World, kzte: Contract
) -> None:
    chance = random.Random(6)
    holders = [world.aigul.address, world.bolat.address, address("shop"), world.treasury]
    minters = [world.issuer, world.treasury, *holders]
    for who in holders:
        world.give(who, 100)
    kzte.approve(holders[1], MAX, sender=holders[0])
    frozen = address("frozen")
    world.give(frozen, 100)
    world.freeze(frozen)
    stray = odd_token(world.rescuer)
    stray.give(kzte.address, 50)
    holders += [frozen, kzte.address]
    # Of one call that its payer has signed, but not for the terms that are drawn below.
    what = Authorization(world.aigul.address, address("nobody"), nonce=word("signed"))
    signature = world.sign(world.aigul, TRANSFER, *what.terms)
    v, r, s = vrs(signature)
    signed = {"bytes": [signature, bytes(65), b""], "uint8": [v, 27, 0]}
    before = what_matters(kzte, holders, minters, word("drawn"))
    answered: dict[str, int] = {}
    for number in range(STRANGERS):
        # No key: nobody signs here, and making a thousand keys takes longer than the calls.
        sender = to_checksum_address(word(f"stranger {number}")[12:])
        known = {
            **signed,
            "address": [*holders, stray.address, sender, ZERO],
            "bytes32": [word("drawn"), r, s, bytes(32)],
        }
        name, data = random_call(chance, kzte, known)
        try:
            kzte.raw(data, sender=sender)
        except Reverted:
            continue
        answered[name] = answered.get(name, 0) + 1
        moved = [e for e in kzte.events if e.name != "Approval"]
        assert all(e.name == "Transfer" and e.values["value"] == 0 for e in moved), (name, moved)
        assert kzte.balanceOf(sender) == stray.balanceOf(sender) == 0
    assert what_matters(kzte, holders, minters, word("drawn")) == before
    assert stray.balanceOf(kzte.address) == 50
    functions = [e for e in kzte.abi if e["type"] == "function"]
    writing = {e["name"] for e in functions if e["stateMutability"] == "nonpayable"}
    assert {name for name in answered if name in writing} == HARMLESS
