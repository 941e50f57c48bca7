"""Attestations: asked for, due daily, refused, and recomputed from nothing but the log."""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from sandbox.bank import incoming
from sandbox.bank import service as bank
from sandbox.bank.accounts import RESERVE_IBAN
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.core import clock
from sandbox.core.db import Database, Leader
from sandbox.core.http import Page
from sandbox.eventlog import sequencer
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.chart import accounts
from sandbox.ledger.journal import Changes, NewEntry, credit, debit
from sandbox.reserve import (
    attestation,
    attestation_routes,
    attesting,
    claims,
    crediting,
    routes,
    sumtree,
)
from sandbox.reserve.attestation_checks import attestations_match
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from sandbox.reserve.verify import Report, verify, verify_branch
from tests.reserve.attested import KEY, MERCHANT, VKEY, Attested, Json, forged
from tests.reserve.world import World


@pytest_asyncio.fixture
async def attested(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Attested]:
    world = World(
        database,
        MemoryChain(decimals=getattr(request, "param", 2)),
        [ReserveWatch()],
        {"issuance": IssuanceHandler()},
        [routes.router, attestation_routes.router],
    )
    await world.begin()
    leader = Leader(database, sequencer.LEADER, "test")
    assert await leader.acquire()
    try:
        made = Attested(world, leader)
        await made.begin()
        yield made
    finally:
        await leader.release()
        await world.end()


def _codes(report: Report) -> set[str]:
    return {one.code for one in report.differences}


@pytest.mark.parametrize("role", ["merchant", "developer", "regulator", "fund_officer"])
async def test_only_issuer_and_operator_ask_for_attestations(attested: Attested, role: str) -> None:
    answer = await attested.world.post("/v1/reserve/attestations", {}, role)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


async def test_a_branch_of_an_attestation_that_is_not_made_is_refused(attested: Attested) -> None:
    asked = (await attested.world.post("/v1/reserve/attestations", {})).json()
    assert (asked["status"], asked["signed_note"], asked["position"]) == ("pending", None, None)
    path = f"/v1/reserve/attestations/{asked['id']}/branch"
    answer = await attested.world.get(path, "merchant")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_attested_yet")
    answer = await attested.world.get(path, "issuer")
    assert (answer.status_code, answer.json()["code"]) == (403, "role_may_not")


async def test_an_unknown_attestation_is_not_found(attested: Attested) -> None:
    answer = await attested.world.get("/v1/reserve/attestations/att_none", "merchant")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_attestation_is_what_chain_books_bank_and_log_say(
    attested: Attested, tmp_path: Path
) -> None:
    made = await attested.attest()
    [chain] = made["chains"]
    head = (await attested.world.chain.supply()).height
    assert chain == chain | {
        "chain": "memory",
        "height": head,
        "block_hash": (await attested.world.chain.block_ids(head, head))[0].hash,
        "supply_units": 90_000,
        "later_units": 0,
        "outstanding_units": 90_000,
        "claims_units": 90_000,
        "claims": 4,
    }
    assert (made["reserve_tiyn"], made["owed_tiyn"], made["ratio"]) == (100_000, 100_000, "1.0000")
    [statement] = made["statements"]
    assert (statement["closing_tiyn"], statement["unread_tiyn"]) == (100_000, 0)
    log = await attested.export(tmp_path / "log")
    report = verify(made, log, VKEY, await _bank(attested))
    assert report.differences == []
    assert report.position == made["position"]
    listed = (await attested.world.get("/v1/reserve/attestations", "merchant")).json()
    assert listed["data"] == [made]


async def _bank(attested: Attested) -> Json:
    """The day's statement, with a line that came after the attestation."""
    body = {"amount_tiyn": 77, "bank_reference": "LATER"}
    await attested.world.post("/v1/reserve/deposits", body)
    async with attested.world.database.transaction() as db:
        page = Page(limit=1, starting_after=None, ending_before=None)
        found: Json = (await bank.statements(db, RESERVE_IBAN, page))[0]
        return found


