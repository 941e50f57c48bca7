"""`approve`, `increaseAllowance`, `decreaseAllowance` (T05, T06)."""

import pytest

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.world import MAX, World, address

AIGUL, SHOP = address("aigul"), address("shop")
FAMILY = ["approve", "increaseAllowance", "decreaseAllowance"]


@pytest.mark.parametrize("function", FAMILY)
def test_while_paused_is_refused(world: World, kzte: Contract, function: str) -> None:
    world.pause()
    with refused("kzte: paused"):
        getattr(kzte, function)(SHOP, 0, sender=AIGUL)


@pytest.mark.parametrize("function", FAMILY)
def test_the_zero_address_as_spender_is_refused(kzte: Contract, function: str) -> None:
    with refused("kzte: approve to the zero address"):
        getattr(kzte, function)(ZERO, 0, sender=AIGUL)


def test_raising_it_above_the_greatest_number_is_refused(kzte: Contract) -> None:
    kzte.approve(SHOP, 2, sender=AIGUL)
    with refused("kzte: allowance overflow"):
        kzte.increaseAllowance(SHOP, MAX - 1, sender=AIGUL)
    assert kzte.increaseAllowance(SHOP, MAX - 2, sender=AIGUL)
    assert kzte.allowance(AIGUL, SHOP) == MAX


def test_lowering_it_below_zero_is_refused(kzte: Contract) -> None:
    kzte.approve(SHOP, 2, sender=AIGUL)
    with refused("kzte: allowance below zero"):
        kzte.decreaseAllowance(SHOP, 3, sender=AIGUL)
    assert kzte.decreaseAllowance(SHOP, 2, sender=AIGUL)
    assert kzte.allowance(AIGUL, SHOP) == 0


@pytest.mark.parametrize("amount", [0, 1, MAX])
def test_approving_sets_it_and_logs_it(kzte: Contract, amount: int) -> None:
    kzte.approve(SHOP, 7, sender=AIGUL)
    assert kzte.approve(SHOP, amount, sender=AIGUL) is True
    assert kzte.events == [event("Approval", owner=AIGUL, spender=SHOP, value=amount)]
    assert kzte.allowance(AIGUL, SHOP) == amount
    assert kzte.allowance(SHOP, AIGUL) == 0


def test_raising_and_lowering_log_the_new_total(kzte: Contract) -> None:
    assert kzte.increaseAllowance(SHOP, 5, sender=AIGUL) is True
    assert kzte.events == [event("Approval", owner=AIGUL, spender=SHOP, value=5)]
    assert kzte.decreaseAllowance(SHOP, 2, sender=AIGUL) is True
    assert kzte.events == [event("Approval", owner=AIGUL, spender=SHOP, value=3)]


@pytest.mark.parametrize("frozen", [AIGUL, SHOP])
@pytest.mark.parametrize("function", FAMILY)
def test_frozen_parties_may_approve(
    world: World, kzte: Contract, function: str, frozen: str
) -> None:
    world.freeze(frozen)
    assert getattr(kzte, function)(SHOP, 0, sender=AIGUL) is True
