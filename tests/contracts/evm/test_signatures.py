"""What counts as somebody's signature: malleable, malformed, zero, smart wallets (A12-A18)."""

import boa
import pytest

from tests.contracts.evm.calls import ZERO, Contract, refused
from tests.contracts.evm.odd import odd_wallet
from tests.contracts.evm.signed import FORMS, TRANSFER, cancel, parts, pay, permit
from tests.contracts.evm.world import HALF_ORDER, MAX, ORDER, Authorization, World, address, twin

AIGUL, SHOP = address("aigul"), address("shop")
WHAT = Authorization(AIGUL, SHOP)
both_forms = pytest.mark.parametrize("form", FORMS)


@pytest.fixture
def good(world: World) -> bytes:
    world.give(AIGUL, 1000)
    return world.sign(world.aigul, TRANSFER, *WHAT.terms)


@both_forms
def test_the_high_s_twin_is_refused_in_every_call(world: World, form: str, good: bytes) -> None:
    with refused("kzte: invalid signature"):
        pay(world, form, WHAT, twin(good))
    canceling = world.sign(world.aigul, "CancelAuthorization", AIGUL, WHAT.nonce)
    with refused("kzte: invalid signature"):
        cancel(world, form, WHAT.nonce, twin(canceling))
    values = world.permit_values(world.aigul, SHOP, 5, MAX)
    with refused("kzte: invalid signature"):
        permit(
            world,
            form,
            SHOP,
            5,
            MAX,
            signature=twin(world.sign(world.aigul, "Permit", *values)),
        )
    assert HALF_ORDER * 2 + 1 == ORDER


@both_forms
@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_v_other_than_27_and_28_is_refused(world: World, form: str, good: bytes, v: int) -> None:
    with refused("kzte: invalid signature"):
        pay(world, form, WHAT, good[:64] + bytes([v]))


@both_forms
def test_the_other_v_is_refused(world: World, form: str, good: bytes) -> None:
    with refused("kzte: invalid signature"):
        pay(world, form, WHAT, good[:64] + bytes([55 - good[64]]))


@both_forms
@pytest.mark.parametrize("signature", [bytes(65), bytes(64) + b"\x1b", b"\xff" * 64 + b"\x1b"])
@pytest.mark.parametrize("owner", [AIGUL, ZERO])
def test_nonsense_signs_for_nobody_not_even_the_zero_address(
    world: World, kzte: Contract, form: str, signature: bytes, owner: str
) -> None:
    with refused("kzte: invalid signature"):
        kzte.permit(owner, SHOP, 1, MAX, *parts(form, signature))
    with refused("kzte: invalid signature"):
        kzte.transferWithAuthorization(
            *WHAT.but(from_=owner, value=0).terms, *parts(form, signature)
        )
    with refused("kzte: invalid signature"):
        kzte.cancelAuthorization(owner, WHAT.nonce, *parts(form, signature))


@pytest.mark.parametrize("length", [0, 1, 63, 64, 66, 130, 2048])
def test_a_signature_of_another_length_than_65_is_refused(
    world: World, good: bytes, length: int
) -> None:
    with refused("kzte: invalid signature"):
        pay(world, "bytes", WHAT, (good * 32)[:length])


def test_the_short_form_of_64_bytes_is_refused(world: World, good: bytes) -> None:
    v, r, s = parts("vrs", good)
    y_parity_and_s = (int.from_bytes(s, "big") | (v - 27) << 255).to_bytes(32, "big")
    with refused("kzte: invalid signature"):
        pay(world, "bytes", WHAT, r + y_parity_and_s)


def test_a_signature_longer_than_2048_bytes_is_refused(world: World, good: bytes) -> None:
    with refused(""):
        pay(world, "bytes", WHAT, (good * 32)[:2049])


@pytest.fixture
def wallet(world: World) -> Contract:
    """A smart wallet of aigul's that holds money."""
    found = odd_wallet(AIGUL, world.kzte.address)
    world.give(found.address, 1000)
    return found


@both_forms
def test_a_smart_wallets_owner_signs_for_it(
    world: World, kzte: Contract, wallet: Contract, form: str
) -> None:
    what = WHAT.but(from_=wallet.address)
    pay(world, form, what, world.sign(world.aigul, TRANSFER, *what.terms))
    assert kzte.balanceOf(SHOP) == 100
    values = (wallet.address, SHOP, 5, 0, MAX)
    kzte.permit(
        wallet.address, SHOP, 5, MAX, *parts(form, world.sign(world.aigul, "Permit", *values))
    )
    assert kzte.allowance(wallet.address, SHOP) == 5


@both_forms
def test_a_stranger_does_not_sign_for_a_smart_wallet(
    world: World, wallet: Contract, form: str
) -> None:
    what = WHAT.but(from_=wallet.address)
    with refused("kzte: invalid signature"):
        pay(world, form, what, world.sign(world.bolat, TRANSFER, *what.terms))


@pytest.mark.parametrize("mode", [1, 2, 3, 4, 5, 7, 9, 10])
def test_a_wallet_that_answers_anything_but_the_one_word_is_refused(
    world: World, wallet: Contract, mode: int
) -> None:
    wallet.behave(mode)
    with refused("kzte: invalid signature"):
        pay(world, "bytes", WHAT.but(from_=wallet.address), b"whatever")
    assert wallet.written() == 0


def test_a_wallet_that_reads_the_token_while_it_checks_works(
    world: World, kzte: Contract, wallet: Contract
) -> None:
    wallet.behave(6)
    pay(world, "bytes", WHAT.but(from_=wallet.address), b"")
    assert kzte.balanceOf(SHOP) == 100


@pytest.mark.parametrize("length", [0, 64, 66, 2048])
def test_a_wallet_may_have_signatures_of_any_length(
    world: World, kzte: Contract, wallet: Contract, length: int
) -> None:
    wallet.behave(8)
    pay(world, "bytes", WHAT.but(from_=wallet.address), b"\x01" * length)
    assert kzte.balanceOf(SHOP) == 100


def test_an_account_with_delegated_code_still_signs_with_its_key(
    world: World, kzte: Contract, good: bytes
) -> None:
    # EIP-7702: any code at the account's address, here one that accepts nothing.
    boa.env.set_code(AIGUL, bytes.fromhex("60006000fd"))
    pay(world, "bytes", WHAT, good)
    assert kzte.balanceOf(SHOP) == 100


def test_a_wallets_wrapped_signature_for_later_deployment_is_refused(
    world: World, good: bytes
) -> None:
    # ERC-6492: whoever relays it unwraps it and deploys the wallet first.
    with refused("kzte: invalid signature"):
        pay(world, "bytes", WHAT, good + bytes.fromhex("6492" * 16))