async def test_what_happens_while_it_is_made_does_not_blur_it(
    attested: Attested, tmp_path: Path
) -> None:
    """The log up to an attestation tells its figures exactly, whoever deposits meanwhile."""
    world = attested.world
    asked = (await world.post("/v1/reserve/attestations", {})).json()
    deposits = [
        world.post("/v1/reserve/deposits", {"amount_tiyn": n, "bank_reference": f"M-{n}"})
        for n in range(1, 13)
    ]
    await asyncio.gather(*deposits[:6], attested.step(), *deposits[6:])
    await attested.sequence()
    made = (await world.get(f"/v1/reserve/attestations/{asked['id']}")).json()
    assert made["status"] == "attested"
    assert verify(made, await attested.export(tmp_path / "log"), VKEY).differences == []


async def test_blocks_that_are_posted_while_it_is_made_do_not_blur_it(
    attested: Attested, tmp_path: Path
) -> None:
    """Mints and burns become final meanwhile: each is in its figures and before it in the log, or
    neither."""
    world = attested.world
    deposit = (await world.get("/v1/reserve/deposits")).json()["data"][0]["id"]
    holder = new_address()
    mint = {"deposit": deposit, "chain": "memory", "amount_tiyn": 500, "recipient": holder}
    assert (await world.post("/v1/reserve/issuances", mint)).status_code == 201
    await world.carry_out()
    made = []
    for turn in range(4):
        asked = [(await world.post("/v1/reserve/attestations", {})).json()["id"] for _ in "ab"]
        await world.post("/v1/reserve/issuances", mint)
        await world.runner.step()
        world.chain.burn_own(holder, 7)
        world.chain.mine_final()
        first, second = (world.follow, attested.step) if turn % 2 else (attested.step, world.follow)
        await asyncio.gather(
            first(), second(), attested.step("worker-2"), world.post("/v1/reserve/issuances", mint)
        )
        await world.carry_out()
        await attested.sequence()
        made += asked
    for id_ in made:
        found = (await world.get(f"/v1/reserve/attestations/{id_}")).json()
        assert found["status"] == "attested"
        folder = tmp_path / id_
        assert verify(found, await attested.export(folder), VKEY).differences == []


async def test_units_that_moved_above_the_height_that_was_read_are_told_apart(
    attested: Attested, tmp_path: Path
) -> None:
    world = attested.world
    seen = await attesting._read(world.database, world.chain)
    holder = new_address()
    deposit = (await world.get("/v1/reserve/deposits")).json()["data"][0]["id"]
    asked = {"deposit": deposit, "chain": "memory", "amount_tiyn": 500, "recipient": holder}
    await world.post("/v1/reserve/issuances", asked)
    await world.carry_out()
    asked = (await world.post("/v1/reserve/attestations", {})).json()
    async with world.database.transaction() as db:
        await db.execute(text("UPDATE attestation SET lease_owner = 'me'"))
        await attesting._make(db, asked["id"], [seen], KEY, "me")
    await attested.sequence()
    made = (await world.get(f"/v1/reserve/attestations/{asked['id']}")).json()
    [chain] = made["chains"]
    figures = (chain["supply_units"], chain["later_units"], chain["outstanding_units"])
    assert figures == (90_000, 500, 90_500)
    assert verify(made, await attested.export(tmp_path / "log"), VKEY).differences == []


