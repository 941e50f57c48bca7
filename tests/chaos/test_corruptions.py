"""The audit cannot be fooled: every corruption is found by name, and a sound world stays green."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import asyncpg
import httpx2
import pytest

from contracts import token
from merchants.client import MerchantClient
from sandbox import wiring
from sandbox.audit.service import Report, run
from sandbox.bank import simulator
from sandbox.chains.evm import keys as evm_keys
from sandbox.cli import pay, wallets
from sandbox.cli.endpoints import Running
from sandbox.core.db import Database
from sandbox.core.settings import Settings
from sandbox.core.zone import ALMATY
from sandbox.devnets.ports import any_free
from sandbox.eventlog import keys as log_keys
from sandbox.eventlog.export import export_url
from sandbox.reserve.reconciling import Reconciler
from tests.chaos import corruptions
from tests.chaos.corruptions import Corruption, Hands
from tests.conftest import NOT_DURABLE
from tests.journeys.customers import CHAINS, option_of, rpc
from tests.journeys.stack import Stack, command, last_json
from tests.journeys.test_both_chains import to_treasury

PRICE_TIYN = 10_000
EVENTS = 300
"""More than one full tile of the log."""
FROZEN = "frozen"
WEDNESDAY = 2


class Place:
    """One sandbox in which everything happened, a copy of its database, and its parts in hand."""

    def __init__(self, stack: Stack) -> None:
        assert stack.running is not None
        self.stack, self.running = stack, stack.running
        words = json.loads((stack.data_dir / "postgres.json").read_text())
        app_url = self.running.endpoints["database"]
        self.server = app_url.partition("@")[2].partition("/")[0]
        self.owner_password, self.app_password = words["owner"], words["app"]
        self.world_name = app_url.rpartition("/")[2]
        self.settings = Settings(
            data_dir=stack.data_dir,
            database_url=app_url,
            solana_rpc=self.running.endpoints["solana_rpc"],
            evm_rpc=self.running.endpoints["evm_rpc"],
        )
        self.log_key = log_keys.load(self.settings.keys_dir, self.settings.log_origin)

    def owner_url(self, name: str) -> str:
        return f"postgresql://sbx_owner:{self.owner_password}@{self.server}/{name}"

    def app_url(self, name: str) -> str:
        return f"postgresql://sbx_app:{self.app_password}@{self.server}/{name}"

    async def freeze(self) -> None:
        """Copy the database as it is; the copy's cursor is where no chain gets meanwhile."""
        owner = await asyncpg.connect(self.owner_url("postgres"))
        for name in NOT_DURABLE:
            await owner.execute(f"ALTER SYSTEM SET {name} = off")
        await owner.execute("SELECT pg_reload_conf()")
        try:
            await owner.execute(f"ALTER DATABASE {self.world_name} ALLOW_CONNECTIONS false")
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                self.world_name,
            )
            await owner.execute(f"CREATE DATABASE {FROZEN} TEMPLATE {self.world_name}")
        finally:
            await owner.execute(f"ALTER DATABASE {self.world_name} ALLOW_CONNECTIONS true")
            await owner.close()
        owner = await asyncpg.connect(self.owner_url(FROZEN))
        await owner.execute("UPDATE chain_cursor SET height = 1000000000000000")
        await owner.close()

    def blocks(self, method: Literal["sandbox_pause", "sandbox_resume"]) -> None:
        """Let the chains stand still, so that each figure is read once, or go on."""
        for url in (self.settings.solana_rpc, self.settings.evm_rpc):
            rpc(url, method)

    @asynccontextmanager
    async def copy(self, name: str) -> AsyncIterator[asyncpg.Connection]:
        """A database of its own, as its owner, with no rule to hold the owner back."""
        server = await asyncpg.connect(self.owner_url("postgres"))
        try:
            await server.execute(f"CREATE DATABASE {name} TEMPLATE {FROZEN}")
            owner = await asyncpg.connect(self.owner_url(name))
            await owner.execute("SET session_replication_role = replica")
            try:
                yield owner
            finally:
                await owner.close()
        finally:
            await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await server.close()

    @contextmanager
    def api(self, name: str) -> Iterator[str]:
        """The API over another database; its URL."""
        port = any_free()
        env = {
            **os.environ,
            "SANDBOX_DATA_DIR": str(self.settings.data_dir),
            "SANDBOX_DATABASE_URL": self.app_url(name),
            "SANDBOX_SOLANA_RPC": self.settings.solana_rpc,
            "SANDBOX_EVM_RPC": self.settings.evm_rpc,
            "SANDBOX_PORT": str(port),
        }
        process = subprocess.Popen([sys.executable, "-m", "sandbox.app"], env=env)
        url = f"http://127.0.0.1:{port}"
        try:
            until = time.monotonic() + 30
            while True:
                try:
                    httpx2.get(f"{url}/healthz").raise_for_status()
                    break
                except httpx2.TransportError:
                    assert process.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(10)

    @asynccontextmanager
    async def world(self) -> AsyncIterator[wiring.World]:
        async with wiring.open_world(self.settings, signing=True) as world:
            yield world

    async def audit(self, world: wiring.World, name: str) -> Report:
        database = Database(self.app_url(name))
        try:
            return await run(wiring.audit_checks(replace(world, database=database)))
        finally:
            await database.dispose()


