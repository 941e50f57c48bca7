"""Credits and payment orders at the simulated bank, from refusals to returns."""

import asyncio
from datetime import date
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from sandbox.bank import accounts, inbox, incoming, rails, registry, service, simulator
from sandbox.bank.errors import (
    AmountAboveRail,
    BankReferenceConflict,
    BankReferenceReserved,
    KbeContradictsPayee,
    PaymentCodeInvalid,
    TextNotWritable,
    ValueDateNotBankingDay,
)
from sandbox.bank.iso20022 import messages as iso_messages
from sandbox.bank.models import BankMessage, Kind
from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.errors import NotFound, SandboxError
from tests.bank.conftest import SetClock

SHOP = "KZ31601A000000000001"
SHOP_ID = "mch_shop"


def order(end_to_end_id: str = "po_1", **changes: object) -> service.CreditTransfer:
    wanted: dict[str, Any] = {
        "end_to_end_id": end_to_end_id,
        "debtor_iban": accounts.RESERVE_IBAN,
        "creditor_iban": SHOP,
        "creditor": SHOP_ID,
        "creditor_name": "Shop",
        "amount_tiyn": 7920,
        "value_date": date(2026, 11, 20),
        "knp": "710",
        "kbe": "17",
        **changes,
    }
    return service.CreditTransfer(**wanted)


async def give(database: Database, *orders: service.CreditTransfer) -> None:
    async with database.transaction() as db:
        for one in orders:
            await service.hand_over(db, one)


async def deposit(database: Database, amount_tiyn: int, reference: str = "ref-1") -> bool:
    async with database.transaction() as db:
        made = await incoming.credit(
            db, iban=accounts.RESERVE_IBAN, amount_tiyn=amount_tiyn, bank_reference=reference
        )
        return made.is_new


async def messages(database: Database) -> list[tuple[str, str | None]]:
    async with database.transaction() as db:
        found = await service.unread(db, list(Kind))
        return [(message.kind, message.end_to_end_id) for message in found]


async def told(database: Database, end_to_end_id: str) -> list[str]:
    """What the bank said of one payment, read or not, in its order."""
    async with database.transaction() as db:
        rows = await db.execute(
            text(
                "SELECT kind FROM bank_message WHERE direction = 'in' AND end_to_end_id = :id"
                " ORDER BY id"
            ),
            {"id": end_to_end_id},
        )
        return [row.kind for row in rows]


async def balance(database: Database, iban: str) -> int:
    async with database.transaction() as db:
        return await service.balance(db, iban)


async def read_all(database: Database) -> list[str]:
    """Reads messages as a slice would: those of one payment one after the other."""
    kinds: list[str] = []
    while True:
        async with database.transaction() as db:
            found = await service.unread(db, list(Kind))
            for message in found:
                await service.mark_read(db, message)
                kinds.append(message.kind)
        if not found:
            return kinds


async def test_a_reference_with_other_contents_is_refused(bank: Database) -> None:
    await deposit(bank, 100)
    with pytest.raises(BankReferenceConflict):
        await deposit(bank, 101)


async def test_a_reference_on_another_account_is_refused(bank: Database) -> None:
    await deposit(bank, 100)
    with pytest.raises(BankReferenceConflict):
        async with bank.transaction() as db:
            await incoming.credit(
                db, iban=accounts.OPERATING_IBAN, amount_tiyn=100, bank_reference="ref-1"
            )


async def test_a_reference_that_looks_like_the_banks_own_is_refused(bank: Database) -> None:
    with pytest.raises(BankReferenceReserved):
        await deposit(bank, 100, "EURI-000000000001")


async def test_money_for_an_account_that_no_bank_has_is_refused(bank: Database) -> None:
    with pytest.raises(NotFound):
        async with bank.transaction() as db:
            await incoming.credit(db, iban=SHOP, amount_tiyn=1, bank_reference="ref-1")


