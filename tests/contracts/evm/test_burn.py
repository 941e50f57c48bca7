"""`burn` (T10, T23)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.world import World, address, word

AIGUL = address("aigul")
SETTLEMENT = word("stl_1")


@pytest.fixture(autouse=True)
def treasury_holds_1000(world: World) -> None:
    world.give(world.treasury, 1000)


def test_by_anyone_but_a_minter_is_refused(world: World, kzte: Contract) -> None:
    world.give(AIGUL, 1)
    with refused("kzte: caller is not a minter"):
        kzte.burn(1, SETTLEMENT, sender=AIGUL)


def test_by_a_removed_minter_is_refused(world: World, kzte: Contract) -> None:
    kzte.removeMinter(world.treasury, sender=world.master)
    with refused("kzte: caller is not a minter"):
        kzte.burn(1, SETTLEMENT, sender=world.treasury)


def test_while_paused_is_refused(world: World, kzte: Contract) -> None:
    world.pause()
    with refused("kzte: paused"):
        kzte.burn(1, SETTLEMENT, sender=world.treasury)


def test_by_a_frozen_minter_is_refused(world: World, kzte: Contract) -> None:
    world.freeze(world.treasury)
    with refused("kzte: account is frozen"):
        kzte.burn(1, SETTLEMENT, sender=world.treasury)


def test_of_nothing_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: burn amount is zero"):
        kzte.burn(0, SETTLEMENT, sender=world.treasury)


def test_above_the_balance_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: burn amount exceeds balance"):
        kzte.burn(1001, SETTLEMENT, sender=world.treasury)


def test_without_a_reference_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: reference is empty"):
        kzte.burn(1, bytes(32), sender=world.treasury)


def test_a_reference_a_second_time_is_refused(world: World, kzte: Contract) -> None:
    kzte.burn(1, SETTLEMENT, sender=world.treasury)
    with refused("kzte: reference is used"):
        kzte.burn(2, SETTLEMENT, sender=world.treasury)


def test_a_mints_reference_is_refused_for_a_burn_and_the_other_way(
    world: World, kzte: Contract
) -> None:
    kzte.mint(AIGUL, 1, word("iss_1"), sender=world.issuer)
    with refused("kzte: reference is used"):
        kzte.burn(1, word("iss_1"), sender=world.treasury)
    kzte.burn(1, SETTLEMENT, sender=world.treasury)
    with refused("kzte: reference is used"):
        kzte.mint(AIGUL, 1, SETTLEMENT, sender=world.issuer)


def test_the_treasury_burns_its_own_with_an_allowance_of_zero(world: World, kzte: Contract) -> None:
    assert kzte.minterAllowance(world.treasury) == 0
    assert kzte.burn(400, SETTLEMENT, sender=world.treasury) is True
    assert kzte.events == [
        event("Burn", burner=world.treasury, value=400, reference=SETTLEMENT),
        event("Transfer", from_=world.treasury, to=ZERO, value=400),
    ]
    assert (kzte.balanceOf(world.treasury), kzte.totalSupply()) == (600, 600)
    assert kzte.isReferenceUsed(SETTLEMENT)


def test_all_of_it_can_be_burned(world: World, kzte: Contract) -> None:
    assert kzte.burn(1000, SETTLEMENT, sender=world.treasury)
    assert kzte.totalSupply() == 0