def everything(place: Place) -> None:
    """Whole, partial, excess, late, stray, refund; settled twice, paid out, sent back; redeemed,
    moved, announced, taken back, attested. All on a Wednesday, behind a day on which the bank
    booked nothing, on whatever day of the week the test runs.
    """
    running, folder = place.running, place.stack.data_dir
    running.post("/v1/sandbox/clock", {"until": _a_wednesday_morning()})
    running.quiesce()
    merchant = running.endpoints["keys"]["merchant_id"]
    with MerchantClient(running.endpoints["api"], running.key("merchant")) as shop:
        shop.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/", "types": ["*"]})
        whole = {chain: shop.create_session(PRICE_TIYN, description="bread") for chain in CHAINS}
        for chain, session in whole.items():
            pay.pay(running, folder, session["id"], chain, "resident", None)
            part = shop.create_session(PRICE_TIYN)
            pay.pay(running, folder, part["id"], chain, "resident", 4_000)
            pay.pay(running, folder, part["id"], chain, "resident", None)
            over = shop.create_session(PRICE_TIYN)
            pay.pay(running, folder, over["id"], chain, "resident", 12_500)
            asyncio.run(to_treasury(running, chain, option_of(session, chain)))
        asyncio.run(_out_and_across(running, folder))
        _credits(running)
        running.quiesce()
        for session in whole.values():
            shop.refund(shop.session(session["id"])["payments"][0]["id"], 1_000)
        running.quiesce()
        first = _settled(place, shop, merchant)
        _booked(place, shop, first)
        asyncio.run(_returned(place, first["payout"]["id"]))
        for chain in CHAINS:
            again = shop.create_session(PRICE_TIYN)
            pay.pay(running, folder, again["id"], chain, "resident", None)
        _settled_and_booked = _settled(place, shop, merchant)
        _booked(place, shop, _settled_and_booked)
        late = {chain: shop.create_session(PRICE_TIYN, expires_in_s=5) for chain in CHAINS}
        running.advance(60)
        running.quiesce()
        for chain, session in late.items():
            pay.pay(running, folder, session["id"], chain, "resident", None)
            unsettled = shop.create_session(PRICE_TIYN)
            pay.pay(running, folder, unsettled["id"], chain, "resident", None)
            open_ = shop.create_session(PRICE_TIYN)
            pay.pay(running, folder, open_["id"], chain, "resident", 3_000)
        running.quiesce()
        strays = running.get("/v1/stray_transfers", limit=100)["data"]
        excess = next(one for one in strays if one["reasons"] == ["overpaid"])
        shop.post(f"/v1/stray_transfers/{excess['id']}/resolve", {"action": "refund"})
        accepted = next(one for one in strays if one["proposal"] == "accept")
        shop.post(f"/v1/stray_transfers/{accepted['id']}/resolve", {"action": "accept"})
        for _ in range(EVENTS - _logged(running)):
            shop.create_session(PRICE_TIYN)
    running.quiesce()


def _a_wednesday_morning() -> str:
    today = datetime.now(ALMATY).replace(hour=10, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=2 + (WEDNESDAY - today.weekday() - 2) % 7)).isoformat()