@pytest.mark.parametrize("attested", [2, 6], indirect=True)
async def test_what_holders_burn_is_recomputed_to_the_unit(
    attested: Attested, tmp_path: Path
) -> None:
    world = attested.world
    scale = 10 ** (world.chain.decimals - 2)
    deposit = (await world.get("/v1/reserve/deposits")).json()["data"][0]["id"]
    holder = new_address()
    asked = {"deposit": deposit, "chain": "memory", "amount_tiyn": 500, "recipient": holder}
    await world.post("/v1/reserve/issuances", asked)
    await world.carry_out()
    # With more places than tiyn have, less than a tiyn is left over.
    world.chain.burn_own(holder, 300 * scale + scale // 2)
    world.chain.mine_final()
    await world.follow()
    made = await attested.attest()
    [chain] = made["chains"]
    assert chain["outstanding_units"] == 90_200 * scale - scale // 2
    assert made["debts"]["unidentified_tiyn"] == 300
    assert verify(made, await attested.export(tmp_path / "log"), VKEY).differences == []


async def test_workers_at_once_make_each_attestation_once(attested: Attested) -> None:
    for _ in range(3):
        await attested.world.post("/v1/reserve/attestations", {})
    made = await asyncio.gather(*(attested.step(f"worker-{n}") for n in range(4)))
    assert sum(made) == 3
    assert (await attested.world.event_types()).count(attestation.EVENT) == 3


async def test_a_worker_that_lost_its_lease_writes_nothing(attested: Attested) -> None:
    asked = (await attested.world.post("/v1/reserve/attestations", {})).json()
    seen = await attesting._read(attested.world.database, attested.world.chain)
    async with attested.world.database.transaction() as db:
        await db.execute(text("UPDATE attestation SET lease_owner = 'another'"))
        await attesting._make(db, asked["id"], [seen], KEY, "me")
    assert attestation.EVENT not in await attested.world.event_types()


async def test_every_day_has_one_attestation_however_many_workers_look(attested: Attested) -> None:
    database = attested.world.database
    assert not await attesting.ask_daily(database), "nothing is due before the first cut-off"
    for days in (1, 1, 3):
        async with database.transaction() as db:
            await clock.advance(db, days * 86_400)
            assert await attesting.busy(db) != []
        asked = await asyncio.gather(*(attesting.ask_daily(database) for _ in range(4)))
        assert sum(asked) == 1
        async with database.transaction() as db:
            assert len(await attesting.busy(db)) == 1
    assert await attested.step() == 3
    found = (await attested.world.get("/v1/reserve/attestations")).json()["data"]
    assert {one["cause"] for one in found} == {"daily"}
    assert len({one["day"] for one in found}) == 3
    async with database.transaction() as db:
        assert await attesting.busy(db) == []


async def test_a_watcher_that_lags_only_delays_an_attestation(
    attested: Attested, monkeypatch: pytest.MonkeyPatch
) -> None:
    await attested.world.post("/v1/reserve/attestations", {})
    attested.world.chain.mine_final()
    monkeypatch.setattr(attesting, "WAIT_S", 0.0)
    assert await attested.step() == 0
    async with attested.world.database.transaction() as db:
        assert await attesting.busy(db) == ["attestations to be made: 1"]
    await attested.world.follow()
    assert await attested.step("another worker") == 1


async def test_a_merchant_finds_its_own_claim_and_nobody_elses(attested: Attested) -> None:
    made = await attested.attest()
    path = f"/v1/reserve/attestations/{made['id']}/branch"
    shown = (await attested.world.get(path, "merchant")).json()
    [branch] = shown["branches"]
    assert (branch["holder"], branch["units"]) == (f"merchant:{MERCHANT}", 6_000)
    assert "mch_other" not in str(shown)
    assert all(node.keys() == {"units", "sha256"} for node in branch["branch"])
    assert verify_branch(shown, VKEY).differences == []
    nothing = (await attested.world.get(path, "developer")).json()
    assert nothing["branches"] == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("units",), 6_001),
        (("holder",), "merchant:mch_other"),
        (("salt",), "00" * 32),
        (("index",), 99),
        (("size",), 5),
        (("root_units",), 1),
        (("root",), "00" * 32),
        (("branch", 0, "units"), 1),
        (("branch", 0, "units"), -1),
        (("branch", 0, "sha256"), "00" * 32),
        (("chain",), "other"),
    ],
)
async def test_a_branch_that_was_altered_is_found(
    attested: Attested, where: tuple[Any, ...], value: Any
) -> None:
    made = await attested.attest()
    shown = (
        await attested.world.get(f"/v1/reserve/attestations/{made['id']}/branch", "merchant")
    ).json()
    _put(shown["branches"][0], where, value)
    assert not verify_branch(shown, VKEY).ok


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        if isinstance(one, dict | list):
            yield from _paths(one, (*path, key))
        else:
            yield (*path, key)


