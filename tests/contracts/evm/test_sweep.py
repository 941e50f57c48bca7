"""`sweep` and `sweepMany` (F03-F06, F09)."""

from typing import Any

import boa
import pytest
from eth_abi import encode

from contracts import evm
from tests.contracts.evm.calls import Contract, Reverted, deploy, event, refused
from tests.contracts.evm.odd import odd_token
from tests.contracts.evm.world import World, address, word

ONE, TWO, THREE = word("session 1"), word("session 2"), word("session 3")
FROZEN = bytes.fromhex("08c379a0") + encode(["string"], ["kzte: account is frozen"])


@pytest.fixture
def deposits(world: World) -> Contract:
    return world.deposits()


def paid(world: World, deposits: Contract, salt: bytes, units: int) -> str:
    deposit: str = deposits.depositAddress(salt)
    world.give(deposit, units)
    return deposit


def swept(deposits: Contract, salt: bytes, units: int) -> Any:
    return event("Swept", salt=salt, deposit=deposits.depositAddress(salt), value=units)


def failed(deposits: Contract, salt: bytes, units: int, reason: bytes = FROZEN) -> Any:
    deposit = deposits.depositAddress(salt)
    return event("SweepFailed", salt=salt, deposit=deposit, value=units, reason=reason)


def own(deposits: Contract) -> list[Any]:
    return [found for found in deposits.events if found.address == deposits.address]


def test_a_frozen_deposit_address_is_refused_alone(world: World, deposits: Contract) -> None:
    world.freeze(paid(world, deposits, ONE, 5))
    with refused("kzte: account is frozen"):
        deposits.sweep(ONE)


def test_a_frozen_treasury_is_refused_alone_and_nothing_is_lost(
    world: World, kzte: Contract, deposits: Contract
) -> None:
    deposit = paid(world, deposits, ONE, 5)
    world.freeze(world.treasury)
    with refused("kzte: account is frozen"):
        deposits.sweep(ONE)
    assert kzte.balanceOf(deposit) == 5
    kzte.unfreeze(world.treasury, sender=world.freezer)
    assert deposits.sweep(ONE) == 5


def test_while_paused_is_refused_alone(world: World, deposits: Contract) -> None:
    paid(world, deposits, ONE, 5)
    world.pause()
    with refused("kzte: paused"):
        deposits.sweep(ONE)


def test_native_coin_is_refused(deposits: Contract) -> None:
    boa.env.set_balance(address("payer"), 10)
    for data in (b"", deposits.calldata("sweep", ONE)):
        with refused(""):
            deposits.raw(data, sender=address("payer"), value=1)


def test_more_than_256_at_once_are_refused(deposits: Contract) -> None:
    with refused(""):
        deposits.sweepMany([word(str(number)) for number in range(257)])


def test_an_empty_address_is_left_without_code_and_without_event(deposits: Contract) -> None:
    assert deposits.sweep(ONE) == 0
    assert deposits.events == []
    assert deposits.sweepMany([ONE, TWO]) == 0
    assert deposits.events == []
    assert boa.env.get_code(deposits.depositAddress(ONE)) == b""


@pytest.mark.parametrize("many", [False, True])
def test_anyone_sweeps_the_whole_balance_to_the_treasury(
    world: World, kzte: Contract, deposits: Contract, many: bool
) -> None:
    deposit = paid(world, deposits, ONE, 5)
    found = (
        deposits.sweepMany([ONE], sender=address("anyone"))
        if many
        else deposits.sweep(ONE, sender=address("anyone"))
    )
    assert found == 5
    assert deposits.events == [
        event("Transfer", from_=deposit, to=world.treasury, value=5),
        swept(deposits, ONE, 5),
    ]
    assert (kzte.balanceOf(deposit), kzte.balanceOf(world.treasury)) == (0, 5)


def test_a_late_second_payment_is_swept_from_the_same_address(
    world: World, kzte: Contract, deposits: Contract
) -> None:
    for many in (False, True, False):
        paid(world, deposits, ONE, 5)
        assert (deposits.sweepMany([ONE]) if many else deposits.sweep(ONE)) == 5
        assert deposits.sweep(ONE) == 0
    assert kzte.balanceOf(world.treasury) == 15


