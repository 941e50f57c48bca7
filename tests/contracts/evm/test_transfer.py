"""`transfer` and `transferFrom` (T03, T04, T07, T23)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.world import MAX, World, address

AIGUL, BOLAT, SHOP = address("aigul"), address("bolat"), address("shop")


@pytest.fixture(autouse=True)
def aigul_holds_1000(world: World) -> None:
    world.give(AIGUL, 1000)


def test_above_the_balance_is_refused(kzte: Contract) -> None:
    with refused("kzte: transfer amount exceeds balance"):
        kzte.transfer(BOLAT, 1001, sender=AIGUL)


def test_to_the_zero_address_is_refused(kzte: Contract) -> None:
    with refused("kzte: transfer to the zero address"):
        kzte.transfer(ZERO, 1, sender=AIGUL)


def test_to_the_token_itself_is_refused(kzte: Contract) -> None:
    with refused("kzte: account is frozen"):
        kzte.transfer(kzte.address, 1, sender=AIGUL)


def test_while_paused_is_refused(world: World, kzte: Contract) -> None:
    kzte.approve(SHOP, 1, sender=AIGUL)
    world.pause()
    with refused("kzte: paused"):
        kzte.transfer(BOLAT, 1, sender=AIGUL)
    with refused("kzte: paused"):
        kzte.transferFrom(AIGUL, BOLAT, 1, sender=SHOP)


@pytest.mark.parametrize("frozen", [AIGUL, BOLAT])
def test_with_a_frozen_party_is_refused(world: World, kzte: Contract, frozen: str) -> None:
    world.freeze(frozen)
    with refused("kzte: account is frozen"):
        kzte.transfer(BOLAT, 1, sender=AIGUL)


@pytest.mark.parametrize("frozen", [AIGUL, BOLAT, SHOP])
def test_through_an_allowance_with_anyone_frozen_is_refused(
    world: World, kzte: Contract, frozen: str
) -> None:
    kzte.approve(SHOP, 10, sender=AIGUL)
    world.freeze(frozen)
    with refused("kzte: account is frozen"):
        kzte.transferFrom(AIGUL, BOLAT, 1, sender=SHOP)


def test_above_the_allowance_is_refused(kzte: Contract) -> None:
    kzte.approve(SHOP, 9, sender=AIGUL)
    with refused("kzte: transfer amount exceeds allowance"):
        kzte.transferFrom(AIGUL, BOLAT, 10, sender=SHOP)


def test_above_the_balance_but_not_the_allowance_is_refused(kzte: Contract) -> None:
    kzte.approve(SHOP, MAX, sender=AIGUL)
    with refused("kzte: transfer amount exceeds balance"):
        kzte.transferFrom(AIGUL, BOLAT, 1001, sender=SHOP)


def test_an_allowance_does_not_pay_to_the_zero_address(kzte: Contract) -> None:
    kzte.approve(SHOP, 10, sender=AIGUL)
    with refused("kzte: transfer to the zero address"):
        kzte.transferFrom(AIGUL, ZERO, 1, sender=SHOP)


def test_ones_own_money_needs_an_allowance_too_in_transfer_from(kzte: Contract) -> None:
    with refused("kzte: transfer amount exceeds allowance"):
        kzte.transferFrom(AIGUL, BOLAT, 1, sender=AIGUL)


@pytest.mark.parametrize("amount", [0, 1, 1000])
def test_it_moves_the_amount_and_logs_it_once(kzte: Contract, amount: int) -> None:
    assert kzte.transfer(BOLAT, amount, sender=AIGUL) is True
    assert kzte.events == [event("Transfer", from_=AIGUL, to=BOLAT, value=amount)]
    assert (kzte.balanceOf(AIGUL), kzte.balanceOf(BOLAT)) == (1000 - amount, amount)
    assert kzte.totalSupply() == 1000


def test_to_oneself_keeps_the_balance(kzte: Contract) -> None:
    assert kzte.transfer(AIGUL, 1000, sender=AIGUL) is True
    assert kzte.balanceOf(AIGUL) == 1000
    assert kzte.totalSupply() == 1000


def test_it_spends_the_allowance_and_logs_the_transfer_only(kzte: Contract) -> None:
    kzte.approve(SHOP, 10, sender=AIGUL)
    assert kzte.transferFrom(AIGUL, BOLAT, 4, sender=SHOP) is True
    assert kzte.events == [event("Transfer", from_=AIGUL, to=BOLAT, value=4)]
    assert kzte.allowance(AIGUL, SHOP) == 6
    assert (kzte.balanceOf(AIGUL), kzte.balanceOf(BOLAT), kzte.balanceOf(SHOP)) == (996, 4, 0)


def test_the_greatest_allowance_is_never_used_up(kzte: Contract) -> None:
    kzte.approve(SHOP, MAX, sender=AIGUL)
    kzte.transferFrom(AIGUL, BOLAT, 1000, sender=SHOP)
    assert kzte.allowance(AIGUL, SHOP) == MAX


def test_one_less_than_the_greatest_allowance_is_used_up(kzte: Contract) -> None:
    kzte.approve(SHOP, MAX - 1, sender=AIGUL)
    kzte.transferFrom(AIGUL, BOLAT, 1000, sender=SHOP)
    assert kzte.allowance(AIGUL, SHOP) == MAX - 1001
