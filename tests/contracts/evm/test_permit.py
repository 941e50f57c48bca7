"""`permit` in both forms (A03, A04, A11, A22)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.signed import FORMS, permit
from tests.contracts.evm.world import MAX, START, World, address, at

AIGUL, SHOP, BOLAT = address("aigul"), address("shop"), address("bolat")
both_forms = pytest.mark.parametrize("form", FORMS)


@both_forms
def test_after_the_deadline_is_refused(world: World, form: str) -> None:
    at(START + 1)
    with refused("kzte: permit is expired"):
        permit(world, form, SHOP, 5, START)


@both_forms
@pytest.mark.parametrize("second", [-1, 0])
def test_up_to_the_deadline_itself_it_works(
    world: World, kzte: Contract, form: str, second: int
) -> None:
    at(START + second)
    permit(world, form, SHOP, 5, START)
    assert kzte.allowance(AIGUL, SHOP) == 5


@both_forms
def test_while_paused_is_refused(world: World, form: str) -> None:
    world.pause()
    with refused("kzte: paused"):
        permit(world, form, SHOP, 5, MAX)


@both_forms
def test_the_zero_address_as_spender_is_refused(world: World, form: str) -> None:
    with refused("kzte: approve to the zero address"):
        permit(world, form, ZERO, 5, MAX)


@both_forms
@pytest.mark.parametrize("nonce", [1, MAX])
def test_a_nonce_that_is_not_next_is_refused(world: World, form: str, nonce: int) -> None:
    with refused("kzte: invalid signature"):
        permit(world, form, SHOP, 5, MAX, nonce=nonce)


@both_forms
def test_a_replay_is_refused(world: World, form: str) -> None:
    values = world.permit_values(world.aigul, SHOP, 5, MAX)
    signature = world.sign(world.aigul, "Permit", *values)
    permit(world, form, SHOP, 5, MAX, signature=signature)
    with refused("kzte: invalid signature"):
        permit(world, form, SHOP, 5, MAX, signature=signature)


@both_forms
@pytest.mark.parametrize(
    ("spender", "value", "deadline"), [(BOLAT, 5, MAX), (SHOP, 6, MAX), (SHOP, 5, MAX - 1)]
)
def test_every_term_is_signed(
    world: World, form: str, spender: str, value: int, deadline: int
) -> None:
    signature = world.sign(world.aigul, "Permit", *world.permit_values(world.aigul, SHOP, 5, MAX))
    with refused("kzte: invalid signature"):
        permit(world, form, spender, value, deadline, signature=signature)


@both_forms
def test_signed_by_another_is_refused(world: World, form: str) -> None:
    values = world.permit_values(world.aigul, SHOP, 5, MAX)
    with refused("kzte: invalid signature"):
        permit(world, form, SHOP, 5, MAX, signature=world.sign(world.bolat, "Permit", *values))


@both_forms
@pytest.mark.parametrize("value", [0, 5, MAX])
def test_it_approves_and_takes_the_nonce(
    world: World, kzte: Contract, form: str, value: int
) -> None:
    permit(world, form, SHOP, value, MAX)
    assert kzte.events == [event("Approval", owner=AIGUL, spender=SHOP, value=value)]
    assert kzte.allowance(AIGUL, SHOP) == value
    assert kzte.nonces(AIGUL) == 1
    assert kzte.nonces(SHOP) == 0


@pytest.mark.parametrize("frozen", [AIGUL, SHOP])
def test_frozen_parties_may_permit(world: World, kzte: Contract, frozen: str) -> None:
    world.freeze(frozen)
    permit(world, "bytes", SHOP, 5, MAX)
    assert kzte.allowance(AIGUL, SHOP) == 5


def test_whose_permit_was_sent_first_by_another_has_the_allowance_all_the_same(
    world: World, kzte: Contract
) -> None:
    world.give(AIGUL, 5)
    permit(world, "vrs", SHOP, 5, MAX)
    assert kzte.transferFrom(AIGUL, BOLAT, 5, sender=SHOP)