def test_a_frozen_and_an_empty_one_in_the_middle_do_not_stop_the_others(
    world: World, kzte: Contract, deposits: Contract
) -> None:
    paid(world, deposits, ONE, 5)
    frozen = paid(world, deposits, TWO, 7)
    paid(world, deposits, THREE, 11)
    world.freeze(frozen)
    assert deposits.sweepMany([ONE, TWO, word("empty"), THREE]) == 16
    assert own(deposits) == [
        swept(deposits, ONE, 5),
        failed(deposits, TWO, 7),
        swept(deposits, THREE, 11),
    ]
    assert (kzte.balanceOf(frozen), kzte.balanceOf(world.treasury)) == (7, 16)
    kzte.unfreeze(frozen, sender=world.freezer)
    assert deposits.sweepMany([ONE, TWO, THREE]) == 7


def test_with_the_treasury_frozen_every_one_fails_and_keeps_its_money(
    world: World, kzte: Contract, deposits: Contract
) -> None:
    paid(world, deposits, ONE, 5)
    paid(world, deposits, TWO, 7)
    world.freeze(world.treasury)
    assert deposits.sweepMany([ONE, TWO]) == 0
    assert own(deposits) == [failed(deposits, ONE, 5), failed(deposits, TWO, 7)]
    kzte.unfreeze(world.treasury, sender=world.freezer)
    assert deposits.sweepMany([ONE, TWO]) == 12


def test_while_paused_every_one_fails_and_says_why(world: World, deposits: Contract) -> None:
    paid(world, deposits, ONE, 5)
    world.pause()
    assert deposits.sweepMany([ONE]) == 0
    reason = bytes.fromhex("08c379a0") + encode(["string"], ["kzte: paused"])
    assert own(deposits) == [failed(deposits, ONE, 5, reason)]


def test_one_named_twice_is_swept_once(world: World, kzte: Contract, deposits: Contract) -> None:
    paid(world, deposits, ONE, 5)
    assert deposits.sweepMany([ONE, ONE]) == 5
    assert own(deposits) == [swept(deposits, ONE, 5)]


def test_fifty_are_swept_at_once(world: World, kzte: Contract, deposits: Contract) -> None:
    salts = [word(f"session {number}") for number in range(50)]
    for number, salt in enumerate(salts):
        paid(world, deposits, salt, number + 1)
    assert deposits.sweepMany(salts) == 1275 == kzte.balanceOf(world.treasury)


def test_sweeping_goes_on_while_factory_and_forwarder_are_frozen(
    world: World, kzte: Contract, deposits: Contract
) -> None:
    """So both can be frozen when they are deployed, and nobody can pay them by mistake."""
    for account in (deposits.address, deposits.FORWARDER()):
        world.freeze(account)
        world.give(address("aigul"), 1)
        with refused("kzte: account is frozen"):
            kzte.transfer(account, 1, sender=address("aigul"))
    paid(world, deposits, ONE, 5)
    assert deposits.sweepMany([ONE]) == 5


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_a_token_that_says_no_is_never_counted_as_swept(world: World, mode: int) -> None:
    token = odd_token(world.rescuer)
    deposits = deploy(
        evm.load("deposits"),
        *evm.deposits_arguments(token.address, world.treasury, evm.load("forwarder")),
    )
    token.give(deposits.depositAddress(ONE), 5)
    token.behave(mode)
    with pytest.raises(Reverted):
        deposits.sweep(ONE)
    assert deposits.sweepMany([ONE]) == 0
    assert [found.name for found in own(deposits)] == ["SweepFailed"]
    token.behave(0)
    assert deposits.sweepMany([ONE]) == 5


@pytest.mark.parametrize("decimals", [2, 6])
def test_a_tenge_paid_arrives_as_a_tenge_with_any_decimals(decimals: int) -> None:
    world = World(decimals)
    deposits = world.deposits()
    tenge = 10 ** world.kzte.decimals()
    world.give(address("aigul"), 1500 * tenge)
    world.kzte.transfer(deposits.depositAddress(ONE), 1500 * tenge, sender=address("aigul"))
    assert deposits.sweepMany([ONE]) == 1500 * tenge
    assert world.kzte.burn(1500 * tenge, word("stl_1"), sender=world.treasury)
    assert world.kzte.totalSupply() == 0
