"""The golden example of the contract (section 10), row by row, with its variants: the books only.

Each row is written as the table has it and the columns S, L ≥ R and P are read back.
"""

from dataclasses import dataclass

import pytest

from sandbox.core.db import Database
from sandbox.core.money import vat_included_tiyn
from sandbox.ledger import accounts, service
from sandbox.ledger.errors import InsufficientFunds
from sandbox.ledger.journal import Account, Leg, NewEntry, credit, debit
from tests.ledger.books import Ends, available, entry, pending, posted, record, red

CHAIN = "solana"
CS, MCH, STL, DEP = "cs_1", "mch_1", "stl_1", "dep_1"
BANK, TRANSIT, OPERATING = (
    accounts.reserve_bank(),
    accounts.in_transit(),
    accounts.operating(),
)
OUTSTANDING, UNMINTED, PAYOUT = (
    accounts.outstanding(CHAIN),
    accounts.unminted(DEP),
    accounts.payout(MCH),
)
SUPPLY, TREASURY, EXTERNAL = (
    accounts.supply(CHAIN),
    accounts.treasury(CHAIN),
    accounts.external(CHAIN),
)
CUSTODY, FLOAT = accounts.custody(CHAIN), accounts.float_(CHAIN)
SUSPENSE, MERCHANT = accounts.suspense(CHAIN, CS), accounts.merchant(CHAIN, MCH)
SETTLING = accounts.settling(CHAIN, STL)


def _moved(amount: int, *pairs: tuple[Account, Account]) -> tuple[Leg, ...]:
    """Debit the first of each pair, credit the second."""
    return tuple(leg for to, by in pairs for leg in (debit(to, amount), credit(by, amount)))


def _deposit() -> NewEntry:
    return entry(DEP, *_moved(100_000, (BANK, UNMINTED)))


def _mint() -> NewEntry:
    pairs = ((UNMINTED, OUTSTANDING), (TREASURY, SUPPLY), (CUSTODY, FLOAT))
    return pending("iss_1", *_moved(100_000, *pairs), chain=CHAIN)


def _faucet() -> NewEntry:
    return pending("fau_1", *_moved(30_000, (EXTERNAL, TREASURY), (FLOAT, CUSTODY)), chain=CHAIN)


def _payment(ref: str, amount: int) -> NewEntry:
    return pending(ref, *_moved(amount, (TREASURY, EXTERNAL), (CUSTODY, SUSPENSE)), chain=CHAIN)


def _capture(ref: str, amount: int) -> NewEntry:
    return entry(ref, *_moved(amount, (SUSPENSE, MERCHANT)), chain=CHAIN)


def _refund() -> NewEntry:
    return pending("re_1", *_moved(2_000, (EXTERNAL, TREASURY), (MERCHANT, CUSTODY)), chain=CHAIN)


def _lines(units: int) -> NewEntry:
    return entry(f"{STL}:lines:{CHAIN}", *_moved(units, (MERCHANT, SETTLING)), chain=CHAIN)


def _burn(net: int, income: int, vat: int) -> NewEntry:
    units = net + income + vat
    return pending(
        f"{STL}:burn:{CHAIN}:1",
        *_moved(units, (SUPPLY, TREASURY), (SETTLING, CUSTODY)),
        debit(OUTSTANDING, units),
        credit(PAYOUT, net),
        credit(accounts.fees(), income),
        credit(accounts.vat(), vat),
        chain=CHAIN,
    )


PAYOUT_SENT = pending("po_1:sent:1", *_moved(7_920, (PAYOUT, TRANSIT)))
FEE_PAID = pending(f"{STL}:fee:1", *_moved(80, (OPERATING, BANK)))
PAYOUT_BOOKED = entry("po_1:booked", *_moved(7_920, (TRANSIT, BANK)))
OWED = (UNMINTED, PAYOUT)
CLAIMS = (FLOAT, SUSPENSE, MERCHANT, SETTLING)


@dataclass(frozen=True)
class Columns:
    """S, the two sides of L ≥ R, P."""

    supply: int
    backing: int
    claimed: int
    places: int