def _put(data: Any, path: tuple[Any, ...], value: Any) -> None:
    for step in path[:-1]:
        data = data[step]
    data[path[-1]] = value


def _other(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        data = data[step]
    return data + 1 if isinstance(data, int) else "other" if data is None else f"{data}0"


UNKNOWN_TO_THE_LOG = {
    ("object",), ("cause",), ("day",), ("minting",), ("chains", 0, "block_hash"),
    ("chains", 0, "height"), ("chains", 0, "claims_root"), ("chains", 0, "claims"),
    ("statements", 0, "account"),
}  # fmt: skip
"""What only the chain, the statement, a holder's branch or the log's reader can contradict."""
STATEMENT = {("statements", 0, "sha256"), ("statements", 0, "date"), ("statements", 0, "lines")}


async def test_every_field_that_is_altered_is_found(attested: Attested, tmp_path: Path) -> None:
    made = await attested.attest()
    log = await attested.export(tmp_path / "log")
    statement, leaves = await _bank(attested), await attested.leaves()
    signed = {k: v for k, v in made.items() if k not in ("status", "asked_at", "event", "position")}
    paths = [path for path in _paths(signed) if path != ("signed_note",)]
    assert len(paths) >= 40
    for path in paths:
        # In the file; in the file and its note; and in the log too, by whoever has the key.
        altered = copy.deepcopy(signed)
        _put(altered, path, _other(altered, path))
        assert "file" in _codes(verify(altered, log, VKEY)), path
        said = {k: v for k, v in altered.items() if k != "signed_note"}
        noted = said | {"signed_note": attestation.sign(said, KEY, 1)}
        wrong = {"event", "not_logged", "malformed"}
        if path == ("log", "epoch"):
            wrong = {"signature"}  # each epoch signs under its own name
        assert _codes(verify(noted, log, VKEY)) & wrong, path

        def alter(told: Json, path: tuple[Any, ...] = path) -> None:
            _put(told, path, _other(told, path))

        if path != ("id",):
            lie = forged(leaves, made["id"], alter, tmp_path / "forged")
            report = verify(
                lie, tmp_path / "forged", VKEY, statement if path in STATEMENT else None
            )
            assert report.ok == (path in UNKNOWN_TO_THE_LOG), (path, report.differences)


async def test_a_note_of_another_key_or_another_kind_is_refused(
    attested: Attested, tmp_path: Path
) -> None:
    made = await attested.attest()
    log = await attested.export(tmp_path / "log")
    checkpoint = (log / "checkpoint").read_text()
    assert _codes(verify(made | {"signed_note": checkpoint}, log, VKEY)) == {"signature"}
    assert _codes(verify(made | {"signed_note": None}, log, VKEY)) == {"signature"}
    text_, _, signatures = made["signed_note"].partition("\n\n")
    cut = f"{text_[:-1]}\n\n{signatures}"
    assert _codes(verify(made | {"signed_note": cut}, log, VKEY)) == {"signature"}


async def test_a_file_that_names_another_place_in_the_log_is_found(
    attested: Attested, tmp_path: Path
) -> None:
    made = await attested.attest()
    log = await attested.export(tmp_path / "log")
    assert _codes(verify(made | {"position": 0}, log, VKEY)) == {"file"}
    assert _codes(verify(made | {"event": "evt_x"}, log, VKEY)) == {"file"}
    written = made | {"owed_tiyn": float(made["owed_tiyn"])}
    assert _codes(verify(written, log, VKEY)) == {"file"}


async def test_a_log_that_ends_before_the_attestation_does_not_hold_it(
    attested: Attested, tmp_path: Path
) -> None:
    await attested.sequence()
    early = await attested.export(tmp_path / "early")
    made = await attested.attest()
    assert "not_logged" in _codes(verify(made, early, VKEY))


async def test_an_event_that_nobody_can_recompute_is_named(
    attested: Attested, tmp_path: Path
) -> None:
    world = attested.world
    async with world.database.transaction() as db:
        at = await clock.now(db)
        legs = (debit(accounts.operating(), 1), credit(accounts.reserve_bank(), 1))
        entry = NewEntry("ent_gone", "posted", "test", "gone", None, at, "test", legs)
        event = NewEvent("evt_gone", "test.moved", at, {}, refs=("gone",))
        await ledger.record(db, Changes(entries=[entry], events=[event]))
    made = await attested.attest()
    report = verify(made, await attested.export(tmp_path / "log"), VKEY)
    assert {"log_unknown", "reserve"} <= _codes(report)
    assert any("test.moved" in one.detail for one in report.differences)
    assert made["ratio"] == "0.9999"


async def test_the_claims_that_are_kept_are_those_that_were_signed(attested: Attested) -> None:
    made = await attested.attest()
    async with attested.world.database.transaction() as db:
        kept = await claims.kept(db, made["id"])
    root = sumtree.root_of([one.leaf for one in kept["memory"]])
    assert root.hash.hex() == made["chains"][0]["claims_root"]
    assert {one.holder: one.units for one in kept["memory"]} == {
        f"merchant:{MERCHANT}": 6_000,
        "merchant:mch_other": 4_000,
        "float": 80_000,
        "external": 0,
    }
    assert await attested.world.posted(accounts.supply("memory")) == 90_000


async def test_a_reserve_that_is_short_is_attested_as_it_is_and_when_it_is_whole_again(
    attested: Attested, tmp_path: Path
) -> None:
    world = attested.world
    async with world.database.transaction() as db:
        await incoming.reverse_credit(db, "CAMT-1")
    assert await crediting.step(world.database) == 1
    made = await attested.attest()
    assert (made["reserve_tiyn"], made["owed_tiyn"], made["ratio"]) == (0, 90_000, "0.0000")
    assert made["minting"] == "off"
    assert verify(made, await attested.export(tmp_path / "short"), VKEY).differences == []
    [missing] = (await world.get("/v1/reserve/reversals")).json()["data"]
    paid_in = {"by": "customer", "bank_reference": "CAMT-2"}
    await world.post(f"/v1/reserve/reversals/{missing['id']}/cover", paid_in)
    made = await attested.attest()
    assert made["ratio"] == "1.0000"
    assert verify(made, await attested.export(tmp_path / "whole"), VKEY).differences == []


ALTERED = [
    "UPDATE attestation SET note = replace(note, '90000', '90001')",
    "UPDATE attestation SET statement = jsonb_set(statement, '{owed_tiyn}', '1')",
    "UPDATE attestation SET made_at = made_at + interval '1 second'",
    "UPDATE attestation SET event_id = 'evt_none'",
    "UPDATE attested_claim SET units = units + 1",
    "UPDATE attested_claim SET holder = 'merchant:me' WHERE holder = 'float'",
    "DELETE FROM attested_claim WHERE holder = 'external'",
    "DELETE FROM attestation",
]


@pytest.mark.parametrize("statement", ALTERED)
async def test_an_altered_attestation_turns_i8_red_and_is_named(
    attested: Attested, owner_url: str, statement: str
) -> None:
    made = await attested.attest()
    async with attested.world.database.transaction() as db:
        [sound] = await attestations_match(db, VKEY)
    assert sound.ok, sound.detail
    owner = await asyncpg.connect(owner_url)
    await owner.execute("SET session_replication_role = replica")
    assert not (await owner.execute(statement)).endswith(" 0")
    await owner.close()
    async with attested.world.database.transaction() as db:
        [check] = await attestations_match(db, VKEY)
    named = "attested_claim" if "attested_claim" in statement else "attestation"
    assert (check.id, check.ok) == ("I8", False)
    assert f"{named} {made['id']}" in check.detail