async def _out_and_across(running: Running, folder: Path) -> None:
    """The resident redeems units of one chain, and moves others to the other one."""
    here, there = (wallets.wallet(running.endpoints, folder, chain, "resident") for chain in CHAINS)
    payee = {
        "iban": "KZ31601A000000000001",
        "payee_name": "Resident",
        "tax_number": "900101400003",
        "knp": "342",
        "kbe": "19",
    }
    body = {"chain": CHAINS[0], "amount_tiyn": 1_000, **payee}
    redeemed = running.post("/v1/reserve/redemptions", body, "issuer")
    body = {"from_chain": CHAINS[0], "to_chain": CHAINS[1], "amount_tiyn": 1_000}
    moved = running.post("/v1/reserve/moves", {**body, "recipient": there.address}, "issuer")
    for asked in (redeemed, moved):
        await here.pay(asked["option"], asked["amount_units"])


def _credits(running: Running) -> None:
    """One on its way, and one that the bank takes back before anything is minted of it."""
    body = {"amount_tiyn": 700, "bank_reference": "CAMT-ANNOUNCED", "status": "PDNG"}
    running.post("/v1/sandbox/bank/credits", body, "operator")
    body = {"amount_tiyn": 900, "bank_reference": "CAMT-BACK"}
    running.post("/v1/reserve/deposits", body, "issuer")
    running.post("/v1/sandbox/bank/reversals", {"bank_reference": "CAMT-BACK"}, "operator")


def _logged(running: Running) -> int:
    checkpoint = httpx2.get(f"{running.endpoints['api']}/log/checkpoint").text
    return int(checkpoint.split("\n")[1])


def _settled(place: Place, shop: MerchantClient, merchant: str) -> dict[str, Any]:
    place.running.quiesce()
    made = shop.settle(merchant)
    place.running.quiesce()
    found: dict[str, Any] = shop.get(f"/v1/settlements/{made['id']}")
    assert found["status"] == "settled", found
    return found


def _booked(place: Place, shop: MerchantClient, settlement: dict[str, Any]) -> None:
    for _ in range(14):
        if shop.get(f"/v1/payouts/{settlement['payout']['id']}")["status"] == "completed":
            return
        place.running.advance(86_400)
        place.running.quiesce()
    raise AssertionError("the payout was never booked")


async def _returned(place: Place, payout: str) -> None:
    database = Database(place.app_url(place.world_name))
    async with database.transaction() as db:
        await simulator.return_payment(db, payout)
    await database.dispose()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    stack = Stack(tmp_path_factory.mktemp("chaos") / "sandbox")
    stack.up()
    try:
        found = Place(stack)
        everything(found)
        yield found
    finally:
        stack.down()


@pytest.fixture(scope="module")
def still(place: Place) -> Place:
    """The same with chains that stand still, and copied as it is then."""
    place.running.quiesce()
    place.blocks("sandbox_pause")
    asyncio.run(place.freeze())
    return place


@pytest.fixture
def moving(place: Place) -> Place:
    """The same with blocks that come."""
    place.blocks("sandbox_resume")
    return place


def red(report: Report) -> set[tuple[str, str]]:
    return {(check.id, check.detail) for check in report.checks if not check.ok}


@pytest.mark.parametrize("times", [4, pytest.param(100, marks=pytest.mark.soak)])
async def test_a_sound_world_is_green_every_time_while_payments_go_on(
    place: Place, times: int
) -> None:
    over, paid, failures = threading.Event(), 0, list[BaseException]()

    def load() -> None:
        nonlocal paid
        try:
            with MerchantClient(
                place.running.endpoints["api"], place.running.key("merchant")
            ) as shop:
                while not over.is_set():
                    session = shop.create_session(PRICE_TIYN)
                    chain = CHAINS[paid % 2]
                    pay.pay(
                        place.running, place.stack.data_dir, session["id"], chain, "resident", None
                    )
                    paid += 1
        except BaseException as error:
            failures.append(error)

    paying = threading.Thread(target=load)
    paying.start()
    green, began = 0, time.monotonic()
    try:
        async with place.world() as world:
            for _ in range(times):
                report = await run(wiring.audit_checks(world))
                assert red(report) == set()
                green += 1
    finally:
        over.set()
        await asyncio.to_thread(paying.join, 60)
        took = time.monotonic() - began
        print(f"\n{green} of {times} audits green in {took:.1f} s, {paid} payments meanwhile")
    assert failures == []
    assert paid > 0


async def test_the_copy_is_sound_before_anything_is_done_to_it(still: Place) -> None:
    async with still.copy("sound"), still.world() as world:
        report = await still.audit(world, "sound")
    assert red(report) == set()


