import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from sandbox.chains.memory import MemoryChain, new_address
from sandbox.core.db import Database
from sandbox.core.money import MAX_SUPPLY_TIYN, units_per_tiyn
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.reserve import minting, routes, service
from sandbox.reserve.checks import reserve_covers, supply_matches
from sandbox.reserve.errors import MintingNotHalted, ReserveShort, SupplyCapExceeded
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from sandbox.reserve.jobs import halt_if_short
from tests.reserve.world import World

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


async def _deposit(world: World, amount_tiyn: int = 100_000, reference: str = "CAMT-1") -> str:
    body = {"amount_tiyn": amount_tiyn, "bank_reference": reference}
    answer = await world.post("/v1/reserve/deposits", body)
    assert answer.status_code == 201
    return str(answer.json()["id"])


def _request(world: World, deposit: str, amount_tiyn: int = 100_000) -> dict[str, object]:
    return {
        "deposit": deposit,
        "chain": world.chain.name,
        "amount_tiyn": amount_tiyn,
        "recipient": world.chain.treasury,
    }


async def _lose_reserve_money(world: World, amount_tiyn: int) -> None:
    """What must never happen: money leaves the reserve account and no debt goes with it."""
    async with world.database.transaction() as db:
        entry = NewEntry(
            "ent_theft",
            "posted",
            "theft",
            "theft",
            None,
            NOW,
            "test",
            (
                debit(accounts.operating(), amount_tiyn),
                credit(accounts.reserve_bank(), amount_tiyn),
            ),
        )
        event = NewEvent("evt_theft", "test.theft", NOW, {}, refs=("theft",))
        await ledger.record(db, Changes(entries=[entry], events=[event]))


@pytest.mark.parametrize("role", ["merchant", "developer", "regulator", "fund_officer"])
async def test_only_issuer_and_operator_mint(world: World, role: str) -> None:
    answer = await world.post("/v1/reserve/issuances", _request(world, "dep_x"), role)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"chain": "bitcoin"}, 422, "chain_unknown"),
        ({"recipient": "nowhere"}, 422, "invalid_address"),
        ({"deposit": "dep_none"}, 404, "deposit_unknown"),
        ({"amount_tiyn": 100_001}, 409, "deposit_exhausted"),
        ({"amount_tiyn": 0}, 422, "invalid_request"),
        ({"amount_tiyn": 10**13 + 1}, 422, "invalid_request"),
        ({"amount_tiyn": True}, 422, "invalid_request"),
    ],
)
async def test_a_mint_is_refused_by_name_and_leaves_nothing(
    world: World, changed: dict[str, object], status: int, code: str
) -> None:
    deposit = await _deposit(world)
    answer = await world.post("/v1/reserve/issuances", _request(world, deposit) | changed)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await world.count("issuance") == 0
    assert await world.count("chain_intent") == 0
    assert await world.available(accounts.unminted(deposit)) == 100_000


async def test_a_mint_while_minting_is_halted_is_refused_with_the_reason(world: World) -> None:
    deposit = await _deposit(world)
    async with world.database.transaction() as db:
        assert len(await minting.halt(db, "a test")) == 1
        assert await minting.halt(db, "again") == []
    answer = await world.post("/v1/reserve/issuances", _request(world, deposit))
    assert (answer.status_code, answer.json()["code"]) == (409, "minting_halted")
    assert answer.json()["reason"] == "a test"
    figures = (await world.get("/v1/reserve")).json()
    assert (figures["minting"], figures["minting_reason"]) == ("off", "a test")


async def test_a_mint_while_the_reserve_is_short_is_refused(world: World) -> None:
    deposit = await _deposit(world)
    await _lose_reserve_money(world, 1)
    answer = await world.post("/v1/reserve/issuances", _request(world, deposit, 1))
    assert (answer.status_code, answer.json()["code"]) == (409, "reserve_short")
    assert (answer.json()["reserve_tiyn"], answer.json()["owed_tiyn"]) == (99_999, 100_000)
    assert await world.count("chain_intent") == 0
    assert (await world.get("/v1/reserve")).json()["ratio"] == "0.9999"
    async with world.database.transaction() as db:
        [check] = await reserve_covers(db)
    assert (check.id, check.ok, check.left, check.right) == ("I2", False, 99_999, 100_000)


