"""`transferWithAuthorization` and `receiveWithAuthorization` in both forms (A01-A11, A21-A23)."""

from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.signed import FORMS, RECEIVE, TRANSFER, pay
from tests.contracts.evm.world import MAX, START, Authorization, World, address, at, word

AIGUL, SHOP, RELAYER = address("aigul"), address("shop"), address("relayer")
WHAT = Authorization(AIGUL, SHOP)
both_forms = pytest.mark.parametrize("form", FORMS)
# Who may send it: anyone a transfer, the payee alone a receive.
both_calls = pytest.mark.parametrize(("struct", "sender"), [(TRANSFER, RELAYER), (RECEIVE, SHOP)])


@pytest.fixture(autouse=True)
def aigul_holds_1000(world: World) -> None:
    world.give(AIGUL, 1000)


@both_forms
@both_calls
@pytest.mark.parametrize("second", [-1, 0])
def test_up_to_valid_after_it_is_not_yet_valid(
    world: World, form: str, struct: str, sender: str, second: int
) -> None:
    at(START + second)
    with refused("kzte: authorization is not yet valid"):
        pay(world, form, WHAT.but(valid_after=START), struct=struct, sender=sender)


@both_forms
@both_calls
@pytest.mark.parametrize("second", [0, 1])
def test_from_valid_before_on_it_is_expired(
    world: World, form: str, struct: str, sender: str, second: int
) -> None:
    at(START + second)
    with refused("kzte: authorization is expired"):
        pay(world, form, WHAT.but(valid_before=START), struct=struct, sender=sender)


@both_calls
def test_one_second_inside_both_bounds_it_pays(
    world: World, kzte: Contract, struct: str, sender: str
) -> None:
    what = WHAT.but(valid_after=START - 1, valid_before=START + 1)
    pay(world, "bytes", what, struct=struct, sender=sender)
    assert kzte.balanceOf(SHOP) == 100


@both_forms
@both_calls
def test_a_replay_is_refused_also_with_other_terms_and_a_new_signature(
    world: World, form: str, struct: str, sender: str
) -> None:
    pay(world, form, WHAT, struct=struct, sender=sender)
    for again in (WHAT, WHAT.but(value=1), WHAT.but(valid_before=MAX)):
        with refused("kzte: authorization is used"):
            pay(world, form, again, struct=struct, sender=sender)


def test_transfer_and_receive_share_their_nonces(world: World) -> None:
    pay(world, "bytes", WHAT)
    with refused("kzte: authorization is used"):
        pay(world, "bytes", WHAT, struct=RECEIVE, sender=SHOP)


def test_the_same_nonce_of_another_authorizer_is_another_one(world: World, kzte: Contract) -> None:
    pay(world, "bytes", WHAT)
    world.give(world.bolat.address, 100)
    what = WHAT.but(from_=world.bolat.address)
    signature = world.sign(world.bolat, TRANSFER, *what.terms)
    pay(world, "bytes", what, signature)
    assert kzte.balanceOf(SHOP) == 200


@both_forms
def test_receive_by_anyone_but_the_payee_is_refused_before_all_else(
    world: World, form: str
) -> None:
    world.pause()
    at(START + 1000)
    with refused("kzte: caller is not the payee"):
        pay(world, form, WHAT, b"\0" * 65, struct=RECEIVE, sender=RELAYER)


@both_forms
def test_the_signature_of_one_call_does_not_work_for_the_other(world: World, form: str) -> None:
    for signed, called in ((TRANSFER, RECEIVE), (RECEIVE, TRANSFER)):
        signature = world.sign(world.aigul, signed, *WHAT.terms)
        with refused("kzte: invalid signature"):
            pay(world, form, WHAT, signature, struct=called, sender=SHOP)


