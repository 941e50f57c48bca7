"""I7 turns red when rows are changed behind the ledger's back."""

import pytest

from sandbox.chains.memory import Move
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.payments import checks as payment_checks
from sandbox.settlement import checks
from tests.settlement.conftest import Town


async def test_sound_batches_are_green_with_the_two_sums(town: Town) -> None:
    async with town.database.transaction() as db:
        (empty,) = await checks.batches_add_up(db)
    assert (empty.ok, empty.left, empty.right) == (True, 0, 0)
    await town.pay(6000)
    await town.settle()
    async with town.database.transaction() as db:
        (one,) = await checks.batches_add_up(db)
    assert (one.id, one.ok, one.left, one.right) == ("I7", True, 5940, 5940)


@pytest.mark.parametrize(
    ("breach", "word"),
    [
        ("UPDATE settlement_line SET amount_tiyn = amount_tiyn + 1", "owed"),
        ("UPDATE settlement_line SET fee_tiyn = fee_tiyn + 1", "fees"),
        ("UPDATE settlement_line SET refunded_tiyn = refunded_tiyn + 5", "owed"),
        ("UPDATE settlement SET carried_tiyn = 7", "carried"),
        ("UPDATE settlement SET opening_tiyn = 7", "opening"),
        ("UPDATE payout SET amount_tiyn = amount_tiyn + 1", "paid"),
        ("DELETE FROM payout", "paid"),
        ("UPDATE settlement_burn SET units = units + 1", "units"),
        ("UPDATE settlement_burn SET vat_tiyn = 0", "VAT"),
        ("DELETE FROM settlement_burn", "no burn"),
        ("UPDATE payment SET counted_units = counted_units + 1", "counted"),
        ("UPDATE payment SET settlement_state = 'unsettled'", "unsettled"),
        (
            "UPDATE leg SET amount = amount - 1 WHERE account_id ="
            " (SELECT id FROM account WHERE code LIKE 'l:payout:%') AND side = 'C'",
            "2040",
        ),
        (
            "DELETE FROM settlement_line;"
            " UPDATE settlement SET paid_tiyn = 0; UPDATE settlement_burn SET status = 'stuck'",
            "owed",
        ),
    ],
)
async def test_an_altered_row_is_found_and_named(town: Town, breach: str, word: str) -> None:
    await town.pay(6000)
    await town.settle()
    await town.world.carry_out()
    await town.bank_and_books()
    await town.audit()
    await town.as_owner(breach)
    async with town.database.transaction() as db:
        (found,) = await checks.batches_add_up(db)
    assert not found.ok
    assert word in found.detail


@pytest.mark.parametrize(
    ("breach", "word"),
    [
        ("UPDATE settlement_line SET deferred_at = NULL", "owed"),
        ("UPDATE settlement_burn SET status = 'sweeping'", "held"),
        ("DELETE FROM settlement_burn WHERE units = 6000", "no burn"),
        ("UPDATE payout SET status = 'pending', amount_tiyn = 5", "paid"),
        ("DELETE FROM entry WHERE ref LIKE '%:deferred:%'", "held"),
    ],
)
async def test_an_altered_row_of_a_deferred_line_is_found_and_named(
    swept_town: Town, breach: str, word: str
) -> None:
    town = swept_town
    assert isinstance(town.chain, DepositMemoryChain)
    await town.pay(6000)
    frozen = await town.get(f"/v1/payments/{await town.pay(4000)}")
    address = town.chain.deposit_address(frozen["session"])
    town.chain.send(Move("freeze", destination=address))
    await town.ask()
    await town.world.carry_out()
    await town.bank_and_books()
    await town.audit()
    await town.as_owner(breach)
    async with town.database.transaction() as db:
        (found,) = await checks.batches_add_up(db)
    assert not found.ok
    assert word in found.detail


async def test_a_payment_that_seems_swept_and_is_not_turns_the_audit_red(swept_town: Town) -> None:
    town = swept_town
    await town.pay(6000)
    await town.audit()
    await town.as_owner("UPDATE payment SET sweep = 'swp_none'")
    async with town.database.transaction() as db:
        (found,) = await payment_checks.unswept_is_explained(db)
    assert (found.ok, found.left, found.right) == (False, 6000, 0)
    assert found.detail.startswith("memory: ")
