"""I2 and I6 with real breaches: each is made by changing the rows that the check reads."""

from datetime import UTC, date, datetime

import asyncpg
import pytest
from sqlalchemy import text

from sandbox.bank import incoming, simulator
from sandbox.bank import service as bank
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.bank.models import Kind
from sandbox.core.checks import Check
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, Leg, NewEntry, credit, debit
from sandbox.reserve import backing
from sandbox.reserve.checks import reserve_covers, statements_match
from tests.reserve.world import World

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
CREDITOR = "KZ31601A000000000001"


async def _deposit(world: World, amount_tiyn: int = 100_000) -> None:
    body = {"amount_tiyn": amount_tiyn, "bank_reference": "CAMT-1"}
    assert (await world.post("/v1/reserve/deposits", body)).status_code == 201


async def _post(world: World, ref: str, *legs: Leg) -> None:
    async with world.database.transaction() as db:
        entry = NewEntry(new_id("ent", NOW), "posted", "test", ref, None, NOW, "test", legs)
        event = NewEvent(new_id("evt", NOW), "test.posted", NOW, {}, refs=(ref,))
        await ledger.record(db, Changes(entries=[entry], events=[event]))


async def _i6(world: World) -> dict[str, Check]:
    async with world.database.transaction() as db:
        found = await statements_match(db)
    assert {check.id for check in found} == {"I6"}
    return {check.detail.partition(":")[0]: check for check in found}


async def _read_all(world: World, kind: Kind) -> None:
    async with world.database.transaction() as db:
        for message in await bank.unread(db, [kind]):
            await bank.mark_read(db, message)


async def test_money_that_left_the_bank_without_the_books_turns_i6_red(
    world: World, owner_url: str
) -> None:
    await _deposit(world)
    owner = await asyncpg.connect(owner_url)
    await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = amount_tiyn - 1")
    await owner.close()
    check = (await _i6(world))["1010"]
    assert (check.ok, check.left, check.right) == (False, 99_999, 100_000)


async def test_money_that_left_the_books_without_the_bank_turns_i6_red(world: World) -> None:
    await _deposit(world)
    await _post(world, "x", debit(accounts.operating(), 5), credit(accounts.reserve_bank(), 5))
    checks = await _i6(world)
    assert (checks["1010"].ok, checks["1110"].ok) == (False, False)


async def test_a_payout_in_the_books_that_no_bank_accepted_turns_i6_red(world: World) -> None:
    await _deposit(world)
    async with world.database.transaction() as db:
        dep = await db.scalar(text("SELECT id FROM deposit"))
    await _post(world, "x", debit(accounts.unminted(dep), 5), credit(accounts.in_transit(), 5))
    check = (await _i6(world))["1090"]
    assert (check.ok, check.left, check.right) == (False, 5, 0)


async def test_a_credit_nobody_has_read_yet_explains_itself(world: World) -> None:
    await _deposit(world)
    async with world.database.transaction() as db:
        await incoming.credit(
            db, iban=RESERVE_IBAN, amount_tiyn=5, bank_reference="UNREAD", customer="somebody"
        )
    check = (await _i6(world))["1010"]
    assert (check.ok, check.left, check.right) == (True, 100_005, 100_005)
    assert "unread notices 5" in check.detail


async def test_a_payout_is_explained_from_acceptance_to_booking(world: World) -> None:
    await _deposit(world)
    order = bank.CreditTransfer(
        end_to_end_id="po_1",
        debtor_iban=RESERVE_IBAN,
        creditor_iban=CREDITOR,
        creditor="mch_1",
        creditor_name="Кафе",
        amount_tiyn=7_920,
        value_date=date(2020, 1, 6),
        knp="859",
        kbe="17",
        # Booked at once on whatever day the test runs.
        rail="instant",
    )
    async with world.database.transaction() as db:
        await bank.hand_over(db, order)
        dep = await db.scalar(text("SELECT id FROM deposit"))
    # Accepted, and read: the books say in transit, and the bank agrees.
    async with world.database.transaction() as db:
        assert await simulator._receive(db, 10) == 1
    red = (await _i6(world))["1090"]
    assert (red.ok, red.left, red.right) == (True, 0, 0)
    await _read_all(world, Kind.accepted)
    red = (await _i6(world))["1090"]
    assert (red.ok, red.left, red.right) == (False, 0, 7_920)
    await _post(
        world, "sent", debit(accounts.unminted(dep), 7_920), credit(accounts.in_transit(), 7_920)
    )
    checks = await _i6(world)
    assert (checks["1010"].ok, checks["1090"].ok, checks["1090"].left) == (True, True, 7_920)
    # Booked, and not read yet.
    await simulator.step(world.database)
    checks = await _i6(world)
    assert all(check.ok for check in checks.values()), checks
    assert checks["1010"].left == 92_080
    # Read, and the books follow.
    await _read_all(world, Kind.debit_notice)
    assert not (await _i6(world))["1090"].ok
    await _post(
        world, "booked", debit(accounts.in_transit(), 7_920), credit(accounts.reserve_bank(), 7_920)
    )
    checks = await _i6(world)
    assert all(check.ok for check in checks.values()), checks
    async with world.database.transaction() as db:
        [covered] = await reserve_covers(db)
    assert (covered.ok, covered.left, covered.right) == (True, 92_080, 92_080)


async def test_both_ways_to_read_the_backing_agree(world: World) -> None:
    await _deposit(world)
    await _post(
        world, "x", debit(accounts.reserve_central_bank(), 40), credit(accounts.reserve_bank(), 40)
    )
    await _post(
        world, "y", debit(accounts.reserve_bills(), 10), credit(accounts.reserve_bank(), 10)
    )
    async with world.database.transaction() as db:
        cached, recomputed = await backing.read(db), await backing.recompute(db)
    assert cached == recomputed
    assert cached.assets == {
        "bank_tiyn": 99_950,
        "central_bank_tiyn": 40,
        "bills_tiyn": 10,
        "in_transit_tiyn": 0,
    }


@pytest.mark.parametrize(
    ("reserve", "owed", "ratio"),
    [(0, 0, None), (92_080, 92_000, "1.0008"), (99_999, 100_000, "0.9999"), (-1, 2, "-0.5000")],
)
def test_the_ratio_is_rounded_down_and_null_when_nothing_is_owed(
    reserve: int, owed: int, ratio: str | None
) -> None:
    assert backing.Backing({"bank_tiyn": reserve}, {"outstanding_tiyn": owed}).ratio == ratio