@pytest.mark.parametrize(
    "changed",
    [
        {"from_": address("bolat")},
        {"to": address("bolat")},
        {"value": 101},
        {"valid_after": 1},
        {"valid_before": START + 301},
        {"nonce": word("other")},
    ],
)
@both_forms
def test_every_term_is_signed(world: World, form: str, changed: dict[str, Any]) -> None:
    signature = world.sign(world.aigul, TRANSFER, *WHAT.terms)
    with refused("kzte: invalid signature"):
        pay(world, form, replace(WHAT, **changed), signature)


@both_calls
def test_while_paused_is_refused(world: World, struct: str, sender: str) -> None:
    world.pause()
    with refused("kzte: paused"):
        pay(world, "bytes", WHAT, struct=struct, sender=sender)


@both_calls
@pytest.mark.parametrize("frozen", [AIGUL, SHOP])
def test_a_frozen_payer_or_payee_is_refused(
    world: World, struct: str, sender: str, frozen: str
) -> None:
    world.freeze(frozen)
    with refused("kzte: account is frozen"):
        pay(world, "bytes", WHAT, struct=struct, sender=sender)


def test_to_the_zero_address_is_refused(world: World) -> None:
    with refused("kzte: transfer to the zero address"):
        pay(world, "bytes", WHAT.but(to=ZERO))


def test_to_the_token_itself_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: account is frozen"):
        pay(world, "bytes", WHAT.but(to=kzte.address))


@both_calls
def test_one_that_failed_for_want_of_money_works_later(
    world: World, kzte: Contract, struct: str, sender: str
) -> None:
    what = WHAT.but(value=1001)
    with refused("kzte: transfer amount exceeds balance"):
        pay(world, "bytes", what, struct=struct, sender=sender)
    assert not kzte.authorizationState(AIGUL, what.nonce)
    world.give(AIGUL, 1)
    pay(world, "bytes", what, struct=struct, sender=sender)
    assert kzte.balanceOf(SHOP) == 1001


def test_one_that_failed_for_a_freeze_works_after_it(world: World, kzte: Contract) -> None:
    world.freeze(SHOP)
    with refused("kzte: account is frozen"):
        pay(world, "vrs", WHAT)
    kzte.unfreeze(SHOP, sender=world.freezer)
    pay(world, "vrs", WHAT)
    assert kzte.balanceOf(SHOP) == 100


def test_a_frozen_relayer_is_not_refused(world: World, kzte: Contract) -> None:
    world.freeze(RELAYER)
    pay(world, "bytes", WHAT, sender=RELAYER)
    assert kzte.balanceOf(SHOP) == 100


def test_anyone_may_send_a_transfer_first_and_the_payee_gets_the_money(
    world: World, kzte: Contract
) -> None:
    pay(world, "vrs", WHAT, sender=address("front runner"))
    assert kzte.balanceOf(SHOP) == 100
    with refused("kzte: authorization is used"):
        pay(world, "vrs", WHAT, sender=RELAYER)


@both_forms
@both_calls
@pytest.mark.parametrize("amount", [0, 1, 1000])
def test_it_uses_the_nonce_then_moves_the_money(
    world: World, kzte: Contract, form: str, struct: str, sender: str, amount: int
) -> None:
    what = WHAT.but(value=amount)
    pay(world, form, what, struct=struct, sender=sender)
    assert kzte.events == [
        event("AuthorizationUsed", authorizer=AIGUL, nonce=what.nonce),
        event("Transfer", from_=AIGUL, to=SHOP, value=amount),
    ]
    assert kzte.authorizationState(AIGUL, what.nonce)
    assert (kzte.balanceOf(AIGUL), kzte.balanceOf(SHOP)) == (1000 - amount, amount)
    assert kzte.nonces(AIGUL) == 0


def test_nonces_are_used_in_any_order(world: World, kzte: Contract) -> None:
    for number in (3, 1, 2):
        pay(world, "bytes", WHAT.but(nonce=number.to_bytes(32, "big")))
    assert kzte.balanceOf(SHOP) == 300
