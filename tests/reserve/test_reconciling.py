"""The books are looked at without being asked; what is wrong is told, and stops minting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from sandbox.bank.checks import messages_match
from sandbox.chains.memory import MemoryChain
from sandbox.core.checks import Check, CheckFunction
from sandbox.core.db import Database, Leader
from sandbox.lab import routes as lab_routes
from sandbox.ledger import checks as ledger_checks
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import checks, minting, routes
from sandbox.reserve.attestation_checks import breaches_as_told
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from sandbox.reserve.reconciling import Reconciler
from tests.reserve.world import World

WHY = {"reason": "found the row and put it back"}


class Reconciled(World):
    """A world with the loop that looks at its books, turned by hand."""

    def reconciler(
        self, *more: CheckFunction, owner: str = "worker-1"
    ) -> tuple[Reconciler, Leader]:
        async def supply_matches() -> list[Check]:
            return await checks.supply_matches(self.database, self.chains, wait_s=0)

        def alone(check: Callable[..., Awaitable[list[Check]]]) -> CheckFunction:
            async def run() -> list[Check]:
                async with self.database.transaction() as db:
                    return await check(db)

            run.__name__ = check.__name__
            return run

        of_the_books = (
            checks.reserve_covers,
            checks.statements_match,
            checks.deposits_match,
            messages_match,
            ledger_checks.entries_balance,
            ledger_checks.balances_are_sums,
        )
        leader = Leader(self.database, "reconcile", owner)
        made = [supply_matches, *map(alone, of_the_books), *more]
        return Reconciler(self.database, made, leader), leader

    async def turn(self, *more: CheckFunction) -> dict[str, Check]:
        """One turn of the loop; its red lines by key."""
        reconciler, leader = self.reconciler(*more)
        assert await leader.acquire()
        try:
            return (await reconciler.turn()).red
        finally:
            await leader.release()

    async def reserve(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.get("/v1/reserve", "regulator")).json()
        return found

    async def resume(self, role: str = "issuer", body: object = WHY) -> tuple[int, dict[str, Any]]:
        answer = await self.post("/v1/reserve/minting/resume", body, role)
        return answer.status_code, answer.json()


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[Reconciled]:
    world = Reconciled(
        database,
        MemoryChain(),
        [ReserveWatch()],
        {"issuance": IssuanceHandler()},
        [routes.router, lab_routes.router],
    )
    await world.begin()
    deposit = {"amount_tiyn": 100_000, "bank_reference": "CAMT-1"}
    made = (await world.post("/v1/reserve/deposits", deposit)).json()
    asked = {
        "deposit": made["id"],
        "chain": "memory",
        "amount_tiyn": 60_000,
        "recipient": world.chain.treasury,
    }
    await world.post("/v1/reserve/issuances", asked)
    await world.carry_out()
    yield world
    await world.end()


@pytest_asyncio.fixture
async def owner(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody with every right, and no rule to hold him back."""
    connection = await asyncpg.connect(owner_url)
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()


@pytest.mark.parametrize("role", ["merchant", "developer", "regulator", "fund_officer"])
async def test_only_issuer_and_operator_release_minting(world: Reconciled, role: str) -> None:
    status, refusal = await world.resume(role)
    assert (status, refusal["code"]) == (403, "role_may_not")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 501}, {"reason": 7}])
async def test_a_release_needs_a_reason(world: Reconciled, body: object) -> None:
    status, refusal = await world.resume(body=body)
    assert (status, refusal["code"]) == (422, "invalid_request")


async def test_minting_that_is_on_has_no_release(world: Reconciled) -> None:
    status, refusal = await world.resume()
    assert (status, refusal["code"]) == (409, "minting_not_halted")


async def test_a_sound_world_is_left_alone(world: Reconciled) -> None:
    assert await world.turn() == {}
    found = await world.reserve()
    assert (found["minting"], found["breaches"]) == ("on", [])
    newest = found["reconciliation"]
    assert (newest["turns"], newest["lines_red"], newest["lines_not_made"]) == (1, 0, [])
    assert newest["lines_judged"] >= 9