async def test_a_short_reserve_turns_minting_off_without_being_asked(world: World) -> None:
    deposit = await _deposit(world)
    assert not await halt_if_short(world.database)
    await _lose_reserve_money(world, 1)
    assert await halt_if_short(world.database)
    assert not await halt_if_short(world.database)
    assert (await world.event_types()).count("minting.halted") == 1
    answer = await world.post("/v1/reserve/issuances", _request(world, deposit, 1))
    assert answer.json()["code"] == "minting_halted"
    with pytest.raises(ReserveShort):
        async with world.database.transaction() as db:
            await minting.resume(db)


async def test_minting_that_is_on_cannot_be_resumed(world: World) -> None:
    with pytest.raises(MintingNotHalted):
        async with world.database.transaction() as db:
            await minting.resume(db)


async def test_minting_goes_on_after_a_halt_is_lifted(world: World) -> None:
    deposit = await _deposit(world)
    async with world.database.transaction() as db:
        await minting.halt(db, "a test")
        event = await minting.resume(db)
        assert (event.type, event.data) == ("minting.resumed", {"halted_for": "a test"})
    answer = await world.post("/v1/reserve/issuances", _request(world, deposit))
    assert answer.status_code == 201


async def test_two_mints_at_once_cannot_exceed_their_deposit(world: World) -> None:
    deposit = await _deposit(world)
    answers = await asyncio.gather(
        *(world.post("/v1/reserve/issuances", _request(world, deposit, 30_000)) for _ in range(6))
    )
    codes = sorted(answer.json().get("code", "") for answer in answers)
    assert codes == [""] * 3 + ["deposit_exhausted"] * 3
    assert await world.available(accounts.unminted(deposit)) == 10_000
    await world.carry_out()
    assert (await world.chain.supply()).units == 90_000
    assert await world.posted(accounts.outstanding("memory")) == 90_000


async def test_one_idempotency_key_mints_once_however_often_it_is_sent(world: World) -> None:
    deposit = await _deposit(world)
    body = _request(world, deposit, 40_000)
    first = await world.post("/v1/reserve/issuances", body, key="once")
    again = await world.post("/v1/reserve/issuances", body, key="once")
    assert again.json() == first.json()
    await world.carry_out()
    await world.carry_out()
    assert (await world.chain.supply()).units == 40_000


async def test_the_supply_cap_of_a_chain_holds(database: Database, decimals: int) -> None:
    chain = MemoryChain(decimals=decimals)
    world = World(database, chain, [ReserveWatch()], {"issuance": IssuanceHandler()}, [])
    await world.begin()
    cap_units = MAX_SUPPLY_TIYN * units_per_tiyn(decimals)
    async with database.transaction() as db:
        # Almost all of what a chain may hold, without ninety deposits of the largest size.
        almost = cap_units - units_per_tiyn(decimals)
        entry = NewEntry(
            "ent_big", "pending", "seed", "big", "memory", NOW, "test",
            (
                debit(accounts.external("memory"), almost),
                credit(accounts.supply("memory"), almost),
            ),
        )  # fmt: skip
        await ledger.record(db, Changes(entries=[entry]))
        received = await service.receive(db, amount_tiyn=2, bank_reference="A")
    with pytest.raises(SupplyCapExceeded):
        async with database.transaction() as db:
            await service.issue(
                db,
                world.chains,
                deposit_id=received.deposit.id,
                chain="memory",
                amount_tiyn=2,
                recipient=chain.treasury,
            )
    async with database.transaction() as db:
        await service.issue(
            db,
            world.chains,
            deposit_id=received.deposit.id,
            chain="memory",
            amount_tiyn=1,
            recipient=chain.treasury,
        )
    await world.end()


