"""Failures of the bank: what is held or told, and that no failure moves money twice."""

import asyncpg
import pytest
from sqlalchemy import text

from sandbox.bank import accounts, calendar, checks, faults, inbox, service, simulator
from sandbox.bank.iso20022 import errors, messages, statements
from sandbox.bank.models import Kind
from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.http import Page
from tests.bank.conftest import SetClock
from tests.bank.test_simulator import SHOP, balance, deposit, give, order, told

PAGE = Page(limit=100, starting_after=None, ending_before=None)


async def switch(database: Database, name: str, times: int = 1) -> None:
    async with database.transaction() as db:
        await faults.switch(db, name, times)


async def red(database: Database) -> list[str]:
    async with database.transaction() as db:
        found = [*await checks.messages_match(db), *await checks.messages_agree(db)]
        return [check.detail for check in found if not check.ok]


async def notices(database: Database) -> int:
    async with database.transaction() as db:
        count: int = await db.scalar(
            text("SELECT count(*) FROM bank_message WHERE kind = :kind"),
            {"kind": Kind.credit_notice},
        )
        return count


async def test_a_duplicate_notice_changes_nothing(bank: Database) -> None:
    await switch(bank, faults.DUPLICATE_NOTICE)
    assert await deposit(bank, 100)
    assert await notices(bank) == 1
    assert await balance(bank, accounts.RESERVE_IBAN) == 100
    assert await red(bank) == []


async def test_a_contradictory_notice_is_held_and_named_until_the_bank_takes_it_back(
    bank: Database,
) -> None:
    await switch(bank, faults.CONTRADICTORY_NOTICE)
    assert await deposit(bank, 100)
    assert await notices(bank) == 1
    assert await red(bank) == [
        "bank_held 1: camt.054.CRDT ref-1: bank_message 1 says otherwise",
    ]
    await switch(bank, faults.CONTRADICTORY_NOTICE, 0)
    assert await red(bank) == []


async def test_a_line_missing_on_the_statement_turns_i6_red_and_is_named(bank: Database) -> None:
    await switch(bank, faults.MISSING_LINE)
    assert await deposit(bank, 100)
    assert await red(bank) == [
        f"bank_sim.booking {accounts.RESERVE_IBAN} ref-1 (bank_message 1): no such line of 100"
        " tiyn on the statement"
    ]
    async with bank.transaction() as db:
        made = await service.statements(db, accounts.RESERVE_IBAN, PAGE)
    assert [(one["closing_tiyn"], one["lines"]) for one in made] == [(0, [])]
    await switch(bank, faults.MISSING_LINE, 0)
    assert await red(bank) == []
    assert await balance(bank, accounts.RESERVE_IBAN) == 100


async def test_a_rejected_order_leaves_the_money_where_it_was(bank: Database) -> None:
    await deposit(bank, 100_000)
    await switch(bank, faults.REJECT)
    await give(bank, order("po_1"), order("po_2"))
    await simulator.step(bank)
    assert await told(bank, "po_1") == [Kind.rejected]
    assert await told(bank, "po_2") == [Kind.accepted]
    assert await red(bank) == []


async def test_a_rejected_payout_passes_the_issuers_own_orders_over(bank: Database) -> None:
    await deposit(bank, 100_000)
    await switch(bank, faults.REJECT_PAYOUT)
    await give(bank, order("fee_1", creditor_iban=accounts.OPERATING_IBAN), order("po_1"))
    await simulator.step(bank)
    assert await told(bank, "fee_1") == [Kind.accepted]
    assert await told(bank, "po_1") == [Kind.rejected]


@pytest.mark.parametrize(
    ("changes", "said", "left_tiyn"),
    [
        ({}, [Kind.accepted, Kind.debit_notice], 100_000 - 7920),
        ({"creditor_iban": accounts.RESERVE_IBAN}, [Kind.rejected], 100_000),
    ],
)
async def test_an_order_whose_answer_is_lost_is_sent_again_and_carried_out_once(
    bank: Database,
    set_clock: SetClock,
    changes: dict[str, str],
    said: list[str],
    left_tiyn: int,
) -> None:
    await deposit(bank, 100_000)
    await set_clock("2026-11-20T09:00")
    await switch(bank, faults.ANSWER_LOST, 2)
    await give(bank, order(**changes))
    for _ in range(2):
        assert await simulator.step(bank) == 1
        assert await told(bank, "po_1") == []
        assert await balance(bank, accounts.RESERVE_IBAN) == 100_000
        assert await red(bank) == []
    while await simulator.step(bank):
        pass
    assert await told(bank, "po_1") == said
    assert await balance(bank, accounts.RESERVE_IBAN) == left_tiyn
    assert await red(bank) == []
    async with bank.transaction() as db:
        counted = await db.execute(
            text(
                "SELECT (SELECT count(*) FROM bank_sim.payment_order),"
                " (SELECT count(*) FROM bank_resend)"
            )
        )
        assert tuple(counted.one()) == (1, 2)