BREACHES = [
    ("a statement line", "UPDATE bank_sim.booking SET amount_tiyn = amount_tiyn + 1", {"I6"}),
    ("a statement line gone", "DELETE FROM bank_sim.booking", {"I6"}),
    ("a deposit", "UPDATE deposit SET amount_tiyn = amount_tiyn - 1", {"I6"}),
    ("a leg", "UPDATE leg SET amount = amount + 1 WHERE line = 1", {"I3", "I4"}),
    ("a balance", "UPDATE balance SET posted = posted - 1", {"I4"}),
    ("a floor", "UPDATE account SET floor = NULL WHERE code LIKE 'l:unminted:%'", {"I4"}),
    ("a height", "UPDATE resolution SET height = height + 1000", {"I1"}),
    ("an order nobody gave", """INSERT INTO bank_message (direction, kind, ref, end_to_end_id, body,
        created_at, read_at) VALUES ('out', 'pacs.008', 'po_x', 'po_x',
        '{"debtor_iban": "KZ1", "creditor_iban": "KZ2", "amount_tiyn": 1}', now(), now())""",
        {"I6"}),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "invariants"), [one[1:] for one in BREACHES])
async def test_a_breach_is_told_and_turns_minting_off_within_one_turn(
    world: Reconciled, owner: asyncpg.Connection, statement: str, invariants: set[str]
) -> None:
    assert not (await owner.execute(statement)).endswith(" 0")
    red = await world.turn()
    assert invariants <= {check.id for check in red.values()}
    found = await world.reserve()
    assert found["minting"] == "off"
    assert {one["invariant"] for one in found["breaches"]} == {check.id for check in red.values()}
    assert all(one["stands"] for one in found["breaches"])
    types = await world.event_types()
    assert types.count("reserve.breach_found") == len(red)
    assert types.count("minting.halted") == 1
    # Told once, however often it is found.
    assert await world.turn() == red
    assert await world.event_types() == types


