"""`rescue`: what was sent to a deposit address and is not the token (F07)."""

import boa
import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.odd import odd_token
from tests.contracts.evm.world import World, address, word

SALT = word("session 1")
SENDER, THIEF = address("sender"), address("thief")


@pytest.fixture
def deposits(world: World) -> Contract:
    return world.deposits()


@pytest.fixture
def stray(world: World, deposits: Contract) -> Contract:
    token = odd_token(world.rescuer)
    token.give(deposits.depositAddress(SALT), 100)
    return token


def test_by_anyone_but_the_tokens_rescuer_is_refused(
    world: World, deposits: Contract, stray: Contract
) -> None:
    for sender in (THIEF, world.admin, world.treasury, stray.address):
        with refused("deposits: caller is not the rescuer"):
            deposits.rescue(SALT, stray.address, THIEF, 1, sender=sender)


def test_of_the_token_itself_is_refused(world: World, deposits: Contract) -> None:
    world.give(deposits.depositAddress(SALT), 5)
    with refused("deposits: the token can only be swept"):
        deposits.rescue(SALT, world.kzte.address, world.rescuer, 5, sender=world.rescuer)


def test_to_the_zero_address_is_refused(world: World, deposits: Contract, stray: Contract) -> None:
    with refused("deposits: rescue to the zero address"):
        deposits.rescue(SALT, stray.address, ZERO, 1, sender=world.rescuer)


def test_more_than_is_there_is_refused(world: World, deposits: Contract, stray: Contract) -> None:
    for token in (stray.address, ZERO):
        with refused(""):
            deposits.rescue(SALT, token, SENDER, 101, sender=world.rescuer)


def test_what_is_no_token_is_refused(world: World, deposits: Contract) -> None:
    with refused(""):
        deposits.rescue(SALT, THIEF, SENDER, 0, sender=world.rescuer)


def test_a_token_that_says_no_is_refused(world: World, deposits: Contract, stray: Contract) -> None:
    stray.behave(1)
    with refused("deposits: transfer refused"):
        deposits.rescue(SALT, stray.address, SENDER, 1, sender=world.rescuer)


def test_native_coin_to_one_that_refuses_it_is_refused(world: World, deposits: Contract) -> None:
    boa.env.set_balance(deposits.depositAddress(SALT), 10)
    with refused(""):
        deposits.rescue(SALT, ZERO, world.kzte.address, 1, sender=world.rescuer)
    assert boa.env.get_balance(deposits.depositAddress(SALT)) == 10


@pytest.mark.parametrize("answer", [0, 2])
@pytest.mark.parametrize("swept_before", [False, True])
def test_another_token_goes_back_also_one_that_answers_nothing(
    world: World, deposits: Contract, stray: Contract, answer: int, swept_before: bool
) -> None:
    deposit = deposits.depositAddress(SALT)
    if swept_before:
        world.give(deposit, 5)
        deposits.sweep(SALT)
    stray.behave(answer)
    deposits.rescue(SALT, stray.address, SENDER, 60, sender=world.rescuer)
    assert deposits.events == [
        event("Rescued", salt=SALT, token=stray.address, to=SENDER, value=60),
        event("Transfer", sender=deposit, receiver=SENDER, value=60),
    ]
    assert (stray.balanceOf(SENDER), stray.balanceOf(deposit)) == (60, 40)


def test_native_coin_from_before_and_after_the_code_goes_back(
    world: World, deposits: Contract
) -> None:
    deposit = deposits.depositAddress(SALT)
    boa.env.set_balance(deposit, 10)
    deposits.rescue(SALT, ZERO, SENDER, 4, sender=world.rescuer)
    assert deposits.events == [event("Rescued", salt=SALT, token=ZERO, to=SENDER, value=4)]
    boa.env.set_balance(address("payer"), 10)
    Contract(deposit, []).raw(b"", sender=address("payer"), value=5)
    assert boa.env.get_balance(deposit) == 11
    deposits.rescue(SALT, ZERO, SENDER, 11, sender=world.rescuer)
    assert boa.env.get_balance(SENDER) == 15


def test_after_a_change_of_the_tokens_rescuer_only_the_new_one_may(
    world: World, kzte: Contract, deposits: Contract, stray: Contract
) -> None:
    kzte.updateRescuer(address("new rescuer"), sender=world.admin)
    with refused("deposits: caller is not the rescuer"):
        deposits.rescue(SALT, stray.address, SENDER, 1, sender=world.rescuer)
    deposits.rescue(SALT, stray.address, SENDER, 1, sender=address("new rescuer"))
    assert stray.balanceOf(SENDER) == 1
