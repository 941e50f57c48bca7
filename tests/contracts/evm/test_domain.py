"""The EIP-712 domain and the type hashes (T25, T26, A19, A20)."""

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak

from tests.contracts.evm.calls import ZERO, Contract, refused
from tests.contracts.evm.signed import TRANSFER, pay
from tests.contracts.evm.world import Authorization, World, address, on_chain

WHAT = Authorization(address("aigul"), address("shop"))


@pytest.mark.parametrize(
    "changed",
    [{"name": "KZTE"}, {"version": "2"}, {"chainId": 31337}, {"verifyingContract": ZERO}],
)
def test_a_signature_under_another_domain_is_refused(
    world: World, changed: dict[str, object]
) -> None:
    world.give(WHAT.from_, 100)
    signature = world.sign(world.aigul, TRANSFER, *WHAT.terms, **changed)
    with refused("kzte: invalid signature"):
        pay(world, "bytes", WHAT, signature)


def test_after_a_fork_of_the_chain_old_signatures_fail_and_new_ones_work(
    world: World, kzte: Contract
) -> None:
    world.give(WHAT.from_, 100)
    before = kzte.DOMAIN_SEPARATOR()
    on_chain(31338)
    with refused("kzte: invalid signature"):
        pay(world, "bytes", WHAT, world.sign(world.aigul, TRANSFER, *WHAT.terms))
    pay(world, "bytes", WHAT, world.sign(world.aigul, TRANSFER, *WHAT.terms, chainId=31338))
    assert kzte.DOMAIN_SEPARATOR() == separator(kzte, 31338) != before
    assert kzte.eip712Domain()[3] == 31338


def separator(kzte: Contract, chain_id: int) -> bytes:
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    return keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [
                keccak(kind),
                keccak(text="KZTE Sandbox Tenge"),
                keccak(text="1"),
                chain_id,
                kzte.address,
            ],
        )
    )


def test_it_tells_its_domain(kzte: Contract) -> None:
    assert kzte.eip712Domain() == (
        b"\x0f",
        "KZTE Sandbox Tenge",
        "1",
        1,
        kzte.address,
        bytes(32),
        (),
    )
    assert kzte.DOMAIN_SEPARATOR() == separator(kzte, 1)


def test_the_type_hashes_are_those_of_the_standards(kzte: Contract) -> None:
    # As printed in EIP-3009 and EIP-2612.
    assert kzte.TRANSFER_WITH_AUTHORIZATION_TYPEHASH().hex() == (
        "7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267"
    )
    assert kzte.RECEIVE_WITH_AUTHORIZATION_TYPEHASH().hex() == (
        "d099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8"
    )
    assert kzte.CANCEL_AUTHORIZATION_TYPEHASH().hex() == (
        "158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429"
    )
    assert kzte.PERMIT_TYPEHASH().hex() == (
        "6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9"
    )
