"""`cancelAuthorization` in both forms (A07, A08)."""

import pytest

from tests.contracts.evm.calls import Contract, event, refused
from tests.contracts.evm.signed import FORMS, RECEIVE, cancel, pay
from tests.contracts.evm.world import Authorization, World, address, at, word

AIGUL, SHOP = address("aigul"), address("shop")
WHAT = Authorization(AIGUL, SHOP)
both_forms = pytest.mark.parametrize("form", FORMS)


@both_forms
def test_while_paused_is_refused(world: World, form: str) -> None:
    world.pause()
    with refused("kzte: paused"):
        cancel(world, form, WHAT.nonce)


@both_forms
def test_of_a_used_or_canceled_nonce_is_refused(world: World, form: str) -> None:
    world.give(AIGUL, 100)
    pay(world, "bytes", WHAT)
    cancel(world, "bytes", word("canceled"))
    for nonce in (WHAT.nonce, word("canceled")):
        with refused("kzte: authorization is used"):
            cancel(world, form, nonce)


@both_forms
def test_signed_by_another_is_refused(world: World, form: str) -> None:
    signature = world.sign(world.bolat, "CancelAuthorization", AIGUL, WHAT.nonce)
    with refused("kzte: invalid signature"):
        cancel(world, form, WHAT.nonce, signature)


def test_the_signature_of_another_nonce_is_refused(world: World) -> None:
    signature = world.sign(world.aigul, "CancelAuthorization", AIGUL, word("other"))
    with refused("kzte: invalid signature"):
        cancel(world, "bytes", WHAT.nonce, signature)


def test_a_payments_signature_does_not_cancel_it(world: World) -> None:
    signature = world.sign(world.aigul, "TransferWithAuthorization", *WHAT.terms)
    with refused("kzte: invalid signature"):
        cancel(world, "bytes", WHAT.nonce, signature)


@both_forms
def test_a_canceled_authorization_is_refused_in_both_calls(
    world: World, kzte: Contract, form: str
) -> None:
    world.give(AIGUL, 100)
    cancel(world, form, WHAT.nonce)
    assert kzte.events == [event("AuthorizationCanceled", authorizer=AIGUL, nonce=WHAT.nonce)]
    assert kzte.authorizationState(AIGUL, WHAT.nonce)
    with refused("kzte: authorization is used"):
        pay(world, form, WHAT)
    with refused("kzte: authorization is used"):
        pay(world, form, WHAT, struct=RECEIVE, sender=SHOP)


def test_it_has_no_time_and_works_for_a_frozen_authorizer(world: World, kzte: Contract) -> None:
    world.freeze(AIGUL)
    at(2**40)
    cancel(world, "vrs", WHAT.nonce)
    assert kzte.authorizationState(AIGUL, WHAT.nonce)
