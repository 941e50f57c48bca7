"""A whole sandbox in one process over one real chain: its routes, its worker's loops, its audit.

Wired as in production; only blocks and loops go on when a scenario says so.
"""

import itertools
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import orjson
from sqlalchemy import text

from sandbox import wiring
from sandbox.app import create_app
from sandbox.bank import registry
from sandbox.chains.port import Chain
from sandbox.core.db import Database
from sandbox.core.lookout import Lookout
from sandbox.core.money import units_from_tiyn
from sandbox.core.settings import Settings
from sandbox.eventlog import catalog, sequencer
from sandbox.eventlog import keys as log_keys
from sandbox.eventlog import service as eventlog
from sandbox.eventlog.leaf import api_data
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Account
from sandbox.parties import seed
from sandbox.webhooks.jobs import Courier
from tests.scenarios.door import Door
from tests.scenarios.ground import FINAL_BLOCKS, Ground, place_of
from tests.shapes import closed

Json = dict[str, Any]
FLOAT_TIYN, CUSTOMER_TIYN = 10_000_000, 1_000_000_000


class World:
    """`opened` makes one; `customer` has plenty of units and coin, the treasury some units."""

    def __init__(
        self, ground: Ground, wired: wiring.World, door: Door, keys: dict[str, str]
    ) -> None:
        self.ground, self.wired, self.door = ground, wired, door
        self.database = wired.database
        self.keys = keys
        self.customer = ""
        self.sessions: list[Json] = []
        self._described = -1
        self._loops = {loop.name: loop for loop in wiring.loops(wired)}
        # That a float runs low is not told: its loop finds out by itself.
        dues = {loop.name: loop.due for loop in self._loops.values() if loop.due is not None}
        self._told = {name: due for name, due in dues.items() if name != "float"}
        self._lookout = Lookout(wired.database, self._told)
        self._numbers = itertools.count(1)
        app = self.app = create_app(wired.settings)
        for name, value in wiring.app_state(wired).items():
            setattr(app.state, name, value)
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def begin(self) -> None:
        """Time stands still, the customer is rich, and the treasury holds a float."""
        await self._done("/v1/sandbox/clock", {"freeze": True}, "operator", 200)
        # Other worlds may have moved this chain's clock.
        head = (await self.chain.heads()).confirmed
        [newest] = await self.chain.blocks(head, head)
        behind = newest.time - await self.now()
        await self.pass_time(max(0, int(behind.total_seconds())) + 1)
        await self.follow()
        self.customer = await self.ground.payer()
        await self.issue({self.customer: CUSTOMER_TIYN, self.ground.treasury: FLOAT_TIYN})

    @property
    def chain(self) -> Chain:
        return self.wired.chains[self.ground.name]

    @property
    def name(self) -> str:
        return self.ground.name

    def units(self, tiyn: int) -> int:
        return units_from_tiyn(tiyn, self.chain.decimals)

    # HTTP.

    async def get(self, path: str, role: str = "merchant") -> Json:
        headers = {"Authorization": f"Bearer {self.keys[role]}"}
        found = await self.http.get(path, headers=headers)
        assert found.status_code == 200, found.text
        answer: Json = found.json()
        return answer

    async def post(self, path: str, body: object, role: str = "merchant") -> httpx2.Response:
        headers = {
            "Authorization": f"Bearer {self.keys[role]}",
            "Idempotency-Key": f"test-{self.name}-{next(self._numbers)}",
        }
        return await self.http.post(path, json=body, headers=headers)

    async def _done(self, path: str, body: object, role: str, status: int = 201) -> Json:
        made = await self.post(path, body, role)
        assert made.status_code == status, made.text
        answer: Json = made.json()
        return answer

    async def session(self, amount_tiyn: int = 10_000, **more: Any) -> Json:
        made = await self._done(
            "/v1/checkout/sessions", {"amount_tiyn": amount_tiyn} | more, "merchant"
        )
        self.sessions.append(made)
        return made

    async def read(self, session: Json) -> Json:
        return await self.get(f"/v1/checkout/sessions/{session['id']}")

    def option(self, session: Json) -> Json:
        [found] = session["options"]
        assert found["chain"] == self.name
        option: Json = found
        return option

    def place(self, session: Json) -> str:
        return place_of(self.option(session))

    async def strays(self, tx: str) -> list[Json]:
        """Stray transfers of a transaction, by place in it, as the operator sees them."""
        found = (await self.get("/v1/stray_transfers?limit=100", "operator"))["data"]
        return sorted((one for one in found if one["tx"] == tx), key=lambda one: one["ordinal"])

    async def refund(self, payment: Json, amount_tiyn: int) -> Json:
        body = {"payment": payment["id"], "amount_tiyn": amount_tiyn}
        return await self._done("/v1/refunds", body, "merchant")

    async def ask_settlement(self) -> Json:
        """The merchant's batch, nothing of it sent yet."""
        return await self._done("/v1/settlements", {}, "merchant")

    async def settled(self, settlement: Json) -> Json:
        """Carried out on the chain and at the bank; the batch afterwards."""
        await self.carry_out()
        await self.bank()
        done = await self.get(f"/v1/settlements/{settlement['id']}")
        assert (done["status"], done["check"]["unexplained_tiyn"]) == ("settled", 0)
        return done

    async def grant(self, address: str, amount_tiyn: int) -> Json:
        body = {"chain": self.name, "address": address, "amount_tiyn": amount_tiyn}
        return await self._done("/v1/sandbox/faucet", body, "operator")

    async def ask_issue(self, shares: dict[str, int]) -> None:
        """Tenge comes in, and is to become tokens at these addresses."""
        number = next(self._numbers)
        body = {"amount_tiyn": sum(shares.values()), "bank_reference": f"in-{self.name}-{number}"}
        deposit = await self._done("/v1/reserve/deposits", body, "issuer")
        for recipient, amount_tiyn in shares.items():
            asked = {
                "deposit": deposit["id"],
                "chain": self.name,
                "amount_tiyn": amount_tiyn,
                "recipient": recipient,
            }
            await self._done("/v1/reserve/issuances", asked, "issuer")

    async def issue(self, shares: dict[str, int]) -> None:
        """The same until the tokens are final there, as far as nothing else is under way."""
        await self.ask_issue(shares)
        await self.carry_out()

    async def payer(self, amount_tiyn: int) -> str:
        """A customer of its own, with final units and coin."""
        address = await self.ground.payer()
        await self.issue({address: amount_tiyn})
        return address

    # Time.

    async def now(self) -> datetime:
        said = (await self.get("/v1/sandbox/clock", "operator"))["now"]
        return datetime.fromisoformat(said).astimezone(UTC)

    async def pass_time(self, seconds: int) -> Json:
        """The sandbox clock moves, the chain's after it, and a block shows it."""
        moved = await self._done("/v1/sandbox/clock", {"advance_s": seconds}, "operator", 200)
        await self.ground.mine()
        return moved

    async def expire(self) -> None:
        """Wait past the lives of all open sessions; the worker ends them."""
        await self.pass_time(1_000)
        await self.run("expire")
        await self.follow()

    # Payments.

    async def send(self, session: Json, tiyn: int, payer: str = "") -> str:
        """Paid by URL, waiting for a block; returns the tx."""
        option = self.option(session)
        return await self.ground.pay(payer or self.customer, option, self.units(tiyn))

    async def pay(self, session: Json, tiyn: int, payer: str = "") -> str:
        """The same, seen at confirmed."""
        tx = await self.send(session, tiyn, payer)
        await self.mine()
        return tx

    async def mine(self, blocks: int = 1) -> None:
        await self.ground.mine(blocks)
        await self.follow()

    async def finalize(self) -> None:
        await self.mine(FINAL_BLOCKS)

    async def captured(self, tiyn: int = 10_000, payer: str = "") -> Json:
        """A payment that is the merchant's."""
        session = await self.session(tiyn)
        await self.pay(session, tiyn, payer)
        await self.finalize()
        payment: Json = (await self.read(session))["payment"]
        assert payment["capture_entry"] is not None
        return payment

    async def failure_of(self, tx: str) -> str | None:
        """Why a transaction failed on chain, as the port tells; None when it went well."""
        head = (await self.chain.heads()).confirmed
        for block in reversed(await self.chain.blocks(max(0, head - 40), head)):
            if tx in block.txs:
                return block.tx_errors.get(tx)
        raise AssertionError(f"{tx} is in no block")

    async def told_as_described(self) -> None:
        """Every event since the last time is what the schema of its type names, and no more."""
        async with self.database.transaction() as db:
            rows = await eventlog.after(db, 1, self._described, 100_000, None)
        for row in rows:
            event = eventlog.api_event(row, viewer=row.merchant)
            jsonschema_rs.validate(closed(catalog.schema(row.type, wiring.TOLD)), event)
            self._described = row.position

    # The worker.

    async def run(self, loop: str) -> bool:
        """Step a loop of the worker until it rests; whether it did anything."""
        for n in range(500):
            if not await self.step(loop):
                return n > 0
        raise AssertionError(f"{loop} does not come to rest")

    async def step(self, loop: str) -> bool:
        """Step a loop of the worker once; what it finds to do, the worker would have been told."""
        due = await self._lookout.look()
        worked = await self._loops[loop].step()
        assert not worked or loop in due or loop not in self._told, f"nobody told {loop}"
        return worked

    async def follow(self) -> None:
        await self.run(f"watch:{self.name}")

    async def send_due(self) -> None:
        """One look of the runner at what is due or under way; it does not wait here."""
        async with self.database.transaction() as db:
            await db.execute(text("UPDATE chain_intent SET lease_until = NULL"))
        await self.step("intents")

    async def carry_out(self) -> None:
        """Until nothing of ours is under way."""
        for _ in range(20):
            await self.send_due()
            await self.finalize()
            await self.run("sweeps")
            if not await self.under_way():
                return
        raise AssertionError("the intents do not come to rest")

    async def bank(self) -> None:
        """Until bank and books have nothing to tell each other."""
        for _ in range(20):
            if not await self.run("bank") | await self.run("bank-messages"):
                return
        raise AssertionError("bank and books do not come to rest")

    async def under_way(self) -> list[str]:
        async with self.database.transaction() as db:
            rows = "SELECT id FROM chain_intent WHERE state IN ('due', 'signed') ORDER BY id"
            return list(await db.scalars(text(rows)))

    # What was written.

    async def told(self, about: str) -> list[str]:
        """Types of the events whose data name this id, oldest first."""
        async with self.database.transaction() as db:
            rows = await db.execute(text("SELECT type, leaf FROM event ORDER BY id"))
            found = [(row.type, orjson.loads(row.leaf)["data"]) for row in rows]
        return [
            type_
            for type_, data in found
            if re.search(rf'"{about}"', orjson.dumps(api_data(data, None)).decode())
        ]

    async def balance(self, account: Account) -> ledger.Balance:
        async with self.database.transaction() as db:
            return await ledger.balance(db, account)

    async def posted(self, account: Account) -> int:
        return (await self.balance(account)).posted

    async def in_suspense(self, owner: str) -> int:
        return await self.posted(accounts.suspense(self.name, owner))

    async def agrees(self) -> None:
        """Everything comes to rest; the audit is green, and the chain's own balances are booked."""
        await self.finalize()
        await self.run("sequence")
        for check in wiring.audit_checks(self.wired):
            assert [found for found in await check() if not found.ok] == []
        async with self.database.transaction() as db:
            halted = await db.scalar(text("SELECT reason FROM chain_halt"))
        assert halted is None, halted
        treasury = await self.ground.units(self.ground.treasury)
        assert treasury == await self.posted(accounts.treasury(self.name))
        deposits = {self.place(session) for session in self.sessions} - {self.ground.treasury}
        unswept = sum([await self.ground.units(place) for place in deposits])
        assert unswept == await self.posted(accounts.unswept(self.name))