@pytest.fixture
async def any_world(database: Database, decimals: int) -> AsyncIterator[World]:
    world = World(
        database,
        MemoryChain(decimals=decimals),
        [ReserveWatch()],
        {"issuance": IssuanceHandler()},
        [routes.router],
    )
    await world.begin()
    yield world
    await world.end()


async def test_a_mint_reserves_at_once_and_counts_when_final(
    any_world: World, decimals: int
) -> None:
    world, scale = any_world, units_per_tiyn(decimals)
    deposit = await _deposit(world)
    answer = await world.post("/v1/reserve/issuances", _request(world, deposit), "issuer")
    assert answer.status_code == 201
    made = answer.json()
    assert made == {
        "object": "issuance",
        "id": made["id"],
        "deposit": deposit,
        "chain": "memory",
        "amount_tiyn": 100_000,
        "recipient": world.chain.treasury,
        "status": "pending",
        "tx": None,
        "reason": None,
        "created_at": made["created_at"],
    }
    assert await world.available(accounts.unminted(deposit)) == 0
    assert await world.posted(accounts.unminted(deposit)) == 100_000
    assert await world.posted(accounts.outstanding("memory")) == 0

    await world.runner.step()
    world.chain.mine()
    await world.follow()
    assert await world.posted(accounts.supply("memory")) == 0

    await world.carry_out()
    for account, amount in {
        accounts.reserve_bank(): 100_000,
        accounts.unminted(deposit): 0,
        accounts.outstanding("memory"): 100_000,
        accounts.supply("memory"): 100_000 * scale,
        accounts.treasury("memory"): 100_000 * scale,
        accounts.custody("memory"): 100_000 * scale,
        accounts.float_("memory"): 100_000 * scale,
    }.items():
        assert await world.posted(account) == amount, account
    assert (await world.chain.balance(world.chain.treasury)).units == 100_000 * scale
    read = (await world.get(f"/v1/reserve/issuances/{made['id']}", "regulator")).json()
    assert read["status"] == "issued"
    assert read["tx"] is not None
    assert (await world.get("/v1/reserve/issuances")).json()["data"] == [read]
    figures = (await world.get("/v1/reserve", "merchant")).json()
    assert figures["outstanding_units"] == {"memory": 100_000 * scale}
    assert figures["ratio"] == "1.0000"
    assert await world.event_types() == [
        "reserve.deposit_received",
        "reserve.issuance_requested",
        "reserve.issuance_issued",
    ]
    [check] = await supply_matches(world.database, world.chains, wait_s=0)
    assert (check.id, check.ok, check.left) == ("I1", True, 100_000 * scale)


async def test_a_mint_to_somebody_else_makes_no_claim(any_world: World, decimals: int) -> None:
    world, scale = any_world, units_per_tiyn(decimals)
    deposit = await _deposit(world)
    holder = new_address()
    body = _request(world, deposit, 500) | {"recipient": holder}
    await world.post("/v1/reserve/issuances", body)
    await world.carry_out()
    assert await world.posted(accounts.external("memory")) == 500 * scale
    assert await world.posted(accounts.custody("memory")) == 0
    assert (await world.chain.balance(holder)).units == 500 * scale


async def test_a_mint_that_cannot_happen_gives_the_deposit_back(world: World) -> None:
    deposit = await _deposit(world)
    made = (await world.post("/v1/reserve/issuances", _request(world, deposit))).json()
    world.chain.losing = True
    for _ in range(10):
        await world.runner.step()
        world.chain.mine(40)
        await world.follow()
    read = (await world.get(f"/v1/reserve/issuances/{made['id']}")).json()
    assert (read["status"], read["reason"]) == ("failed", "expired")
    assert await world.available(accounts.unminted(deposit)) == 100_000
    assert (await world.event_types())[-1] == "reserve.issuance_failed"
    world.chain.losing = False
    await world.post("/v1/reserve/issuances", _request(world, deposit))
    await world.carry_out()
    assert (await world.chain.supply()).units == 100_000
