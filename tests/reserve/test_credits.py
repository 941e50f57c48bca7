"""Credits that are announced, booked and taken back; nothing is minted of what is not there."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from sandbox.bank import calendar, closing, inbox, incoming, registry, simulator
from sandbox.bank import service as bank
from sandbox.bank.accounts import OPERATING_IBAN, RESERVE_IBAN
from sandbox.bank.checks import messages_match
from sandbox.bank.errors import BankReferenceReserved, ReversalExceedsBalance
from sandbox.bank.iso20022 import statements
from sandbox.chains.memory import MemoryChain
from sandbox.core import clock
from sandbox.core.checks import Check
from sandbox.core.db import Database
from sandbox.core.errors import NotFound
from sandbox.core.ids import new_id
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import checks as ledger_checks
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Account, Changes, NewEntry, credit, debit
from sandbox.reserve import checks, minting, reversal_checks, routes
from sandbox.reserve.crediting import step
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from tests.reserve.test_reconciling import WHY, Reconciled

CHECKS = (
    checks.reserve_covers,
    checks.statements_match,
    checks.deposits_match,
    messages_match,
    reversal_checks.reversals_match,
    reversal_checks.reversals_as_told,
    ledger_checks.entries_balance,
    ledger_checks.balances_are_sums,
    ledger_checks.entries_are_told,
)


class Bank(Reconciled):
    """A world whose bank changes its mind."""

    async def deposit(self, amount_tiyn: int = 100_000, reference: str = "CAMT-1") -> str:
        body = {"amount_tiyn": amount_tiyn, "bank_reference": reference}
        return str((await self.post("/v1/reserve/deposits", body)).json()["id"])

    async def mint(self, deposit: str, amount_tiyn: int) -> dict[str, object]:
        asked = {
            "deposit": deposit,
            "chain": "memory",
            "amount_tiyn": amount_tiyn,
            "recipient": self.chain.treasury,
        }
        answer: dict[str, object] = (await self.post("/v1/reserve/issuances", asked)).json()
        return answer

    async def reversed(self, reference: str = "CAMT-1") -> None:
        async with self.database.transaction() as db:
            await incoming.reverse_credit(db, reference)

    async def announced(self, reference: str = "CAMT-2", amount_tiyn: int = 700) -> None:
        async with self.database.transaction() as db:
            await incoming.announce_credit(
                db, iban=RESERVE_IBAN, amount_tiyn=amount_tiyn, bank_reference=reference
            )

    async def booked(self, reference: str = "CAMT-2", amount_tiyn: int = 700) -> None:
        async with self.database.transaction() as db:
            await incoming.credit(
                db, iban=RESERVE_IBAN, amount_tiyn=amount_tiyn, bank_reference=reference
            )

    async def read(self) -> int:
        return await step(self.database)

    async def red(self) -> dict[str, Check]:
        found = list[Check]()
        for check in CHECKS:
            async with self.database.transaction() as db:
                found += await check(db)
        return {one.id: one for one in found if not one.ok}

    async def short(self, minted_tiyn: int = 60_000) -> dict[str, object]:
        """A deposit of 100,000 tiyn of which that much was minted, taken back; its reversal."""
        deposit = await self.deposit()
        await self.mint(deposit, minted_tiyn)
        await self.carry_out()
        await self.reversed()
        assert await self.read()
        [made] = (await self.get("/v1/reserve/reversals", "regulator")).json()["data"]
        found: dict[str, object] = made
        return found

    async def cover(self, reversal: object, body: object) -> tuple[int, dict[str, object]]:
        answer = await self.post(f"/v1/reserve/reversals/{reversal}/cover", body, "issuer")
        return answer.status_code, answer.json()

    async def own_money(self, amount_tiyn: int) -> None:
        """Capital on the operating account."""
        async with self.database.transaction() as db:
            paid = await incoming.credit(
                db, iban=OPERATING_IBAN, amount_tiyn=amount_tiyn, bank_reference="CAPITAL"
            )
            await bank.mark_read(db, paid.message)
            at = await clock.now(db)
            legs = (
                debit(accounts.operating(), amount_tiyn),
                credit(Account("issuer", "KZT", "q:capital"), amount_tiyn),
            )
            entry = NewEntry(new_id("ent", at), "posted", "capital", "own", None, at, "test", legs)
            event = NewEvent(new_id("evt", at), "test.capital", at, {}, refs=("own",))
            await ledger.record(db, Changes(entries=[entry], events=[event]))


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[Bank]:
    world = Bank(
        database,
        MemoryChain(),
        [ReserveWatch()],
        {"issuance": IssuanceHandler()},
        [routes.router],
    )
    await world.begin()
    yield world
    await world.end()


# What the bank itself refuses.


async def test_an_announcement_under_a_reference_of_the_banks_own_is_refused(world: Bank) -> None:
    with pytest.raises(BankReferenceReserved):
        await world.announced("EURI-1")


async def test_a_credit_that_never_came_is_not_taken_back(world: Bank) -> None:
    await world.announced("CAMT-2")
    with pytest.raises(NotFound):
        await world.reversed("CAMT-2")


async def test_the_bank_takes_back_no_more_than_there_is(world: Bank, owner_url: str) -> None:
    await world.deposit()
    owner = await asyncpg.connect(owner_url)
    await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = 99999")
    await owner.close()
    with pytest.raises(ReversalExceedsBalance):
        await world.reversed()


# Announced.


async def test_an_announced_credit_posts_nothing_and_mints_nothing_until_it_is_booked(
    world: Bank,
) -> None:
    await world.announced()
    await world.announced()
    assert await world.read() == 1
    found = await world.reserve()
    assert (found["announced_tiyn"], found["reserve_tiyn"]) == (700, 0)
    assert (await world.get("/v1/reserve/deposits")).json()["data"] == []
    assert await world.event_types() == ["reserve.deposit_announced"]
    assert await world.red() == {}
    await world.booked()
    assert await world.read() == 1
    [deposit] = (await world.get("/v1/reserve/deposits")).json()["data"]
    assert (deposit["unminted_tiyn"], deposit["bank_reference"]) == (700, "CAMT-2")
    assert (await world.reserve())["announced_tiyn"] == 0
    assert (await world.mint(deposit["id"], 700))["status"] == "pending"
    assert await world.red() == {}


async def test_an_announcement_that_comes_after_the_booking_changes_nothing(world: Bank) -> None:
    await world.booked()
    await world.announced()
    assert await world.read() == 2
    assert (await world.reserve())["announced_tiyn"] == 0
    assert await world.event_types() == ["reserve.deposit_received"]
    assert await world.red() == {}


async def test_a_booked_credit_is_a_deposit_once_however_many_workers_read(world: Bank) -> None:
    for number in range(3):
        await world.booked(f"CAMT-{number}")
    assert sum(await asyncio.gather(*(world.read() for _ in range(4)))) == 3
    assert await world.count("deposit") == 3
    assert await world.posted(accounts.reserve_bank()) == 2_100


async def test_a_credit_on_another_account_is_left_to_others(world: Bank) -> None:
    async with world.database.transaction() as db:
        await incoming.credit(
            db, iban=OPERATING_IBAN, amount_tiyn=5, bank_reference="OTHER", customer="x"
        )
    assert await world.read() == 0
    assert await world.count("deposit") == 0


# Taken back.


async def test_what_was_not_minted_goes_back_and_nothing_is_missing(world: Bank) -> None:
    deposit = await world.deposit()
    await world.reversed()
    await world.reversed()
    assert await world.read() == 1
    [made] = (await world.get("/v1/reserve/reversals")).json()["data"]
    assert (made["taken_back_tiyn"], made["missing_tiyn"], made["status"]) == (
        100_000, 0, "settled",
    )  # fmt: skip
    assert await world.posted(accounts.reserve_bank()) == 0
    assert await world.posted(accounts.unminted(deposit)) == 0
    assert (await world.reserve())["minting"] == "on"
    assert (await world.mint(deposit, 1))["code"] == "deposit_reversed"
    assert await world.red() == {}


async def test_what_was_minted_is_missing_by_name_and_stops_minting(world: Bank) -> None:
    made = await world.short()
    assert (made["taken_back_tiyn"], made["missing_tiyn"], made["status"]) == (
        40_000, 60_000, "short",
    )  # fmt: skip
    found = await world.reserve()
    assert (found["reserve_tiyn"], found["owed_tiyn"], found["minting"]) == (0, 60_000, "off")
    assert found["minting_reason"] == f"60000 tiyn of {made['deposit']} were minted and taken back"
    assert found["reversals"] == [made]
    assert await world.posted(accounts.receivable(str(made["deposit"]))) == 60_000
    red = await world.red()
    assert list(red) == ["I2"]
    assert (red["I2"].left, red["I2"].right) == (0, 60_000)
    other = await world.deposit(5, "CAMT-3")
    assert (await world.mint(other, 5))["code"] == "minting_halted"
    await world.turn()
    status, refusal = await world.resume()
    assert (status, refusal["code"]) == (409, "breach_stands")
    assert any(f"60000 tiyn of {made['deposit']} are missing" in one for one in refusal["breaches"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"by": "customer"},
        {"by": "own", "bank_reference": "X"},
        {"by": "state", "bank_reference": "X"},
        {"by": "customer", "bank_reference": ""},
    ],
)
async def test_money_that_nobody_names_covers_nothing(world: Bank, body: object) -> None:
    made = await world.short()
    status, refusal = await world.cover(made["id"], body)
    assert (status, refusal["code"]) == (422, "invalid_request")


async def test_covering_is_refused_by_name(world: Bank) -> None:
    made = await world.short()
    paid_in = {"by": "customer", "bank_reference": "CAMT-1"}
    assert (await world.cover("rev_none", paid_in))[1]["code"] == "not_found"
    assert (await world.cover(made["id"], paid_in))[1]["code"] == "bank_reference_conflict"
    assert (await world.cover(made["id"], {"by": "own"}))[1]["code"] == "insufficient_funds"
    for role in ("merchant", "developer", "regulator", "fund_officer"):
        answer = await world.post(f"/v1/reserve/reversals/{made['id']}/cover", paid_in, role)
        assert answer.json()["code"] == "role_may_not"
    again = paid_in | {"bank_reference": "CAMT-4"}
    assert (await world.cover(made["id"], again))[0] == 200
    assert (await world.cover(made["id"], again))[1]["code"] == "nothing_missing"


async def test_a_customer_who_pays_in_again_makes_it_good(world: Bank) -> None:
    made = await world.short()
    status, covered = await world.cover(made["id"], {"by": "customer", "bank_reference": "CAMT-4"})
    assert (status, covered["status"], covered["missing_tiyn"]) == (200, "settled", 0)
    assert (covered["covered_by"], covered["cover_reference"]) == ("customer", "CAMT-4")
    assert await world.posted(accounts.receivable(str(made["deposit"]))) == 0
    assert await world.red() == {}
    assert (await world.reserve())["minting"] == "off", "nobody said that it may go on"
    assert await world.turn() == {}
    assert (await world.resume())[0] == 200
    other = await world.deposit(5, "CAMT-5")
    assert (await world.mint(other, 5))["status"] == "pending"


async def _bank_works(world: Bank) -> None:
    for _ in range(4):
        await simulator.step(world.database)
        await world.read()
    async with world.database.transaction() as db:
        await clock.advance(db, 7 * 86_400)
    for _ in range(4):
        await simulator.step(world.database)
        await world.read()


async def test_own_money_makes_it_good_when_the_bank_has_booked_it(world: Bank) -> None:
    await world.own_money(70_000)
    made = await world.short()
    status, covering = await world.cover(made["id"], {"by": "own"})
    assert (status, covering["status"]) == (200, "covering")
    assert await world.available(accounts.operating()) == 10_000
    assert (await world.reserve())["reserve_tiyn"] == 0
    assert (await world.cover(made["id"], {"by": "own"}))[1]["code"] == "nothing_missing"
    await _bank_works(world)
    covered = (await world.get(f"/v1/reserve/reversals/{made['id']}")).json()
    assert (covered["status"], covered["covered_by"]) == ("settled", "own")
    assert await world.posted(accounts.operating()) == 10_000
    assert await world.posted(accounts.reserve_bank()) == 60_000
    assert await world.posted(accounts.receivable(str(made["deposit"]))) == 60_000
    assert await world.red() == {}
    assert await world.turn() == {}
    assert (await world.resume(body=WHY))[0] == 200


async def test_what_own_money_covered_is_owed_until_it_is_repaid_or_written_off(
    world: Bank, owner_url: str
) -> None:
    await world.own_money(70_000)
    made = await world.short()
    debt = accounts.receivable(str(made["deposit"]))
    why = {"reason": "the customer is insolvent"}

    async def act(name: str, body: object, role: str = "issuer") -> tuple[int, dict[str, object]]:
        answer = await world.post(f"/v1/reserve/reversals/{made['id']}/{name}", body, role)
        return answer.status_code, answer.json()

    async def refused(name: str, body: object) -> tuple[int, object]:
        status, said = await act(name, body)
        return status, said["code"]

    # The reserve is short first of all: nobody forgives that.
    assert await refused("write_off", why) == (409, "nothing_owed")
    await world.cover(made["id"], {"by": "own"})
    assert await refused("repay", {"bank_reference": "LATE-1"}) == (409, "nothing_owed")
    await _bank_works(world)
    assert (await world.get(f"/v1/reserve/reversals/{made['id']}")).json()["owed_tiyn"] == 60_000
    assert await refused("undo_write_off", why) == (409, "not_written_off")
    assert await refused("write_off", {"reason": ""}) == (422, "invalid_request")
    assert (await act("write_off", why, "merchant"))[0] == 403
    assert await refused("repay", {"bank_reference": "CAMT-1"}) == (409, "bank_reference_conflict")

    answers = await asyncio.gather(*(act("write_off", why) for _ in range(4)))
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409]
    assert (await world.posted(debt), await world.posted(accounts.bad_debt())) == (0, 60_000)
    assert await refused("repay", {"bank_reference": "LATE-1"}) == (409, "nothing_owed")
    assert await world.red() == {}
    # Wrongly: the customer pays after all.
    assert (await act("undo_write_off", {"reason": "it was another customer"}))[0] == 200
    assert (await world.posted(debt), await world.posted(accounts.bad_debt())) == (60_000, 0)
    assert (await act("write_off", why))[0] == 200
    assert (await act("undo_write_off", why))[0] == 200
    status, repaid = await act("repay", {"bank_reference": "LATE-1"})
    assert (status, repaid["owed_tiyn"], repaid["repaid_tiyn"]) == (200, 0, 60_000)
    assert await refused("repay", {"bank_reference": "LATE-2"}) == (409, "nothing_owed")
    assert (await world.posted(debt), await world.posted(accounts.operating())) == (0, 70_000)
    assert await world.count("entry WHERE reverses IS NOT NULL") == 2
    assert await world.red() == {}
    assert (await world.get("/v1/reserve")).json()["ratio"] == "1.0000"

    owner = await asyncpg.connect(owner_url)
    await owner.execute("SET session_replication_role = replica")
    for altered, undone in (
        ("repaid_tiyn = 59999", "repaid_tiyn = 60000"),
        ("repaid_reference = 'X'", "repaid_reference = 'LATE-1'"),
        ("repaid_tiyn = 0, written_off_tiyn = 60000", ""),
    ):
        await owner.execute(f"UPDATE credit_reversal SET {altered}")
        assert f"credit_reversal {made['id']}: " in (await world.red())["I6"].detail
        if undone:
            await owner.execute(f"UPDATE credit_reversal SET {undone}")
            assert await world.red() == {}
    await owner.close()


async def test_own_money_that_the_bank_does_not_move_leaves_it_missing(world: Bank) -> None:
    await world.own_money(70_000)
    made = await world.short()
    async with world.database.transaction() as db:
        await registry.refuse_payments_to(db, RESERVE_IBAN)
    await world.cover(made["id"], {"by": "own"})
    await _bank_works(world)
    read = (await world.get(f"/v1/reserve/reversals/{made['id']}")).json()
    assert (read["status"], read["missing_tiyn"]) == ("short", 60_000)
    assert await world.available(accounts.operating()) == 70_000
    async with world.database.transaction() as db:
        await registry.accept_payments_to(db, RESERVE_IBAN)
    await world.cover(made["id"], {"by": "own"})
    await _bank_works(world)
    read = (await world.get(f"/v1/reserve/reversals/{made['id']}")).json()
    assert read["status"] == "settled"
    assert await world.red() == {}


async def test_a_mint_under_way_that_fails_gives_its_money_back_to_the_bank(world: Bank) -> None:
    deposit = await world.deposit()
    await world.mint(deposit, 60_000)
    await world.reversed()
    await world.read()
    [made] = (await world.get("/v1/reserve/reversals")).json()["data"]
    assert (made["taken_back_tiyn"], made["missing_tiyn"]) == (40_000, 60_000)
    world.chain.losing = True
    for _ in range(10):
        await world.runner.step()
        world.chain.mine(40)
        await world.follow()
    assert await world.read() == 1
    [made] = (await world.get("/v1/reserve/reversals")).json()["data"]
    assert (made["taken_back_tiyn"], made["status"]) == (100_000, "settled")
    assert await world.posted(accounts.unminted(deposit)) == 0
    assert await world.red() == {}


async def test_mints_and_a_reversal_at_once_leave_every_tiyn_accounted_for(world: Bank) -> None:
    deposit = await world.deposit()
    await world.reversed()
    answers = await asyncio.gather(
        *(world.mint(deposit, 30_000) for _ in range(3)),
        world.read(),
        *(world.mint(deposit, 30_000) for _ in range(3)),
        world.read(),
    )
    minted = sum(30_000 for one in answers if isinstance(one, dict) and one.get("id"))
    codes = {one["code"] for one in answers if isinstance(one, dict) and "code" in one}
    assert codes <= {"deposit_exhausted", "deposit_reversed", "minting_halted", "reserve_short"}
    await world.read()
    [made] = (await world.get("/v1/reserve/reversals")).json()["data"]
    assert (made["taken_back_tiyn"], made["missing_tiyn"]) == (100_000 - minted, minted)
    await world.carry_out()
    assert (await world.chain.supply()).units == minted
    assert await world.posted(accounts.reserve_bank()) == 0
    assert await world.posted(accounts.receivable(deposit)) == minted
    assert set(await world.red()) == ({"I2"} if minted else set())


# Rows.


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE credit_reversal SET taken_back_tiyn = taken_back_tiyn + 1", "credit_reversal rev"),
        ("UPDATE credit_reversal SET amount_tiyn = amount_tiyn + 1", "credit_reversal rev"),
        ("UPDATE credit_reversal SET bank_reference = 'CAMT-9'", "credit_reversal rev"),
        ("DELETE FROM credit_reversal", "bank_message"),
        ("UPDATE pending_credit SET amount_tiyn = amount_tiyn + 1", "pending_credit CAMT-2"),
        ("UPDATE pending_credit SET booked_at = now()", "pending_credit CAMT-2"),
        ("DELETE FROM pending_credit", "pending_credit CAMT-2"),
    ],
)
async def test_an_altered_row_turns_i6_red_and_is_named(
    world: Bank, owner_url: str, statement: str, named: str
) -> None:
    await world.announced()
    await world.short()
    await world.read()
    owner = await asyncpg.connect(owner_url)
    await owner.execute("SET session_replication_role = replica")
    assert not (await owner.execute(statement)).endswith(" 0")
    await owner.close()
    async with world.database.transaction() as db:
        [check] = await reversal_checks.reversals_match(db)
    assert not check.ok
    assert named in check.detail


# Statements.


async def test_a_stale_statement_mints_nothing_where_fresh_ones_are_asked_for(world: Bank) -> None:
    deposit = await world.deposit()
    async with world.database.transaction() as db:
        await minting.set_statement_max_age(db, 3_600)
        midnight = calendar.ends_at(calendar.local_date(await clock.now(db)))
        await db.execute(
            text("UPDATE clock SET frozen_at = :at"), {"at": midnight + timedelta(seconds=3_600)}
        )
    refusal = await world.mint(deposit, 1)
    assert (refusal["code"], refusal["age_s"], refusal["max_age_s"]) == (
        "statement_stale", None, 3_600,
    )  # fmt: skip
    async with world.database.transaction() as db:
        day = calendar.local_date(midnight - timedelta(seconds=1))
        other = statements.build(await bank.day_statement(db, OPERATING_IBAN, day), midnight)
        await inbox.take_statement(db, OPERATING_IBAN, other)
    assert (await world.mint(deposit, 1))["code"] == "statement_stale"
    assert await closing.close_days(world.database) == 1
    assert (await world.mint(deposit, 1))["status"] == "pending"
    async with world.database.transaction() as db:
        await clock.advance(db, 1)
    refusal = await world.mint(deposit, 1)
    assert (refusal["code"], refusal["age_s"]) == ("statement_stale", 3_601)
    async with world.database.transaction() as db:
        await minting.set_statement_max_age(db, 0)
        assert await db.scalar(text("SELECT statement_max_age_s FROM minting")) is None
    assert (await world.mint(deposit, 1))["status"] == "pending"