@asynccontextmanager
async def opened(ground: Ground, db_url: str, folder: Path) -> AsyncIterator[World]:
    """The token is put on the chain, and a sandbox is prepared and wired around it."""
    async with opened_together([ground], db_url, folder) as [world]:
        yield world


@asynccontextmanager
async def opened_together(
    grounds: Sequence[Ground], db_url: str, folder: Path
) -> AsyncIterator[list[World]]:
    """The same over several chains: one sandbox, seen from each of them."""
    settings = Settings(data_dir=folder, database_url=db_url)
    async with AsyncExitStack() as stack:
        database = Database(db_url)
        stack.push_async_callback(database.dispose)
        doors: list[Door] = []
        for ground in grounds:
            stack.push_async_callback(ground.aclose)
            door = await Door.open(ground.rpc_url)
            stack.push_async_callback(door.shut)
            doors.append(door)
            await ground.run()
            await ground.deploy(database, settings.keys_dir, door.url)
            await ground.stand_still()
        log_key = log_keys.load_or_create(settings.keys_dir, settings.log_origin)
        async with database.transaction() as db:
            await sequencer.open_epoch(db, log_key)
            await registry.ensure_accounts(db)
            keys = await seed.seed(db, settings.keys_dir / "api_keys.json")
        vkey = log_keys.load_vkey(settings.keys_dir, settings.log_origin)
        courier = Courier(database, "worker-1", allow_loopback=True)
        stack.push_async_callback(courier.close)
        chains: dict[str, Chain] = {ground.name: ground.chain for ground in grounds}
        wired = wiring.World(settings, database, chains, vkey, log_key, courier, "worker-1")
        worlds = [
            World(ground, wired, door, keys) for ground, door in zip(grounds, doors, strict=True)
        ]
        for world in worlds:
            stack.push_async_callback(world.http.aclose)
            await world.begin()
        yield worlds


def completed(session: Json) -> tuple[str, str, Sequence[str]]:
    """(status, reason, reasons) of a session."""
    return session["status"], session["reason"], session["reasons"]