async def _columns(database: Database) -> Columns:
    accounts_read = (SUPPLY, OUTSTANDING, BANK, TRANSIT, TREASURY, CUSTODY, *OWED, *CLAIMS)
    async with database.transaction() as db:
        found = await service.balances(db, accounts_read)
        par = await service.outstanding(db)
    amount = {account: balance.posted for account, balance in found.items()}
    assert amount[SUPPLY] == amount[OUTSTANDING] == par.get(CHAIN, 0)
    assert amount[TREASURY] == amount[CUSTODY] == sum(amount[claim] for claim in CLAIMS)
    backing = amount[BANK] + amount[TRANSIT]
    claimed = amount[OUTSTANDING] + sum(amount[owed] for owed in OWED)
    assert backing >= claimed
    return Columns(amount[SUPPLY], backing, claimed, amount[TREASURY])


async def _play(database: Database, *rows: NewEntry) -> None:
    """Each row written, then posted if it was pending."""
    for row in rows:
        await record(database, row)
        if row.kind == "pending":
            await record(database, Ends(row.ref))


async def _rows_1_to_5(database: Database) -> None:
    await _play(
        database,
        _deposit(),
        _mint(),
        _faucet(),
        _payment("payA:1", 6_000),
        _payment("payB:1", 4_000),
    )


async def _rows_1_to_10(database: Database) -> None:
    await _rows_1_to_5(database)
    await _play(
        database,
        _capture("payA:capture", 6_000),
        _capture("payB:capture", 4_000),
        _refund(),
        _lines(8_000),
        _burn(7_920, 69, 11),
    )


async def test_every_row_gives_the_columns_of_the_table(database: Database) -> None:
    table = [
        (_deposit(), Columns(0, 100_000, 100_000, 0)),
        (_mint(), Columns(100_000, 100_000, 100_000, 100_000)),
        (_faucet(), Columns(100_000, 100_000, 100_000, 70_000)),
        (_payment("payA:1", 6_000), Columns(100_000, 100_000, 100_000, 76_000)),
        (_payment("payB:1", 4_000), Columns(100_000, 100_000, 100_000, 80_000)),
        (_capture("payA:capture", 6_000), Columns(100_000, 100_000, 100_000, 80_000)),
        (_capture("payB:capture", 4_000), Columns(100_000, 100_000, 100_000, 80_000)),
        (_refund(), Columns(100_000, 100_000, 100_000, 78_000)),
        (_lines(8_000), Columns(100_000, 100_000, 100_000, 78_000)),
        (_burn(7_920, 69, 11), Columns(92_000, 100_000, 99_920, 70_000)),
        (PAYOUT_SENT, Columns(92_000, 92_080, 92_000, 70_000)),
        (FEE_PAID, Columns(92_000, 92_000, 92_000, 70_000)),
        (PAYOUT_BOOKED, Columns(92_000, 92_000, 92_000, 70_000)),
    ]
    before = Columns(0, 0, 0, 0)
    for row, after in table:
        await record(database, row)
        if row.kind == "pending":
            assert await _columns(database) == before, f"{row.ref} moves nothing while pending"
            await record(database, Ends(row.ref))
        assert await _columns(database) == after, row.ref
        assert await red(database) == {}
        before = after
    end = {
        BANK: 92_000,
        TRANSIT: 0,
        OPERATING: 80,
        OUTSTANDING: 92_000,
        UNMINTED: 0,
        PAYOUT: 0,
        accounts.vat(): 11,
        accounts.fees(): 69,
        EXTERNAL: 22_000,
        TREASURY: 70_000,
        CUSTODY: 70_000,
        FLOAT: 70_000,
        SUSPENSE: 0,
        MERCHANT: 0,
        SETTLING: 0,
    }
    async with database.transaction() as db:
        found = await service.balances(db, list(end))
    assert {account: balance.posted for account, balance in found.items()} == end
    assert all(b.pending_debit == b.pending_credit == 0 for b in found.values())


async def test_money_seen_and_not_final_is_not_available(database: Database) -> None:
    await _play(database, _deposit(), _mint(), _faucet())
    await record(database, _payment("payA:1", 6_000))
    assert await available(database, SUSPENSE) == 0
    assert await available(database, TREASURY) == 70_000
    with pytest.raises(InsufficientFunds):
        await record(database, _capture("payA:capture", 6_000))


