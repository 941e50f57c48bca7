"""Deposit addresses before anything is there (F01, F02, F08), and the factory's deployment."""

import boa
import pytest
from eth_abi import encode

from contracts import evm
from contracts.evm_addresses import DepositAddresses, created_address, deposit_salt
from tests.contracts.evm.calls import ZERO, Contract, deploy, refused
from tests.contracts.evm.odd import odd_token
from tests.contracts.evm.world import World, address, word

SESSION = "cs_01jd3m0000000000000000000a"


def test_a_token_without_code_is_refused(world: World) -> None:
    with refused("deposits: token has no code"):
        deploy(
            evm.load("deposits"),
            *evm.deposits_arguments(address("x"), world.treasury, evm.load("forwarder")),
        )


def test_no_treasury_is_refused(world: World) -> None:
    with refused("deposits: treasury is the zero address"):
        deploy(
            evm.load("deposits"),
            *evm.deposits_arguments(world.kzte.address, ZERO, evm.load("forwarder")),
        )


def test_the_token_as_its_own_treasury_would_lose_nothing(world: World) -> None:
    deposits = deploy(
        evm.load("deposits"),
        *evm.deposits_arguments(world.kzte.address, world.kzte.address, evm.load("forwarder")),
    )
    world.give(deposits.depositAddress(word("s")), 5)
    with refused("kzte: account is frozen"):
        deposits.sweep(word("s"))


def test_the_factory_knows_its_token_treasury_and_forwarder(world: World) -> None:
    deposits = world.deposits()
    assert deposits.TOKEN() == world.kzte.address
    assert deposits.TREASURY() == world.treasury
    forwarder = Contract(deposits.FORWARDER(), evm.load("forwarder").abi)
    assert forwarder.FACTORY() == deposits.address
    assert forwarder.TOKEN() == world.kzte.address
    assert forwarder.TREASURY() == world.treasury


def test_what_lies_at_many_addresses_is_one_sum(world: World) -> None:
    deposits = world.deposits()
    for number, text in enumerate(("a", "b", "c")):
        world.give(deposits.depositAddress(word(text)), 10**number)
    assert deposits.held([]) == 0
    assert deposits.held([word("nobody")]) == 0
    assert deposits.held([word("a"), word("nobody"), word("c")]) == 101
    assert deposits.held([word("b"), word("b")]) == 20
    deposits.sweep(word("a"))
    assert deposits.held([word(text) for text in ("a", "b", "c")]) == 110


def test_python_computes_what_the_chain_computes(world: World) -> None:
    deposits = world.deposits()
    computed = DepositAddresses.of_factory(deposits.address)
    assert computed.forwarder == deposits.FORWARDER()
    for text in ("", "a", SESSION):
        assert computed.of_salt(word(text)) == deposits.depositAddress(word(text))
    assert computed.of_session(SESSION) == deposits.depositAddress(deposit_salt(SESSION))


def test_the_code_appears_at_the_computed_address(world: World, kzte: Contract) -> None:
    deposits = world.deposits()
    computed = DepositAddresses.of_factory(deposits.address)
    deposit = computed.of_session(SESSION)
    world.give(deposit, 1)
    assert boa.env.get_code(deposit) == b""
    deposits.sweep(deposit_salt(SESSION))
    assert boa.env.get_code(deposit).hex() == (
        "363d3d373d3d3d363d73"
        + computed.forwarder.removeprefix("0x").lower()
        + "5af43d82803e903d91602b57fd5bf3"
    )


def test_known_addresses_do_not_move() -> None:
    # Of the well-known test mnemonic's first account (any devnet's first contracts).
    deployer = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert created_address(deployer, 0) == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert created_address(deployer, 1) == "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
    assert created_address(deployer, 9) == "0x8A791620dd6260079BF849Dc5567aDC3F2FdC318"
    assert deposit_salt(SESSION) == word("kzte:deposit:1:" + SESSION)


def test_contract_addresses_follow_the_nonce_through_its_encodings() -> None:
    from eth_utils.crypto import keccak
    from rlp import encode as rlp  # type: ignore[import-untyped]  # no type marker

    creator = address("creator")
    for nonce in (0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32):
        expected = keccak(rlp([bytes.fromhex(creator[2:]), nonce]))[12:].hex()
        assert created_address(creator, nonce).lower() == "0x" + expected


def test_each_session_and_each_factory_has_its_own(world: World) -> None:
    one = DepositAddresses.of_factory(address("factory 1"))
    two = DepositAddresses.of_factory(address("factory 2"))
    found = {of.of_session(f"cs_{number}") for of in (one, two) for number in range(100)}
    assert len(found) == 200


@pytest.mark.parametrize("call", ["forward(uint256)", "release(address,address,uint256)"])
def test_forwarder_and_proxies_refuse_everyone_but_the_factory(world: World, call: str) -> None:
    deposits = world.deposits()
    world.give(deposits.depositAddress(word("s")), 5)
    deposits.sweep(word("s"))
    abi = evm.load("forwarder").abi
    name, arguments = call.split("(")[0], call.count(",") + 1
    values = [1] if arguments == 1 else [odd_token(ZERO).address, address("thief"), 1]
    for target in (deposits.FORWARDER(), deposits.depositAddress(word("s"))):
        for sender in (address("thief"), world.treasury, world.rescuer, world.admin):
            with refused("deposits: caller is not the factory"):
                getattr(Contract(target, abi), name)(*values, sender=sender)


def test_a_forwarder_deployed_by_another_does_not_serve_the_factory(world: World) -> None:
    deposits = world.deposits()
    other = deploy(evm.load("forwarder"), world.kzte.address, address("thief"))
    assert other.FACTORY() != deposits.address
    data = encode(["uint256"], [1])
    with refused("deposits: unknown function"):
        other.raw(b"\x01\x02\x03\x04" + data)
