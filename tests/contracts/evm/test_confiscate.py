"""`confiscate` (T16)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.world import World, address, word

AIGUL, STATE = address("aigul"), address("state account")
CASE = word("case_1")


@pytest.fixture(autouse=True)
def aigul_holds_100_and_is_frozen(world: World) -> None:
    world.give(AIGUL, 100)
    world.freeze(AIGUL)


def test_by_anyone_but_the_confiscator_is_refused(world: World, kzte: Contract) -> None:
    for sender in (AIGUL, world.admin, world.freezer, world.issuer):
        with refused("kzte: caller is not the confiscator"):
            kzte.confiscate(AIGUL, STATE, 1, CASE, sender=sender)


def test_from_an_account_that_is_not_frozen_is_refused(world: World, kzte: Contract) -> None:
    kzte.unfreeze(AIGUL, sender=world.freezer)
    with refused("kzte: account is not frozen"):
        kzte.confiscate(AIGUL, STATE, 1, CASE, sender=world.confiscator)


def test_to_a_frozen_account_is_refused(world: World, kzte: Contract) -> None:
    for to in (AIGUL, kzte.address):
        with refused("kzte: account is frozen"):
            kzte.confiscate(AIGUL, to, 1, CASE, sender=world.confiscator)


def test_to_the_zero_address_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: transfer to the zero address"):
        kzte.confiscate(AIGUL, ZERO, 1, CASE, sender=world.confiscator)


def test_above_the_balance_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: transfer amount exceeds balance"):
        kzte.confiscate(AIGUL, STATE, 101, CASE, sender=world.confiscator)


def test_of_nothing_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: confiscated amount is zero"):
        kzte.confiscate(AIGUL, STATE, 0, CASE, sender=world.confiscator)


def test_without_a_case_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: case is not named"):
        kzte.confiscate(AIGUL, STATE, 1, bytes(32), sender=world.confiscator)


@pytest.mark.parametrize("paused", [False, True])
def test_it_moves_the_money_and_names_the_case_also_while_paused(
    world: World, kzte: Contract, paused: bool
) -> None:
    if paused:
        world.pause()
    assert kzte.confiscate(AIGUL, STATE, 60, CASE, sender=world.confiscator) is True
    assert kzte.events == [
        event("Confiscated", from_=AIGUL, to=STATE, value=60, caseId=CASE),
        event("Transfer", from_=AIGUL, to=STATE, value=60),
    ]
    assert (kzte.balanceOf(AIGUL), kzte.balanceOf(STATE)) == (40, 60)
    assert kzte.totalSupply() == 100
    assert kzte.isFrozen(AIGUL)


def test_one_case_may_take_several_times(world: World, kzte: Contract) -> None:
    kzte.confiscate(AIGUL, STATE, 60, CASE, sender=world.confiscator)
    kzte.confiscate(AIGUL, STATE, 40, CASE, sender=world.confiscator)
    assert kzte.balanceOf(STATE) == 100
