"""`record`: refusals first, then what it writes."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
import rfc8785
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from sandbox.core.db import Database
from sandbox.ledger import accounts, service
from sandbox.ledger.errors import AlreadyResolved, DuplicateReference, InsufficientFunds
from sandbox.ledger.journal import Account, Changes, credit, debit
from tests.ledger.books import (
    AT,
    BANK,
    Ends,
    available,
    changes,
    deposit,
    entry,
    paid,
    pending,
    posted,
    record,
    red,
)

SUSPENSE = accounts.suspense("solana", "cs_1")


async def _rows(database: Database, table: str) -> int:
    async with database.transaction() as db:
        counted: int = await db.scalar(text(f"SELECT count(*) FROM {table}"))
        return counted


async def test_an_account_may_not_go_below_its_floor(database: Database) -> None:
    await record(database, deposit("dep_1", 100))
    with pytest.raises(InsufficientFunds) as refused:
        await record(database, entry("out", debit(accounts.operating(), 101), credit(BANK, 101)))
    assert refused.value.values == {
        "account": "a:reserve:bank:eurasian",
        "asked": 101,
        "available": 100,
    }
    assert await posted(database, BANK) == 100
    assert await _rows(database, "entry") == 1


async def test_what_is_reserved_cannot_be_spent_again(database: Database) -> None:
    out = (debit(accounts.operating(), 60), credit(BANK, 60))
    await record(database, deposit("dep_1", 100), pending("first", *out))
    with pytest.raises(InsufficientFunds) as refused:
        await record(database, pending("second", *out))
    assert (refused.value.asked, refused.value.available) == (60, 40)
    await record(database, Ends("first", "voided"))
    await record(database, pending("third", *out))


async def test_what_is_expected_cannot_be_spent_yet(database: Database) -> None:
    await record(database, paid("pay_1:1", "cs_1", 500))
    capture = entry(
        "pay_1:capture",
        debit(SUSPENSE, 500),
        credit(accounts.merchant("solana", "mch_1"), 500),
        chain="solana",
    )
    with pytest.raises(InsufficientFunds):
        await record(database, capture)
    await record(database, Ends("pay_1:1"), capture)
    assert await posted(database, accounts.merchant("solana", "mch_1")) == 500


async def test_one_deposit_cannot_mint_the_money_of_another(database: Database) -> None:
    await record(database, deposit("dep_1", 100), deposit("dep_2", 100))
    mint = (
        debit(accounts.unminted("dep_1"), 101),
        credit(accounts.outstanding("solana"), 101),
    )
    with pytest.raises(InsufficientFunds, match="l:unminted:dep_1"):
        await record(database, pending("iss_1", *mint, chain="solana"))


async def test_a_refused_account_leaves_the_transaction_usable(database: Database) -> None:
    async with database.transaction() as db:
        with pytest.raises(InsufficientFunds):
            await service.record(
                db, changes(entry("out", debit(accounts.operating(), 1), credit(BANK, 1)))
            )
        await service.record(db, changes(deposit("dep_1", 5)))
    assert await posted(database, BANK) == 5


async def test_a_reference_is_unique_for_ever(database: Database) -> None:
    await record(database, deposit("dep_1", 100))
    with pytest.raises(DuplicateReference) as refused:
        await record(database, deposit("dep_0", 1), deposit("dep_1", 100))
    assert refused.value.ref == "dep_1"
    assert await posted(database, BANK) == 100


async def test_a_reference_is_unique_within_one_call(database: Database) -> None:
    with pytest.raises(DuplicateReference, match="dep_1"):
        await record(database, deposit("dep_0", 1), deposit("dep_1", 1), deposit("dep_1", 2))


async def test_a_repeated_reference_ends_the_transaction(database: Database) -> None:
    async def go_on_after_it() -> None:
        async with database.transaction() as db:
            with pytest.raises(DuplicateReference):
                await service.record(db, changes(deposit("dep_1", 100)))
            await service.record(db, changes(deposit("dep_2", 100)))

    await record(database, deposit("dep_1", 100))
    with pytest.raises(Exception, match="aborted"):
        await go_on_after_it()
    assert await posted(database, BANK) == 100


async def test_a_pending_entry_ends_once(database: Database) -> None:
    await record(database, paid("pay_1:1", "cs_1", 500))
    await record(database, Ends("pay_1:1", "voided"))
    with pytest.raises(AlreadyResolved, match="pay_1:1"):
        await record(database, Ends("pay_1:1"))
    assert await posted(database, SUSPENSE) == 0


async def test_a_pending_entry_ends_once_within_one_call(database: Database) -> None:
    await record(database, paid("pay_1:1", "cs_1", 500))
    with pytest.raises(AlreadyResolved, match="pay_1:1"):
        await record(database, Ends("pay_1:1"), Ends("pay_1:1", "voided"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (Changes(entries=[deposit("dep_1", 1)]), "exactly one event"),
        (Changes(events=changes(deposit("dep_1", 1)).events), "exactly one event"),
        (changes(Ends("unknown")), "no entry unknown"),
        (changes(deposit("dep_1", 1), Ends("dep_1")), "was posted when it was written"),
        (
            changes(entry("x", debit(BANK, 1), credit(Account("issuer", "KZT", "l:typo"), 1))),
            "not in the chart",
        ),
        (
            changes(replace(deposit("dep_1", 1), effective_at=AT.replace(tzinfo=None))),
            "time without a zone",
        ),
    ],
)
async def test_our_own_mistakes_are_bugs_not_refusals(
    database: Database, changed: Changes, message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        async with database.transaction() as db:
            await service.record(db, changed)
    assert await _rows(database, "entry") == 0


async def test_an_event_may_not_name_an_entry_that_is_only_reserved(database: Database) -> None:
    made = changes(deposit("dep_1", 1))
    made.entries.append(paid("pay_1:1", "cs_1", 5))
    made.events[0] = replace(made.events[0], refs=("dep_1", "pay_1:1"))
    with pytest.raises(AssertionError, match="exactly one event"):
        async with database.transaction() as db:
            await service.record(db, made)


async def test_two_events_may_not_name_one_entry(database: Database) -> None:
    made = changes(deposit("dep_1", 1))
    made.events.append(replace(made.events[0], id="evt_other"))
    with pytest.raises(AssertionError, match="exactly one event"):
        async with database.transaction() as db:
            await service.record(db, made)


async def test_an_unbalanced_entry_is_refused_by_the_database(database: Database) -> None:
    with pytest.raises(IntegrityError, match="leg_balanced_per_book_and_asset"):
        await record(database, entry("x", debit(BANK, 2), credit(accounts.unminted("dep_1"), 1)))
    assert await _rows(database, "leg") == 0


async def test_nothing_to_write_costs_nothing() -> None:
    assert await service.record(None, Changes()) == {}  # type: ignore[arg-type]  # it is asked nothing


async def test_entry_leg_balance_and_event_are_written_together(database: Database) -> None:
    await record(database, deposit("dep_1", 100))
    counts = [await _rows(database, table) for table in ("entry", "leg", "balance", "event")]
    assert counts == [1, 2, 2, 1]
    assert await red(database) == {}


async def test_the_hash_is_that_of_the_form_in_the_contract(database: Database) -> None:
    made = paid('pay_"ж\\\n1:1', "cs_1", 500)
    hashes = await record(database, made, Ends(made.ref))
    form = {
        "id": made.id,
        "reason": "test",
        "ref": 'pay_"ж\\\n1:1',
        "chain": "solana",
        "effective_at": "2026-11-20T10:00:00.123Z",
        "legs": [
            ["token", "KZTE.solana", "treasury:solana", "D", "500"],
            ["token", "KZTE.solana", "external:solana", "C", "500"],
            ["claims", "KZTE.solana", "custody", "D", "500"],
            ["claims", "KZTE.solana", "suspense:cs_1", "C", "500"],
        ],
    }
    assert hashes[made.ref].id == made.id
    assert hashes[made.ref].sha256 == hashlib.sha256(rfc8785.dumps(form)).hexdigest()
    assert await red(database) == {}  # the check builds the same form in SQL


async def test_an_entry_resolved_later_has_the_hash_it_would_have_had_at_once(
    database: Database,
) -> None:
    made = replace(paid("pay_1:1", "cs_1", 500), effective_at=AT + timedelta(microseconds=456))
    await record(database, made)
    later = await record(database, Ends("pay_1:1"))
    assert later["pay_1:1"] == service.entry_hash(made)
    assert await red(database) == {}


async def test_what_is_pending_moves_no_balance_and_what_is_voided_never_does(
    database: Database,
) -> None:
    await record(database, paid("pay_1:1", "cs_1", 500))
    async with database.transaction() as db:
        waiting = await service.balances(db, [SUSPENSE, accounts.external("solana")])
    assert waiting[SUSPENSE] == service.Balance(0, 0, 500, 0)
    assert waiting[accounts.external("solana")] == service.Balance(0, 0, 500, -500)
    await record(database, Ends("pay_1:1", "voided"))
    async with database.transaction() as db:
        assert await service.balance(db, SUSPENSE) == service.Balance()
    assert await red(database) == {}


async def test_entries_are_found_by_reference_and_below_it(database: Database) -> None:
    await record(database, paid("pay_1:1", "cs_1", 500), paid("pay_10:1", "cs_1", 1))
    await record(database, Ends("pay_1:1", "voided"), paid("pay_1:2", "cs_1", 500))
    async with database.transaction() as db:
        found = await service.entries_for(db, "pay_1")
        exact = await service.entries_for(db, "pay_1:2")
    assert [(entry.ref, entry.state) for entry in found] == [
        ("pay_1:1", "voided"),
        ("pay_1:2", "pending"),
    ]
    assert exact == found[1:]
    assert found[1].legs == paid("pay_1:2", "cs_1", 500).legs
    assert found[0].height == 7


async def test_outstanding_counts_what_is_posted_per_chain(database: Database) -> None:
    async def mint(chain: str, amount: int) -> None:
        legs = (
            debit(accounts.unminted("dep_1"), amount),
            credit(accounts.outstanding(chain), amount),
        )
        await record(database, pending(f"iss_{chain}{amount}", *legs, chain=chain))

    await record(database, deposit("dep_1", 100))
    await mint("solana", 60)
    await mint("evm", 30)
    await record(database, Ends("iss_solana60"))
    async with database.transaction() as db:
        assert await service.outstanding(db) == {"solana": 60, "evm": 0}


async def test_locked_balances_are_fresh_and_stay_until_the_commit(database: Database) -> None:
    await record(database, deposit("dep_1", 100))
    unminted = accounts.unminted("dep_1")
    async with database.transaction() as db:
        held = await service.lock(db, [BANK, unminted, accounts.vat()])
        assert held[BANK].posted == held[unminted].available == 100
        assert held[accounts.vat()] == service.Balance()
        async with database.transaction() as other:
            await other.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                await service.record(other, changes(deposit("dep_2", 1)))
            await other.rollback()


async def test_available_of_a_missing_account_is_zero(database: Database) -> None:
    assert await available(database, accounts.unminted("dep_none")) == 0
