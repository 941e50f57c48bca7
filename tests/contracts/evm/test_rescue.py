"""`rescueERC20` (T17)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.odd import odd_token
from tests.contracts.evm.world import World, address

AIGUL = address("aigul")


@pytest.fixture
def other(world: World) -> Contract:
    token = odd_token(world.rescuer)
    token.give(world.kzte.address, 100)
    return token


def test_by_anyone_but_the_rescuer_is_refused(
    world: World, kzte: Contract, other: Contract
) -> None:
    for sender in (AIGUL, world.admin):
        with refused("kzte: caller is not the rescuer"):
            kzte.rescueERC20(other.address, AIGUL, 1, sender=sender)


def test_to_the_zero_address_is_refused(world: World, kzte: Contract, other: Contract) -> None:
    with refused("kzte: rescue to the zero address"):
        kzte.rescueERC20(other.address, ZERO, 1, sender=world.rescuer)


def test_above_the_balance_is_refused(world: World, kzte: Contract, other: Contract) -> None:
    with refused(""):
        kzte.rescueERC20(other.address, AIGUL, 101, sender=world.rescuer)


def test_what_is_no_contract_is_refused(world: World, kzte: Contract) -> None:
    with refused(""):
        kzte.rescueERC20(AIGUL, AIGUL, 0, sender=world.rescuer)


def test_a_token_that_says_no_or_reverts_is_refused(
    world: World, kzte: Contract, other: Contract
) -> None:
    other.behave(1)
    with refused("kzte: rescue refused"):
        kzte.rescueERC20(other.address, AIGUL, 1, sender=world.rescuer)
    other.behave(3)
    with refused("odd: no"):
        kzte.rescueERC20(other.address, AIGUL, 1, sender=world.rescuer)


def test_kzte_itself_cannot_be_there_to_rescue(world: World, kzte: Contract) -> None:
    with refused("kzte: account is frozen"):
        kzte.rescueERC20(kzte.address, AIGUL, 0, sender=world.rescuer)


@pytest.mark.parametrize("answer", [0, 2])
@pytest.mark.parametrize("paused", [False, True])
def test_it_hands_on_other_tokens_also_those_that_answer_nothing(
    world: World, kzte: Contract, other: Contract, answer: int, paused: bool
) -> None:
    other.behave(answer)
    if paused:
        world.pause()
    kzte.rescueERC20(other.address, AIGUL, 60, sender=world.rescuer)
    assert kzte.events == [
        event("Rescued", token=other.address, to=AIGUL, value=60),
        event("Transfer", sender=kzte.address, receiver=AIGUL, value=60),
    ]
    assert (other.balanceOf(AIGUL), other.balanceOf(kzte.address)) == (60, 40)