async def test_the_application_cannot_change_or_remove_a_line_of_a_statement(
    bank: Database,
) -> None:
    await deposit(bank, 100)
    for statement in (
        "UPDATE bank_sim.booking SET amount_tiyn = 1",
        "DELETE FROM bank_sim.booking",
        "TRUNCATE bank_sim.booking",
        "DELETE FROM bank_message",
        "UPDATE bank_message SET body = '{}'",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with bank.transaction() as db:
                await db.execute(text(statement))


@pytest.mark.parametrize(
    ("changes", "refusal", "code"),
    [
        ({"knp": ""}, PaymentCodeInvalid, "knp_missing"),
        ({"knp": "71"}, PaymentCodeInvalid, "knp_invalid"),
        ({"knp": "７１０"}, PaymentCodeInvalid, "knp_invalid"),
        ({"kbe": ""}, PaymentCodeInvalid, "kbe_missing"),
        ({"kbe": "10"}, PaymentCodeInvalid, "kbe_invalid"),
        ({"kbe": "37"}, PaymentCodeInvalid, "kbe_invalid"),
        ({"kod": ""}, PaymentCodeInvalid, "kod_missing"),
        (
            {"kbe": "17", "creditor_tax": "900101300007"},
            KbeContradictsPayee,
            "kbe_contradicts_payee",
        ),
        (
            {"kbe": "19", "creditor_tax": "260340000002"},
            KbeContradictsPayee,
            "kbe_contradicts_payee",
        ),
        (
            {"value_date": date(2026, 11, 21)},
            ValueDateNotBankingDay,
            "value_date_not_banking_day",
        ),
        (
            {"value_date": date(2026, 3, 25)},
            ValueDateNotBankingDay,
            "value_date_not_banking_day",
        ),
        ({"rail": "instant", "amount_tiyn": 100_000_001}, AmountAboveRail, "amount_above_rail"),
    ],
)
async def test_an_order_that_the_bank_could_not_carry_is_refused_by_name(
    bank: Database, changes: dict[str, object], refusal: type[SandboxError], code: str
) -> None:
    with pytest.raises(refusal) as refused:
        await give(bank, order(**changes))
    assert refused.value.code == code


async def test_an_iin_payee_with_kbe_19_and_a_bin_payee_with_17_are_taken(bank: Database) -> None:
    await give(
        bank,
        order("po_1", kbe="19", creditor_tax="900101300007"),
        order("po_2", kbe="17", creditor_tax="260340000002"),
    )
    assert await simulator.step(bank) == 2


async def test_an_instant_payment_above_the_rails_amount_is_rejected_by_the_bank(
    bank: Database,
) -> None:
    await deposit(bank, 10**9)
    await give(bank, order())
    async with bank.transaction() as db:
        found = await db.execute(text("SELECT body FROM bank_message WHERE direction = 'out'"))
        body = {
            **found.scalar_one(),
            "end_to_end_id": "po_9",
            "rail": "instant",
            "amount_tiyn": 100_000_001,
        }
        made = await simulator._order_of(db, body)
        assert simulator._refusal(made, rails.RAILS["instant"]) == "AM02"


async def test_a_customer_whose_name_no_message_can_carry_is_refused(bank: Database) -> None:
    with pytest.raises(TextNotWritable):
        async with bank.transaction() as db:
            await incoming.credit(
                db,
                iban=accounts.RESERVE_IBAN,
                amount_tiyn=1,
                bank_reference="ref-1",
                customer="a\x08b",
            )


async def test_the_same_credit_twice_is_booked_once(bank: Database) -> None:
    assert await deposit(bank, 100)
    assert not await deposit(bank, 100)
    assert await balance(bank, accounts.RESERVE_IBAN) == 100


async def test_a_race_for_one_reference_books_once(bank: Database) -> None:
    made = await asyncio.gather(*(deposit(bank, 100) for _ in range(6)))
    assert sorted(made) == [False] * 5 + [True]
    assert await messages(bank) == [(Kind.credit_notice, None)]


async def test_an_order_is_accepted_and_waits_for_its_value_date(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await read_all(bank)
    await give(bank, order())
    assert await simulator.step(bank) == 1
    assert await messages(bank) == [(Kind.accepted, "po_1")]
    await set_clock("2026-11-20T08:59:59.999")
    assert await simulator.step(bank) == 0
    await set_clock("2026-11-20T09:00")
    assert await simulator.step(bank) == 1
    assert await balance(bank, SHOP) == 7920
    assert await balance(bank, accounts.RESERVE_IBAN) == 92_080
    assert await simulator.step(bank) == 0


async def test_answers_to_one_payment_are_read_in_their_order(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await give(bank, order())
    await simulator.step(bank)
    await set_clock("2026-11-20T09:00")
    await simulator.step(bank)
    assert await messages(bank) == [(Kind.credit_notice, None), (Kind.accepted, "po_1")]
    assert await read_all(bank) == [Kind.credit_notice, Kind.accepted, Kind.debit_notice]


async def test_an_order_for_a_past_value_date_waits_for_the_rail_to_open(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await set_clock("2026-11-22T03:00")  # a Sunday; the value date was Friday
    await give(bank, order())
    assert await simulator.step(bank) == 1
    assert await told(bank, "po_1") == [Kind.accepted, Kind.queued]
    assert await simulator.step(bank) == 0
    await set_clock("2026-11-23T09:00")
    assert await simulator.step(bank) == 1
    assert await balance(bank, SHOP) == 7920


async def test_an_order_for_a_past_value_date_is_booked_at_once_while_the_rail_is_open(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await set_clock("2026-11-23T17:59")
    await give(bank, order())
    assert await simulator.step(bank) == 2
    assert await told(bank, "po_1") == [Kind.accepted, Kind.debit_notice]


async def test_an_instant_payment_is_booked_on_a_sunday_night(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await set_clock("2026-11-22T03:00")
    await give(bank, order(rail="instant", value_date=date(2026, 11, 22)))
    assert await simulator.step(bank) == 2
    assert await balance(bank, SHOP) == 7920


async def test_two_banks_at_work_book_an_order_once(bank: Database, set_clock: SetClock) -> None:
    await deposit(bank, 100_000)
    await give(bank, *(order(f"po_{n}", amount_tiyn=100) for n in range(10)))
    await set_clock("2026-11-20T10:00")
    await asyncio.gather(*(simulator.step(bank, limit=5) for _ in range(4)))
    for _ in range(4):
        await simulator.step(bank)
    assert await balance(bank, SHOP) == 1000
    assert (await read_all(bank)).count(Kind.debit_notice) == 10


async def test_an_order_beyond_the_balance_waits_until_the_cut_off_and_is_rejected(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 10_000)
    await give(bank, order("po_1"), order("po_2"))
    await set_clock("2026-11-20T10:00")
    await simulator.step(bank)
    assert await told(bank, "po_1") == [Kind.accepted, Kind.debit_notice]
    assert await told(bank, "po_2") == [Kind.accepted, Kind.queued]
    assert await simulator.step(bank) == 0
    await set_clock("2026-11-20T18:00")
    assert await simulator.step(bank) == 1
    assert await told(bank, "po_2") == [Kind.accepted, Kind.queued, Kind.rejected]
    assert await balance(bank, accounts.RESERVE_IBAN) == 2080


async def test_an_order_that_waits_for_cover_is_booked_when_the_money_comes(
    bank: Database, set_clock: SetClock
) -> None:
    await give(bank, order())
    await set_clock("2026-11-20T10:00")
    await simulator.step(bank)
    await deposit(bank, 7919, "ref-1")
    assert await simulator.step(bank) == 0
    await deposit(bank, 1, "ref-2")
    assert await simulator.step(bank) == 1
    assert await told(bank, "po_1") == [Kind.accepted, Kind.queued, Kind.debit_notice]
    assert await balance(bank, accounts.RESERVE_IBAN) == 0


async def test_an_instant_payment_without_cover_is_rejected_at_once(bank: Database) -> None:
    await give(bank, order(rail="instant", value_date=date(2026, 11, 19)))
    assert await simulator.step(bank) == 2
    assert await told(bank, "po_1") == [Kind.accepted, Kind.rejected]


async def test_an_order_to_a_number_that_is_no_iban_is_rejected(bank: Database) -> None:
    await deposit(bank, 100_000)
    await give(bank, order(creditor_iban="KZ639480000000000009"))
    await simulator.step(bank)
    assert (Kind.rejected, "po_1") in await messages(bank)


async def test_an_order_from_an_account_to_itself_is_rejected_and_keeps_no_other_waiting(
    bank: Database,
) -> None:
    await deposit(bank, 8000)
    await give(bank, order("red_1", creditor_iban=accounts.RESERVE_IBAN), order("po_2"))
    await simulator.step(bank)
    assert await told(bank, "red_1") == [Kind.rejected]
    assert (await told(bank, "po_2"))[0] == Kind.accepted
    assert await balance(bank, accounts.RESERVE_IBAN) + await balance(bank, SHOP) == 8000


async def test_an_answer_that_is_not_the_banks_stops_no_other_payment(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 20_000)
    await give(bank, order("po_1"), order("po_2"))
    await simulator.step(bank)
    async with bank.transaction() as db:
        body = {"end_to_end_id": "po_1", "reason": "MS03"}
        at = await clock.now(db)
        await inbox.take(db, iso_messages.build(Kind.rejected, "po_1", body, at))
    await set_clock("2026-11-20T09:00")
    assert await simulator.step(bank) == 2
    assert await told(bank, "po_1") == [Kind.accepted, Kind.rejected]
    assert await told(bank, "po_2") == [Kind.accepted, Kind.debit_notice]
    assert await balance(bank, SHOP) == 2 * 7920
    async with bank.transaction() as db:
        held = await db.execute(text("SELECT kind, detail FROM bank_held"))
        [(kind, why)] = [tuple(row) for row in held]
    assert kind == Kind.debit_notice
    assert Kind.rejected in why


async def test_a_second_notice_of_one_payment_under_another_reference_is_held(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 20_000)
    await give(bank, order("po_1"))
    await set_clock("2026-11-20T09:00")
    await simulator.step(bank)
    async with bank.transaction() as db:
        found = select(BankMessage).where(col(BankMessage.kind) == Kind.debit_notice)
        body = {**(await db.exec(found)).one().body, "bank_reference": "ANOTHER"}
        xml = iso_messages.build(Kind.debit_notice, "ANOTHER", body, await clock.now(db))
        taken = await inbox.take(db, xml)
    assert taken.message is None
    assert taken.held is not None
    assert Kind.debit_notice in taken.held.detail


async def test_an_order_to_a_closed_account_is_rejected_until_it_is_open_again(
    bank: Database,
) -> None:
    await deposit(bank, 100_000)
    async with bank.transaction() as db:
        await registry.refuse_payments_to(db, SHOP)
    await give(bank, order())
    await simulator.step(bank)
    async with bank.transaction() as db:
        await registry.accept_payments_to(db, SHOP)
    await give(bank, order("po_2"))
    await simulator.step(bank)
    assert await messages(bank) == [
        (Kind.credit_notice, None),
        (Kind.rejected, "po_1"),
        (Kind.accepted, "po_2"),
    ]


async def test_an_account_closed_after_the_acceptance_has_its_payment_rejected(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await give(bank, order())
    await simulator.step(bank)
    async with bank.transaction() as db:
        await registry.refuse_payments_to(db, SHOP)
    await set_clock("2026-11-20T09:00")
    await simulator.step(bank)
    assert await read_all(bank) == [Kind.credit_notice, Kind.accepted, Kind.rejected]
    assert await balance(bank, accounts.RESERVE_IBAN) == 100_000


async def test_a_payment_that_is_not_booked_cannot_be_returned(bank: Database) -> None:
    await deposit(bank, 100_000)
    await give(bank, order())
    await simulator.step(bank)
    with pytest.raises(NotFound):
        async with bank.transaction() as db:
            await simulator.return_payment(db, "po_1")


async def test_a_returned_payment_is_back_on_the_payers_account_once(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await give(bank, order())
    await set_clock("2026-11-20T09:00")
    await simulator.step(bank)
    async with bank.transaction() as db:
        await simulator.return_payment(db, "po_1")
    with pytest.raises(NotFound):
        async with bank.transaction() as db:
            await simulator.return_payment(db, "po_1")
    assert await balance(bank, accounts.RESERVE_IBAN) == 100_000
    assert await balance(bank, SHOP) == 0
    assert (await read_all(bank))[-1] == Kind.returned


async def test_what_the_ledger_has_not_read_is_the_difference_to_the_statement(
    bank: Database, set_clock: SetClock
) -> None:
    await deposit(bank, 100_000)
    await give(bank, order(creditor_iban=accounts.OPERATING_IBAN, creditor=accounts.ISSUER))
    await set_clock("2026-11-20T09:00")
    await simulator.step(bank)
    async with bank.transaction() as db:
        assert await service.unread_movements(db, accounts.RESERVE_IBAN) == 92_080
        assert await service.unread_movements(db, accounts.OPERATING_IBAN) == 7920
    await read_all(bank)
    async with bank.transaction() as db:
        assert await service.unread_movements(db, accounts.RESERVE_IBAN) == 0
        assert await service.unread_movements(db, accounts.OPERATING_IBAN) == 0


async def test_the_bank_is_busy_until_everything_due_is_booked_and_read(
    bank: Database, set_clock: SetClock
) -> None:
    async def busy() -> list[str]:
        async with bank.transaction() as db:
            return await service.busy(db)

    assert await busy() == []
    await deposit(bank, 100_000)
    await read_all(bank)
    await give(bank, order())
    assert await busy() == ["payment orders the bank has not read: 1"]
    await simulator.step(bank)
    await read_all(bank)
    assert await busy() == []  # accepted; its value date is tomorrow
    await set_clock("2026-11-20T09:00")
    assert await busy() == ["payment orders due at the bank: 1"]
    await simulator.step(bank)
    assert await busy() == ["bank messages not read: 1"]
