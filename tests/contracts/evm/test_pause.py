"""`pause` and `unpause`: what stops is tested with each operation, what goes on is here (T13)."""

import pytest

from tests.contracts.evm.calls import Contract, event, refused
from tests.contracts.evm.world import World, address, word

AIGUL = address("aigul")


@pytest.mark.parametrize("function", ["pause", "unpause"])
def test_by_anyone_but_the_pauser_is_refused(world: World, kzte: Contract, function: str) -> None:
    for sender in (AIGUL, world.admin, world.freezer):
        with refused("kzte: caller is not the pauser"):
            getattr(kzte, function)(sender=sender)


def test_it_stops_and_goes_on_and_says_so(world: World, kzte: Contract) -> None:
    kzte.pause(sender=world.pauser)
    assert kzte.events == [event("Paused", pauser=world.pauser)]
    assert kzte.paused()
    kzte.unpause(sender=world.pauser)
    assert kzte.events == [event("Unpaused", pauser=world.pauser)]
    assert not kzte.paused()


def test_twice_is_not_refused(world: World, kzte: Contract) -> None:
    for function, paused in (("pause", True), ("unpause", False)):
        getattr(kzte, function)(sender=world.pauser)
        getattr(kzte, function)(sender=world.pauser)
        assert kzte.paused() is paused


def test_a_frozen_pauser_can_still_pause(world: World, kzte: Contract) -> None:
    world.freeze(world.pauser)
    kzte.pause(sender=world.pauser)
    assert kzte.paused()


def test_roles_freezes_and_seizures_go_on_while_paused(world: World, kzte: Contract) -> None:
    world.give(AIGUL, 10)
    world.pause()
    kzte.freeze(AIGUL, sender=world.freezer)
    assert kzte.confiscate(AIGUL, world.treasury, 4, word("case_1"), sender=world.confiscator)
    kzte.unfreeze(AIGUL, sender=world.freezer)
    kzte.updateFreezer(address("new freezer"), sender=world.admin)
    kzte.proposeAdmin(address("new admin"), sender=world.admin)
    kzte.acceptAdmin(sender=address("new admin"))
    kzte.updatePauser(address("new pauser"), sender=address("new admin"))
    kzte.unpause(sender=address("new pauser"))
    assert kzte.balanceOf(AIGUL) == 6
