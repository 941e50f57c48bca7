"""`/v1/ledger`: what an auditor reads of the books, and that it is what the log holds."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from sandbox.chains.memory import MemoryChain
from sandbox.core.db import Database
from sandbox.ledger import routes as ledger_routes
from sandbox.reserve import routes
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from tests.reserve.world import World


@pytest.fixture
async def books(database: Database) -> AsyncIterator[World]:
    """A deposit of 1,000 ₸ of which 400 ₸ were minted."""
    world = World(
        database,
        MemoryChain(),
        [ReserveWatch()],
        {"issuance": IssuanceHandler()},
        [routes.router, ledger_routes.router],
    )
    await world.begin()
    body: dict[str, Any] = {"amount_tiyn": 100_000, "bank_reference": "CAMT-1"}
    deposit = (await world.post("/v1/reserve/deposits", body)).json()["id"]
    asked = {"deposit": deposit, "chain": world.chain.name, "amount_tiyn": 40_000}
    asked["recipient"] = world.chain.treasury
    assert (await world.post("/v1/reserve/issuances", asked)).status_code == 201
    await world.carry_out()
    yield world
    await world.end()


async def read(world: World, path: str) -> Any:
    answer = await world.get(f"/v1/ledger/{path}", "regulator")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_books_are_for_those_who_look_after_them(books: World) -> None:
    entry = (await read(books, "entries"))["data"][0]["id"]
    for path in ("accounts", "entries", f"entries/{entry}"):
        for role in ("merchant", "developer", "fund_officer"):
            assert (await books.get(f"/v1/ledger/{path}", role)).status_code == 403
        for role in ("issuer", "operator"):
            assert (await books.get(f"/v1/ledger/{path}", role)).status_code == 200


async def test_what_is_not_there_is_not_found(books: World) -> None:
    assert (await books.get("/v1/ledger/entries/ent_nothing")).status_code == 404
    assert (await books.get("/v1/ledger/accounts?book=fund")).status_code == 422
    assert (await read(books, "entries?ref=dep_nothing"))["data"] == []
    assert (await read(books, "entries?account=acc_nothing"))["data"] == []


async def test_each_account_has_the_balance_that_its_entries_add_up_to(books: World) -> None:
    accounts = (await read(books, "accounts?limit=100"))["data"]
    assert any(account["posted"] for account in accounts)
    for account in accounts:
        entries = (await read(books, f"entries?limit=100&account={account['id']}"))["data"]
        summed = sum(
            leg["amount"] if leg["side"] == account["normal"] else -leg["amount"]
            for entry in entries
            if entry["state"] == "posted"
            for leg in entry["legs"]
            if (leg["book"], leg["asset"], leg["code"])
            == (account["book"], account["asset"], account["code"])
        )
        assert summed == account["posted"], account


async def test_accounts_are_chosen_by_book_and_by_how_their_code_begins(books: World) -> None:
    found = (await read(books, "accounts?book=issuer&code=l:outstanding:"))["data"]
    assert [(one["code"], one["posted"]) for one in found] == [
        (f"l:outstanding:{books.chain.name}", 40_000)
    ]
    first = await read(books, "accounts?limit=1")
    rest = await read(books, f"accounts?limit=100&starting_after={first['data'][0]['id']}")
    assert first["has_more"]
    assert not rest["has_more"]
    assert len(rest["data"]) == await books.count("account") - 1


async def test_an_entry_is_found_by_its_business_reference_and_is_what_the_log_holds(
    books: World,
) -> None:
    issuance = (await books.get("/v1/reserve/issuances")).json()["data"][0]["id"]
    [entry] = (await read(books, f"entries?ref={issuance}"))["data"]
    assert entry["state"] == "posted"
    assert entry == await read(books, f"entries/{entry['id']}")
    async with books.database.transaction() as db:
        leaf = await db.scalar(
            text("SELECT convert_from(leaf, 'UTF8') FROM event WHERE id = :id"),
            {"id": entry["event"]},
        )
    hashes = {told["id"]: told["sha256"] for told in json.loads(leaf)["entries"]}
    assert hashes[entry["id"]] == entry["sha256"]