@pytest.mark.parametrize("corruption", corruptions.ON_COPIES, ids=str)
async def test_a_corruption_is_found_and_named(still: Place, corruption: Corruption) -> None:
    async with still.copy("corrupted") as owner, still.world() as world:
        named = await corruption.do(Hands(owner, still.log_key, world.chains))
        report = await still.audit(world, "corrupted")
    found = red(report)
    assert any(id_ == corruption.red and named in line for id_, line in found), (named, found)


def _one_of_each() -> list[Corruption]:
    """The first corruption of rows for every invariant that is reconciled."""
    kinds = {one.red: one for one in reversed(corruptions.ON_COPIES) if one.red != "I8"}
    return [kinds[red] for red in sorted(kinds)]


@pytest.mark.parametrize("corruption", _one_of_each(), ids=str)
async def test_a_corruption_turns_minting_off_within_one_turn(
    still: Place, corruption: Corruption
) -> None:
    async with still.copy("corrupted") as owner, still.world() as world:
        named = await corruption.do(Hands(owner, still.log_key, world.chains))
        database = Database(still.app_url("corrupted"))
        try:
            leader = database.leader("reconcile", "test")
            checks = wiring.reconciled_checks(replace(world, database=database))
            assert await leader.acquire()
            turn = await Reconciler(database, checks, leader).turn()
        finally:
            await database.dispose()
        assert any(one.id == corruption.red and named in one.detail for one in turn.red.values())
        assert not await owner.fetchval("SELECT is_on FROM minting")
        told = await owner.fetchval("SELECT count(*) FROM reserve_breach WHERE stands")
        assert told == len(turn.red)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("the log cut back to an older state", "log_shortened"),
        ("a log rewritten and signed anew with the real key", "log_forked"),
    ],
)
async def test_a_log_that_is_sound_in_itself_is_refuted_by_an_older_checkpoint(
    still: Place, tmp_path: Path, name: str, code: str
) -> None:
    seen = tmp_path / "seen.checkpoint"
    async with still.copy("corrupted") as owner, still.world() as world:
        newest = "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1"
        seen.write_text(await owner.fetchval(newest))
        corruption = next(one for one in corruptions.ON_COPIES if one.name == name)
        await corruption.do(Hands(owner, still.log_key, world.chains))
        with still.api("corrupted") as url:
            export = tmp_path / "log"
            await asyncio.to_thread(export_url, url, still.running.key("regulator"), export)
    vkey = ("--vkey", still.running.endpoints["log_vkey"], "--json")
    alone = command("log", "verify", str(export), *vkey)
    assert (alone.returncode, last_json(alone.stdout)["ok"]) == (0, True)
    since = command("log", "verify", str(export), *vkey, "--since", str(seen))
    assert since.returncode == 1
    assert [one["code"] for one in last_json(since.stdout)["findings"]] == [code]


@pytest.mark.parametrize("corruption", corruptions.ON_CHAIN, ids=str)
async def test_what_moves_on_a_chain_past_the_books_is_found_and_named(
    moving: Place, corruption: Corruption
) -> None:
    owner = await asyncpg.connect(moving.owner_url(moving.world_name))
    bailiff = evm_keys.load(moving.settings.keys_dir, token.load()).confiscator
    rpc(moving.settings.evm_rpc, "anvil_setBalance", bailiff.address, hex(10**18))
    try:
        async with moving.world() as world:
            hands = Hands(owner, moving.log_key, world.chains, moving.settings.evm_rpc, bailiff)
            tx = await corruption.do(hands)
            transfer = await _final(owner, tx)
            found = red(await run(wiring.audit_checks(world)))
    finally:
        await owner.close()
    named = f"chain_transfer {transfer}"
    assert any(id_ == corruption.red and named in line for id_, line in found), (named, found)


async def _final(owner: asyncpg.Connection, tx: str) -> str:
    """The stored transfer of a transaction, once it is final."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = await owner.fetchval(
            "SELECT t.id FROM chain_transfer t JOIN chain_inclusion n ON n.transfer_id = t.id"
            " WHERE t.tx = $1 AND n.state = 'final'",
            tx,
        )
        if found is not None:
            return str(found)
        await asyncio.sleep(0.1)
    raise AssertionError(f"{tx} is not final")
