"""`mint` (T08, T09, T23)."""

from tests.contracts.evm.calls import ZERO, Contract, event, refused
from tests.contracts.evm.world import MAX, World, address, word

AIGUL = address("aigul")
ISSUANCE = word("iss_1")


def test_by_anyone_but_a_minter_is_refused(world: World, kzte: Contract) -> None:
    for sender in (AIGUL, world.admin, world.master):
        with refused("kzte: caller is not a minter"):
            kzte.mint(AIGUL, 1, ISSUANCE, sender=sender)


def test_while_paused_is_refused(world: World, kzte: Contract) -> None:
    world.pause()
    with refused("kzte: paused"):
        kzte.mint(AIGUL, 1, ISSUANCE, sender=world.issuer)


def test_by_a_frozen_minter_is_refused(world: World, kzte: Contract) -> None:
    world.freeze(world.issuer)
    with refused("kzte: account is frozen"):
        kzte.mint(AIGUL, 1, ISSUANCE, sender=world.issuer)


def test_to_a_frozen_account_is_refused(world: World, kzte: Contract) -> None:
    world.freeze(AIGUL)
    with refused("kzte: account is frozen"):
        kzte.mint(AIGUL, 1, ISSUANCE, sender=world.issuer)
    with refused("kzte: account is frozen"):
        kzte.mint(kzte.address, 1, ISSUANCE, sender=world.issuer)


def test_to_the_zero_address_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: mint to the zero address"):
        kzte.mint(ZERO, 1, ISSUANCE, sender=world.issuer)


def test_of_nothing_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: mint amount is zero"):
        kzte.mint(AIGUL, 0, ISSUANCE, sender=world.issuer)


def test_above_the_minters_allowance_is_refused(world: World, kzte: Contract) -> None:
    kzte.configureMinter(world.issuer, 99, sender=world.master)
    with refused("kzte: mint amount exceeds the minter's allowance"):
        kzte.mint(AIGUL, 100, ISSUANCE, sender=world.issuer)


def test_by_the_treasury_which_only_burns_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: mint amount exceeds the minter's allowance"):
        kzte.mint(AIGUL, 1, ISSUANCE, sender=world.treasury)


def test_above_the_greatest_supply_is_refused(world: World, kzte: Contract) -> None:
    kzte.mint(AIGUL, MAX, ISSUANCE, sender=world.issuer)
    kzte.configureMinter(world.issuer, MAX, sender=world.master)
    with refused("kzte: supply overflow"):
        kzte.mint(address("bolat"), 1, word("iss_2"), sender=world.issuer)


def test_without_a_reference_is_refused(world: World, kzte: Contract) -> None:
    with refused("kzte: reference is empty"):
        kzte.mint(AIGUL, 1, bytes(32), sender=world.issuer)


def test_a_reference_a_second_time_is_refused_also_of_another_minter(
    world: World, kzte: Contract
) -> None:
    kzte.mint(AIGUL, 1, ISSUANCE, sender=world.issuer)
    kzte.configureMinter(world.treasury, 10, sender=world.master)
    for sender in (world.issuer, world.treasury):
        with refused("kzte: reference is used"):
            kzte.mint(address("bolat"), 2, ISSUANCE, sender=sender)
    assert kzte.totalSupply() == 1


def test_a_refused_mint_leaves_its_reference_unused(world: World, kzte: Contract) -> None:
    world.freeze(AIGUL)
    with refused("kzte: account is frozen"):
        kzte.mint(AIGUL, 1, ISSUANCE, sender=world.issuer)
    assert not kzte.isReferenceUsed(ISSUANCE)
    kzte.unfreeze(AIGUL, sender=world.freezer)
    assert kzte.mint(AIGUL, 1, ISSUANCE, sender=world.issuer)


def test_it_credits_the_receiver_and_names_the_issuance(world: World, kzte: Contract) -> None:
    kzte.configureMinter(world.issuer, 100, sender=world.master)
    assert kzte.mint(AIGUL, 60, ISSUANCE, sender=world.issuer) is True
    assert kzte.events == [
        event("Mint", minter=world.issuer, to=AIGUL, value=60, reference=ISSUANCE),
        event("Transfer", from_=ZERO, to=AIGUL, value=60),
    ]
    assert kzte.isReferenceUsed(ISSUANCE)
    assert kzte.minterAllowance(world.issuer) == 40
    assert (kzte.balanceOf(AIGUL), kzte.totalSupply()) == (60, 60)