async def test_a_refund_on_its_way_is_not_available(database: Database) -> None:
    await _rows_1_to_5(database)
    await _play(database, _capture("payA:capture", 6_000), _capture("payB:capture", 4_000))
    await record(database, _refund())
    assert await available(database, MERCHANT) == 8_000
    assert await available(database, TREASURY) == 78_000
    with pytest.raises(InsufficientFunds) as refused:
        await record(database, _lines(10_000))
    assert (refused.value.asked, refused.value.available) == (10_000, 8_000)


async def test_a_burn_on_its_way_reserves_and_pays_nobody_yet(database: Database) -> None:
    await _rows_1_to_5(database)
    await _play(
        database,
        _capture("payA:capture", 6_000),
        _capture("payB:capture", 4_000),
        _refund(),
        _lines(8_000),
    )
    await record(database, _burn(7_920, 69, 11))
    assert await available(database, SETTLING) == 0
    assert await available(database, TREASURY) == 70_000
    assert await available(database, OUTSTANDING) == 92_000
    assert await available(database, PAYOUT) == 0
    with pytest.raises(InsufficientFunds, match="l:payout:mch_1"):
        await record(database, PAYOUT_SENT)


async def test_the_transaction_that_posts_the_burn_may_write_the_payout(
    database: Database,
) -> None:
    await _rows_1_to_5(database)
    await _play(
        database, _capture("payA:capture", 6_000), _capture("payB:capture", 4_000), _refund()
    )
    burn = _burn(7_920, 69, 11)
    await record(database, _lines(8_000), burn)
    await record(database, Ends(burn.ref), PAYOUT_SENT, FEE_PAID)
    assert await available(database, PAYOUT) == 0
    assert await posted(database, PAYOUT) == 7_920
    assert await red(database) == {}


async def test_a_payment_reverted_before_it_was_final_comes_back_as_a_new_entry(
    database: Database,
) -> None:
    await _play(database, _deposit(), _mint(), _faucet(), _payment("payA:1", 6_000))
    await record(database, _payment("payB:1", 4_000))
    await record(database, Ends("payB:1", "voided"))
    assert await _columns(database) == Columns(100_000, 100_000, 100_000, 76_000)
    with pytest.raises(InsufficientFunds):
        await record(database, _capture("pay:capture", 10_000))
    await _play(database, _payment("payB:2", 4_000))
    assert await _columns(database) == Columns(100_000, 100_000, 100_000, 80_000)
    async with database.transaction() as db:
        states = [(found.ref, found.state) for found in await service.entries_for(db, "payB")]
    assert states == [("payB:1", "voided"), ("payB:2", "posted")]


async def test_a_refund_that_did_not_happen_leaves_all_to_the_merchant(database: Database) -> None:
    await _rows_1_to_5(database)
    await _play(database, _capture("payA:capture", 6_000), _capture("payB:capture", 4_000))
    await record(database, _refund())
    await record(database, Ends("re_1", "voided"))
    assert await available(database, MERCHANT) == 10_000
    assert vat_included_tiyn(100, 16) == 14
    await _play(database, _lines(10_000), _burn(9_900, 86, 14))
    assert await posted(database, PAYOUT) == 9_900
    assert await _columns(database) == Columns(90_000, 100_000, 99_900, 70_000)
    assert await red(database) == {}


async def test_a_rejected_payout_is_owed_again(database: Database) -> None:
    await _rows_1_to_10(database)
    await _play(database, PAYOUT_SENT)
    await _play(database, entry("po_1:rejected", *_moved(7_920, (TRANSIT, PAYOUT))))
    assert (await posted(database, PAYOUT), await posted(database, TRANSIT)) == (7_920, 0)
    assert await red(database) == {}


async def test_a_returned_payout_is_owed_again(database: Database) -> None:
    await _rows_1_to_10(database)
    await _play(database, PAYOUT_SENT, FEE_PAID, PAYOUT_BOOKED)
    await _play(database, entry("po_1:returned", *_moved(7_920, (BANK, PAYOUT))))
    assert (await posted(database, PAYOUT), await posted(database, BANK)) == (7_920, 99_920)
    assert await red(database) == {}
