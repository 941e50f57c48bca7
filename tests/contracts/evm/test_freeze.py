"""`freeze` and `unfreeze`; that frozen parties cannot move is tested with each operation (T14)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.world import World, address, word

AIGUL = address("aigul")


@pytest.mark.parametrize("function", ["freeze", "unfreeze"])
def test_by_anyone_but_the_freezer_is_refused(world: World, kzte: Contract, function: str) -> None:
    for sender in (AIGUL, world.admin, world.confiscator):
        with refused("kzte: caller is not the freezer"):
            getattr(kzte, function)(AIGUL, sender=sender)


def test_unfreezing_the_token_itself_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: the token itself stays frozen"):
        kzte.unfreeze(kzte.address, sender=world.freezer)


def test_it_freezes_and_unfreezes_and_says_so(world: World, kzte: Contract) -> None:
    kzte.freeze(AIGUL, sender=world.freezer)
    assert kzte.events == [event("Frozen", account=AIGUL)]
    assert kzte.isFrozen(AIGUL)
    kzte.unfreeze(AIGUL, sender=world.freezer)
    assert kzte.events == [event("Unfrozen", account=AIGUL)]
    assert not kzte.isFrozen(AIGUL)


def test_twice_is_not_refused(world: World, kzte: Contract) -> None:
    world.freeze(AIGUL)
    world.freeze(AIGUL)
    assert kzte.isFrozen(AIGUL)


def test_a_frozen_zero_address_does_not_stop_minting_and_burning(
    world: World, kzte: Contract
) -> None:
    world.freeze(ZERO)
    world.give(world.treasury, 2)
    assert kzte.burn(1, word("stl_1"), sender=world.treasury)


def test_frozen_role_holders_still_do_their_job(world: World, kzte: Contract) -> None:
    for holder in (world.admin, world.master, world.pauser, world.freezer, world.rescuer):
        world.freeze(holder)
    world.freeze(world.confiscator)
    world.give(AIGUL, 1)
    world.freeze(AIGUL)
    kzte.confiscate(AIGUL, world.treasury, 1, word("case_1"), sender=world.confiscator)
    kzte.configureMinter(world.issuer, 5, sender=world.master)
    kzte.updateRescuer(address("new rescuer"), sender=world.admin)
    kzte.unfreeze(world.freezer, sender=world.freezer)
    assert not kzte.isFrozen(world.freezer)


def test_a_frozen_account_keeps_what_it_holds(world: World, kzte: Contract) -> None:
    world.give(AIGUL, 7)
    world.freeze(AIGUL)
    assert kzte.balanceOf(AIGUL) == 7
    kzte.unfreeze(AIGUL, sender=world.freezer)
    assert kzte.transfer(world.treasury, 7, sender=AIGUL)
