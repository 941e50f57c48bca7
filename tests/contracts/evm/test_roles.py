"""The admin's two steps, and its changes of every other role (T18, T19)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.world import World, address, word

NEW, OTHER, AIGUL = address("new"), address("other"), address("aigul")
UPDATES = {
    "updateMasterMinter": "masterMinter",
    "updatePauser": "pauser",
    "updateFreezer": "freezer",
    "updateConfiscator": "confiscator",
    "updateRescuer": "rescuer",
}


def test_proposing_by_anyone_but_the_admin_is_refused(world: World, kzte: Contract) -> None:
    for sender in (AIGUL, world.master, NEW):
        with refused("kzte: caller is not the admin"):
            kzte.proposeAdmin(NEW, sender=sender)


def test_proposing_a_role_holder_is_refused(world: World, kzte: Contract) -> None:
    for holder in (world.admin, world.freezer, world.issuer):
        with refused("kzte: account already holds a role"):
            kzte.proposeAdmin(holder, sender=world.admin)


def test_accepting_by_anyone_but_the_proposed_is_refused(world: World, kzte: Contract) -> None:
    kzte.proposeAdmin(NEW, sender=world.admin)
    for sender in (AIGUL, world.admin, OTHER):
        with refused("kzte: caller is not the pending admin"):
            kzte.acceptAdmin(sender=sender)


def test_accepting_when_nobody_is_proposed_is_refused_also_to_the_zero_address(
    kzte: Contract,
) -> None:
    with refused("kzte: role for the zero address"):
        kzte.acceptAdmin(sender=ZERO)
    with refused("kzte: caller is not the pending admin"):
        kzte.acceptAdmin(sender=NEW)


def test_a_second_proposal_takes_the_place_of_the_first(world: World, kzte: Contract) -> None:
    kzte.proposeAdmin(NEW, sender=world.admin)
    kzte.proposeAdmin(OTHER, sender=world.admin)
    with refused("kzte: caller is not the pending admin"):
        kzte.acceptAdmin(sender=NEW)
    kzte.acceptAdmin(sender=OTHER)
    assert kzte.admin() == OTHER


def test_zero_withdraws_the_proposal(world: World, kzte: Contract) -> None:
    kzte.proposeAdmin(NEW, sender=world.admin)
    kzte.proposeAdmin(ZERO, sender=world.admin)
    with refused("kzte: caller is not the pending admin"):
        kzte.acceptAdmin(sender=NEW)


def test_one_who_got_another_role_meanwhile_cannot_accept(world: World, kzte: Contract) -> None:
    kzte.proposeAdmin(NEW, sender=world.admin)
    kzte.updatePauser(NEW, sender=world.admin)
    with refused("kzte: account already holds a role"):
        kzte.acceptAdmin(sender=NEW)


def test_the_old_admin_stays_until_the_new_one_accepts(world: World, kzte: Contract) -> None:
    kzte.proposeAdmin(NEW, sender=world.admin)
    assert kzte.events == [event("AdminProposed", admin=world.admin, pending=NEW)]
    assert (kzte.admin(), kzte.pendingAdmin()) == (world.admin, NEW)
    kzte.updatePauser(OTHER, sender=world.admin)
    kzte.acceptAdmin(sender=NEW)
    assert kzte.events == [event("RoleChanged", role="admin", previous=world.admin, current=NEW)]
    assert (kzte.admin(), kzte.pendingAdmin()) == (NEW, ZERO)
    with refused("kzte: caller is not the admin"):
        kzte.updatePauser(AIGUL, sender=world.admin)


@pytest.mark.parametrize("update", UPDATES)
def test_changing_a_role_by_anyone_but_the_admin_is_refused(
    world: World, kzte: Contract, update: str
) -> None:
    for sender in (AIGUL, getattr(kzte, UPDATES[update])(), world.issuer):
        with refused("kzte: caller is not the admin"):
            getattr(kzte, update)(NEW, sender=sender)


@pytest.mark.parametrize("update", UPDATES)
def test_nobody_or_a_role_holder_for_a_role_is_refused(
    world: World, kzte: Contract, update: str
) -> None:
    with refused("kzte: role for the zero address"):
        getattr(kzte, update)(ZERO, sender=world.admin)
    holders = {world.admin, world.issuer, world.treasury, *(getattr(kzte, r)() for r in _ROLES)}
    for holder in holders:
        with refused("kzte: account already holds a role"):
            getattr(kzte, update)(holder, sender=world.admin)


_ROLES = tuple(UPDATES.values())


@pytest.mark.parametrize("update", UPDATES)
def test_the_new_holder_has_the_role_and_the_old_one_has_lost_it(
    world: World, kzte: Contract, update: str
) -> None:
    role = UPDATES[update]
    old = getattr(kzte, role)()
    getattr(kzte, update)(NEW, sender=world.admin)
    assert kzte.events == [event("RoleChanged", role=role, previous=old, current=NEW)]
    assert getattr(kzte, role)() == NEW
    use = {
        "masterMinter": lambda who: kzte.configureMinter(AIGUL, 1, sender=who),
        "pauser": lambda who: kzte.pause(sender=who),
        "freezer": lambda who: kzte.freeze(AIGUL, sender=who),
        "confiscator": lambda who: kzte.confiscate(
            kzte.address, AIGUL, 0, word("case"), sender=who
        ),
        "rescuer": lambda who: kzte.rescueERC20(kzte.address, AIGUL, 0, sender=who),
    }[role]
    words = "master minter" if role == "masterMinter" else role
    with refused(f"kzte: caller is not the {words}"):
        use(old)
    expected = {
        "confiscator": "kzte: confiscated amount is zero",
        "rescuer": "kzte: account is frozen",
    }.get(role)
    if expected:
        with refused(expected):
            use(NEW)
    else:
        use(NEW)


def test_a_key_that_gave_up_its_role_may_hold_another(world: World, kzte: Contract) -> None:
    kzte.updatePauser(NEW, sender=world.admin)
    kzte.updateFreezer(world.pauser, sender=world.admin)
    assert kzte.freezer() == world.pauser