@pytest.mark.parametrize(
    ("iban", "said"),
    [
        ("KZ49722REJECT0000001", [Kind.rejected]),
        ("KZ44722RETURN0000001", [Kind.accepted, Kind.debit_notice, Kind.returned]),
        ("KZ41722DELAY00000001", [Kind.accepted, Kind.queued]),
        ("KZ41722C000000000001", [Kind.accepted, Kind.debit_notice]),
    ],
)
async def test_what_is_paid_to_a_magic_account_always_fails_its_way(
    bank: Database, set_clock: SetClock, iban: str, said: list[str]
) -> None:
    await deposit(bank, 100_000)
    await set_clock("2026-11-20T09:00")
    for number in (1, 2):
        await give(bank, order(f"po_{number}", creditor_iban=iban))
        await simulator.step(bank)
        assert await told(bank, f"po_{number}") == said
    assert await red(bank) == []


async def test_a_delayed_order_is_booked_one_banking_day_late(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await switch(bank, faults.DELAY)
    await give(bank, order())
    await simulator.step(bank)
    await set_clock("2026-11-20T17:00")
    assert await simulator.step(bank) == 0
    await set_clock("2026-11-23T09:00")
    assert await simulator.step(bank) == 1
    assert await balance(bank, SHOP) == 7920


async def test_a_returned_payment_is_told_after_it_was_booked(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await switch(bank, faults.RETURN)
    await give(bank, order())
    await set_clock("2026-11-20T09:00")
    await simulator.step(bank)
    assert await told(bank, "po_1") == [Kind.accepted, Kind.debit_notice, Kind.returned]
    assert await balance(bank, accounts.RESERVE_IBAN) == 100_000
    assert await red(bank) == []


@pytest.mark.parametrize(
    ("end_to_end_id", "kind", "why"),
    [
        ("po_9", Kind.accepted, "nobody here gave that order"),
        ("po_1", Kind.rejected, "says camt.054.DBIT"),
        ("po_2", Kind.returned, "no camt.054.DBIT came before"),
    ],
)
async def test_a_message_that_contradicts_what_was_said_of_a_payment_is_held(
    bank: Database, set_clock: SetClock, end_to_end_id: str, kind: Kind, why: str
) -> None:
    await deposit(bank, 7920)
    await give(bank, order("po_1"), order("po_2"))
    await set_clock("2026-11-20T09:00")
    await simulator.step(bank)
    async with bank.transaction() as db:
        at = await clock.now(db)
        body = {
            "end_to_end_id": end_to_end_id,
            "iban": accounts.RESERVE_IBAN,
            "amount_tiyn": 1,
            "bank_reference": "x",
            "reason": "AC04",
            "value_date": "2026-11-20",
            "booked_at": clock.iso(at),
        }
        taken = await inbox.take(db, messages.build(kind, end_to_end_id, body, at))
    assert taken.message is None
    assert taken.held is not None
    assert why in taken.held.detail
    assert len(await red(bank)) == 1


async def test_a_notice_that_contradicts_the_statement_is_held(bank: Database) -> None:
    await deposit(bank, 100)
    async with bank.transaction() as db:
        at = await clock.now(db)
        body = {
            "iban": accounts.RESERVE_IBAN,
            "amount_tiyn": 100,
            "bank_reference": "ref-1",
            "value_date": "2026-11-19",
            "booked_at": clock.iso(at),
            "end_to_end_id": "po_1",
            "creditor_iban": SHOP,
        }
        await service.hand_over(db, order())
        await inbox.take(
            db,
            messages.build(Kind.accepted, "po_1", {"end_to_end_id": "po_1", "reason": None}, at),
        )
        taken = await inbox.take(db, messages.build(Kind.debit_notice, "ref-1", body, at))
        assert taken.held is not None
        assert "is a credit of 100, it says debit of 100" in taken.held.detail
        other = {**body, "iban": SHOP}
        with pytest.raises(errors.StatementOtherAccount):
            await inbox.take(db, messages.build(Kind.debit_notice, "ref-1", other, at))


async def test_days_statements_are_taken_once_and_in_their_order(
    bank: Database, set_clock: SetClock
) -> None:
    iban = accounts.RESERVE_IBAN
    await deposit(bank, 100)
    await set_clock("2026-11-20T12:00")
    await deposit(bank, 50, "ref-2")
    async with bank.transaction() as db:
        at = await clock.now(db)
        second, first = [
            statements.build(one, at) for one in await service.statements(db, iban, PAGE)
        ]
        assert (await inbox.take_statement(db, iban, first)).statement.closing_tiyn == 100
        assert not (await inbox.take_statement(db, iban, first)).is_new
        with pytest.raises(errors.StatementOtherAccount):
            await inbox.take_statement(db, accounts.OPERATING_IBAN, second)
        assert (await inbox.take_statement(db, iban, second)).statement.closing_tiyn == 150
        assert not (await inbox.take_statement(db, iban, first)).is_new
        assert calendar.local_date(at).isoformat() in second


async def test_an_altered_body_or_xml_is_named(bank: Database, owner_url: str) -> None:
    await deposit(bank, 100)
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("UPDATE bank_message SET xml = replace(xml, '>1.00<', '>2.00<')")
    finally:
        await owner.close()
    assert await red(bank) == [
        "bank_message 1: is not as it was written: its seal is of other contents",
        "bank_message 1: its XML says otherwise",
    ]
