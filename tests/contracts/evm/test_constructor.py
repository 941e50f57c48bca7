"""Deployment: refused holders, and what the contract says of itself afterwards (T01, T02)."""

from dataclasses import fields

import pytest

from contracts import evm
from contracts.token import EvmRoles
from tests.contracts.evm.calls import ZERO, Contract, deploy, refused
from tests.contracts.evm.world import World, address

HOLDERS = ["admin", "master_minter", "pauser", "freezer", "confiscator", "rescuer"]


@pytest.mark.parametrize("role", HOLDERS)
def test_a_role_without_a_holder_is_refused(world: World, role: str) -> None:
    keys = {**world.keys, getattr(world.spec.evm.roles, role): ZERO}
    with refused("kzte: role for the zero address"):
        deploy(evm.load("kzte"), *evm.token_arguments(world.spec, keys))


@pytest.mark.parametrize("first", HOLDERS)
@pytest.mark.parametrize("second", HOLDERS)
def test_one_key_for_two_roles_is_refused(world: World, first: str, second: str) -> None:
    if first == second:
        return
    roles = world.spec.evm.roles
    keys = {**world.keys, getattr(roles, second): world.keys[getattr(roles, first)]}
    with refused("kzte: account already holds a role"):
        deploy(evm.load("kzte"), *evm.token_arguments(world.spec, keys))


def test_every_key_of_the_specification_is_another_one(world: World) -> None:
    assert len(set(world.keys.values())) == len(fields(EvmRoles))


def test_each_role_has_the_holder_it_was_given(world: World, kzte: Contract) -> None:
    assert kzte.admin() == world.admin
    assert kzte.masterMinter() == world.master
    assert kzte.pauser() == world.pauser
    assert kzte.freezer() == world.freezer
    assert kzte.confiscator() == world.confiscator
    assert kzte.rescuer() == world.rescuer
    assert kzte.pendingAdmin() == ZERO


@pytest.mark.parametrize("decimals", [2, 6])
def test_it_says_what_the_specification_says(decimals: int) -> None:
    kzte = World(decimals).kzte
    assert kzte.name() == "KZTE Sandbox Tenge"
    assert kzte.symbol() == "KZTE"
    assert kzte.decimals() == decimals
    assert kzte.currency() == "KZT"
    assert kzte.version() == "1"
    assert kzte.totalSupply() == 0


def test_it_starts_running_and_frozen_to_itself(kzte: Contract) -> None:
    assert not kzte.paused()
    assert kzte.isFrozen(kzte.address)
    assert not kzte.isFrozen(address("aigul"))
