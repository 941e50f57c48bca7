"""`configureMinter`, raising and lowering an allowance, `removeMinter` (T11, T12)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.world import MAX, World, address, word

AIGUL, OTHER = address("aigul"), address("other minter")


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("configureMinter", (OTHER, 1)),
        ("increaseMinterAllowance", (OTHER, 1)),
        ("decreaseMinterAllowance", (OTHER, 1)),
        ("removeMinter", (OTHER,)),
    ],
)
def test_by_anyone_but_the_master_minter_is_refused(
    world: World, kzte: Contract, function: str, arguments: tuple[object, ...]
) -> None:
    for sender in (AIGUL, world.admin, world.issuer):
        with refused("kzte: caller is not the master minter"):
            getattr(kzte, function)(*arguments, sender=sender)


def test_giving_power_while_paused_is_refused_and_taking_it_works(
    world: World, kzte: Contract
) -> None:
    world.pause()
    with refused("kzte: paused"):
        kzte.configureMinter(OTHER, 1, sender=world.master)
    with refused("kzte: paused"):
        kzte.increaseMinterAllowance(world.treasury, 1, sender=world.master)
    assert kzte.decreaseMinterAllowance(world.issuer, MAX - 5, sender=world.master)
    assert kzte.minterAllowance(world.issuer) == 5
    assert kzte.removeMinter(world.issuer, sender=world.master)
    assert not kzte.isMinter(world.issuer)


def test_a_role_holder_or_nobody_as_minter_is_refused(world: World, kzte: Contract) -> None:
    for holder in (world.admin, world.master, world.pauser, world.freezer, world.confiscator):
        with refused("kzte: account already holds a role"):
            kzte.configureMinter(holder, 1, sender=world.master)
    with refused("kzte: role for the zero address"):
        kzte.configureMinter(ZERO, 1, sender=world.master)


@pytest.mark.parametrize("function", ["increaseMinterAllowance", "decreaseMinterAllowance"])
def test_changing_the_allowance_of_no_minter_is_refused(
    world: World, kzte: Contract, function: str
) -> None:
    with refused("kzte: account is not a minter"):
        getattr(kzte, function)(OTHER, 1, sender=world.master)


def test_raising_above_the_greatest_number_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: allowance overflow"):
        kzte.increaseMinterAllowance(world.issuer, 1, sender=world.master)


def test_raising_to_the_greatest_number_is_the_last_that_works(
    world: World, kzte: Contract
) -> None:
    kzte.configureMinter(world.issuer, 5, sender=world.master)
    with refused("kzte: allowance overflow"):
        kzte.increaseMinterAllowance(world.issuer, MAX - 4, sender=world.master)
    kzte.increaseMinterAllowance(world.issuer, MAX - 5, sender=world.master)
    assert kzte.minterAllowance(world.issuer) == MAX


@pytest.mark.parametrize("allowance", [0, 1, MAX])
def test_configuring_sets_the_allowance_and_does_not_add(
    world: World, kzte: Contract, allowance: int
) -> None:
    kzte.configureMinter(OTHER, 7, sender=world.master)
    assert kzte.configureMinter(OTHER, allowance, sender=world.master) is True
    assert kzte.events == [event("MinterConfigured", minter=OTHER, allowance=allowance)]
    assert kzte.isMinter(OTHER)
    assert kzte.minterAllowance(OTHER) == allowance


def test_raising_and_lowering_count_from_what_is_left(world: World, kzte: Contract) -> None:
    kzte.configureMinter(OTHER, 10, sender=world.master)
    kzte.mint(AIGUL, 4, word("iss_1"), sender=OTHER)
    assert kzte.increaseMinterAllowance(OTHER, 3, sender=world.master) is True
    assert kzte.events == [event("MinterConfigured", minter=OTHER, allowance=9)]
    assert kzte.decreaseMinterAllowance(OTHER, 2, sender=world.master) is True
    assert kzte.events == [event("MinterConfigured", minter=OTHER, allowance=7)]
    assert kzte.decreaseMinterAllowance(OTHER, MAX, sender=world.master) is True
    assert kzte.minterAllowance(OTHER) == 0


def test_two_minters_do_not_share_an_allowance(world: World, kzte: Contract) -> None:
    kzte.configureMinter(OTHER, 10, sender=world.master)
    kzte.configureMinter(world.issuer, 20, sender=world.master)
    kzte.mint(AIGUL, 10, word("iss_1"), sender=OTHER)
    assert kzte.minterAllowance(world.issuer) == 20
    with refused("kzte: mint amount exceeds the minter's allowance"):
        kzte.mint(AIGUL, 1, word("iss_2"), sender=OTHER)


def test_a_removed_minter_neither_mints_nor_burns(world: World, kzte: Contract) -> None:
    world.give(world.issuer, 5)
    assert kzte.removeMinter(world.issuer, sender=world.master) is True
    assert kzte.events == [event("MinterRemoved", minter=world.issuer)]
    assert kzte.minterAllowance(world.issuer) == 0
    with refused("kzte: caller is not a minter"):
        kzte.mint(AIGUL, 1, word("iss_1"), sender=world.issuer)
    with refused("kzte: caller is not a minter"):
        kzte.burn(1, word("stl_1"), sender=world.issuer)


def test_removing_one_that_is_no_minter_changes_nothing(world: World, kzte: Contract) -> None:
    assert kzte.removeMinter(OTHER, sender=world.master) is True
    assert not kzte.isMinter(OTHER)