async def test_a_breach_names_rows_and_figures_and_hides_account_numbers(
    world: Reconciled, owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = 100001")
    await world.turn()
    breaches = (await world.reserve())["breaches"]
    said = {one["line"]: (one["figures"], one["detail"]) for one in breaches}
    figures, detail = said["statements_match:0"]
    assert figures == ["left 100001", "right 100000"]
    assert "KZ63…0001" in detail
    assert "KZ639480000000000001" not in str(breaches)
    booking = await owner.fetchval("SELECT id FROM bank_sim.booking")
    assert f"bank_sim.booking {booking}: credit of 100001" in said["messages_match:0"][1]
    leaves = await owner.fetch("SELECT convert_from(leaf, 'UTF8') AS leaf FROM event")
    assert not any("KZ639480000000000001" in row["leaf"] for row in leaves)


async def test_an_altered_breach_turns_i8_red(world: Reconciled, owner: asyncpg.Connection) -> None:
    await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = 100001")
    await world.turn()
    async with world.database.transaction() as db:
        [sound] = await breaches_as_told(db)
    assert sound.ok, sound.detail
    await owner.execute("UPDATE reserve_breach SET detail = 'nothing' WHERE line LIKE 'state%'")
    async with world.database.transaction() as db:
        [check] = await breaches_as_told(db)
    named = await owner.fetchval("SELECT id FROM reserve_breach WHERE detail = 'nothing'")
    assert (check.ok, check.left) == (False, 1)
    assert f"reserve_breach {named}: is not as" in check.detail


async def test_minting_stays_off_until_the_breach_is_gone_and_somebody_says_so(
    world: Reconciled, owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = amount_tiyn + 1")
    await world.turn()
    status, refusal = await world.resume()
    assert (status, refusal["code"]) == (409, "breach_stands")
    assert len(refusal["breaches"]) == 2
    await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = amount_tiyn - 1")
    assert (await world.resume())[1]["code"] == "breach_stands", "nobody has looked since"
    assert await world.turn() == {}
    found = await world.reserve()
    assert (found["minting"], [one["stands"] for one in found["breaches"]]) == ("off", [False] * 2)
    status, released = await world.resume()
    assert (status, released["minting"], released["reason"]) == (200, "on", WHY["reason"])
    assert released["breaches"] == [one["id"] for one in found["breaches"]]
    found = await world.reserve()
    assert (found["minting"], found["breaches"]) == ("on", [])
    assert (await world.event_types())[-1] == "minting.resumed"
    # The same again is a new breach.
    await owner.execute("UPDATE bank_sim.booking SET amount_tiyn = amount_tiyn + 1")
    await world.turn()
    assert (await world.event_types()).count("reserve.breach_found") == 4


async def test_a_halt_that_came_after_the_newest_turn_is_not_released_by_it(
    world: Reconciled,
) -> None:
    await _halt(world, "first")
    await world.turn()
    await _halt(world, "second, while minting was off")
    status, refusal = await world.resume()
    assert (status, refusal["code"]) == (409, "not_reconciled_yet")
    await world.turn()
    assert (await world.resume())[0] == 200


async def _halt(world: Reconciled, reason: str) -> None:
    async with world.database.transaction() as db:
        await ledger.record(db, Changes(events=await minting.halt(db, reason)))


async def test_a_chain_that_does_not_answer_is_no_breach_and_releases_nothing(
    world: Reconciled,
) -> None:
    await _halt(world, "a test")
    world.chain.down = True
    assert await world.turn() == {}
    world.chain.down = False
    status, refusal = await world.resume()
    assert (status, refusal["code"]) == (409, "not_reconciled_yet")
    assert refusal["not_made"] == ["supply_matches"]
    assert "reserve.breach_found" not in await world.event_types()


async def test_a_watcher_that_lags_is_no_breach(world: Reconciled) -> None:
    world.chain.mine_final()
    assert await world.turn() == {}
    assert (await world.reserve())["reconciliation"]["lines_not_made"] == ["supply_matches:0"]


async def test_a_check_that_fails_is_a_breach(world: Reconciled) -> None:
    async def broken() -> list[Check]:
        raise RuntimeError("not a figure at all")

    red = await world.turn(broken)
    assert list(red) == ["broken"]
    [found] = (await world.reserve())["breaches"]
    assert found["detail"] == "broken fails: RuntimeError"


async def test_what_is_red_only_once_was_under_way(world: Reconciled) -> None:
    answers = iter([False, True])

    async def hasty() -> list[Check]:
        return [Check("I5", next(answers), 1, 2, "hasty")]

    assert await world.turn(hasty) == {}
    assert (await world.reserve())["minting"] == "on"


async def test_of_many_workers_one_looks_and_rests_until_something_moves(
    world: Reconciled,
) -> None:
    workers = [world.reconciler(owner=f"worker-{n}") for n in range(3)]
    turned = await asyncio.gather(*(reconciler.step() for reconciler, _ in workers))
    assert sorted(turned) == [False, False, True]
    assert not any([await reconciler.step() for reconciler, _ in workers])
    for _, leader in workers:
        await leader.release()


async def test_a_breach_that_two_turns_find_at_once_is_told_once(
    world: Reconciled, owner: asyncpg.Connection
) -> None:
    """A leader that stalled and comes back writes nothing."""
    await owner.execute("UPDATE deposit SET amount_tiyn = amount_tiyn - 1")
    stalled, old = world.reconciler(owner="worker-1")
    assert await old.acquire()
    async with world.database.transaction() as db:
        await old.check(db)
    await owner.execute("UPDATE leader SET term = term + 1")
    with pytest.raises(Exception, match="reconcile"):
        await stalled.turn()
    assert "reserve.breach_found" not in await world.event_types()


async def test_a_halted_chain_is_resumed_by_the_operator_and_then_minting(
    world: Reconciled,
) -> None:
    world.chain.mine(20)
    await world.follow()
    world.chain.reorg(10)
    world.chain.mine(20)
    for _ in range(5):
        await world.watcher.step()
    await world.turn()
    status, refusal = await world.resume()
    assert (status, refusal["code"]) == (409, "breach_stands")
    assert refusal["breaches"][0].startswith("memory is halted: ")
    path = "/v1/sandbox/chains/memory/resume"
    for role in ("merchant", "developer", "seeded", "issuer", "regulator"):
        assert (await world.post(path, {}, role)).json()["code"] == "role_may_not"
    unknown = await world.post("/v1/sandbox/chains/other/resume", {})
    assert (unknown.status_code, unknown.json()["code"]) == (409, "chain_not_halted")
    answer = await world.post(path, {})
    assert (answer.status_code, answer.json()["chain"]) == (200, "memory")
    assert (await world.event_types())[-1] == "chain.resumed"
    again = await world.post(path, {})
    assert (again.status_code, again.json()["code"]) == (409, "chain_not_halted")
