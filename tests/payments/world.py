"""A small world for checkout: memory chain, real watcher and runner, routes, two merchants."""

import itertools
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import httpx2
import orjson
from fastapi import FastAPI
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains.jobs import IntentRunner
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.chains.watcher import Watcher
from sandbox.chains.watching import IntentDone, IntentFailed
from sandbox.core.db import Database, Leader
from sandbox.core.http import RequestIdMiddleware, install
from sandbox.core.money import units_from_tiyn
from sandbox.eventlog.leaf import api_data
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import checks
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Account, Changes
from sandbox.parties import plans
from sandbox.parties import service as parties
from sandbox.parties.models import Merchant
from sandbox.payments import checks as payment_checks
from sandbox.payments import service as payments
from sandbox.payments.handlers import PaymentsHandler
from sandbox.payments.routes import router
from sandbox.payments.sweeping import Sweeps
from sandbox.web.routes import router as pages

Json = dict[str, Any]
BASE_URL = "http://shop.test"


async def record(db: AsyncSession, answers: list[Changes], events: list[NewEvent]) -> None:
    changes = Changes(events=list(events))
    for answer in answers:
        changes.extend(answer)
    await ledger.record(db, changes)


class Gifts:
    """Somebody above checkout who sends money: here without books of its own."""

    async def on_done(self, db: AsyncSession, done: IntentDone) -> Changes:
        return Changes()

    async def on_not_done(self, db: AsyncSession, failed: IntentFailed) -> Changes:
        raise AssertionError(f"{failed.id}: {failed.reason}")


@dataclass
class World:
    """One followed chain whose block times are the sandbox's time, and HTTP as two merchants."""

    database: Database
    chain: MemoryChain
    keys: dict[str, str] = field(default_factory=dict)
    merchants: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chains = {self.chain.name: self.chain}
        self.handler = PaymentsHandler()
        self.leader = Leader(self.database, f"watcher:{self.chain.name}", "worker-1")
        intents: dict[str, Any] = {"refund": self.handler, "sweep": Sweeps(), "gift": Gifts()}
        self.watcher = Watcher(
            self.database,
            self.chain,
            [self.handler],
            intents,
            record,
            self.leader,
            known_keys=payments.known_keys,
        )
        self.runner = IntentRunner(
            self.database, self.chains, intents, record, "worker-1", look_again_s=0
        )
        self.app = FastAPI()
        install(self.app)
        self.app.add_middleware(RequestIdMiddleware)
        self.app.state.database = self.database
        self.app.state.chains = self.chains
        self.app.state.key_lookup = parties.find_key
        self.app.state.settings = SimpleNamespace(base_url=BASE_URL)
        self.app.include_router(router)
        self.app.include_router(pages)
        self._numbers = itertools.count(1)
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app, raise_app_exceptions=False),
            base_url="http://127.0.0.1",
        )
        self.customer = new_address()
        self.chain.endow(self.customer, self.units(10**9))

    async def begin(self) -> None:
        async with self.database.transaction() as db:
            policies = {"shop": "confirmed", "other": "confirmed", "careful": "final"}
            for name, policy in policies.items():
                merchant = Merchant(
                    id=f"mch_{name}", name=f"Дүкен {name}", bin="000000000000", iban="KZ00",
                    knp="710", kbe="17", fee_bps=100, confirm_policy=policy,
                    settlement_mode="payout", cut_off="18:00", status="active",
                    created_at=datetime.fromisoformat("2026-01-01T00:00:00Z"),
                )  # fmt: skip
                db.add(merchant)
                await db.flush()
                await plans.begin(db, merchant)
                self.merchants[name] = merchant.id
                self.keys[name] = (await parties.create_key(db, "merchant", merchant.id))[1]
            for role in ("issuer", "operator", "regulator"):
                self.keys[role] = (await parties.create_key(db, role, role))[1]
        await self.follow()

    async def end(self) -> None:
        await self.http.aclose()
        await self.leader.release()

    def units(self, tiyn: int) -> int:
        return units_from_tiyn(tiyn, self.chain.decimals)

    # HTTP.

    async def get(self, path: str, role: str = "shop") -> httpx2.Response:
        return await self.http.get(path, headers=self.headers(role))

    async def post(self, path: str, body: object = None, role: str = "shop") -> httpx2.Response:
        key = {"Idempotency-Key": f"test-{next(self._numbers)}"}
        return await self.http.post(path, json=body or {}, headers=self.headers(role) | key)

    def headers(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}

    async def session(self, amount_tiyn: int = 10_000, role: str = "shop", **more: Any) -> Json:
        made = await self.post("/v1/checkout/sessions", {"amount_tiyn": amount_tiyn} | more, role)
        assert made.status_code == 201, made.text
        answer: Json = made.json()
        return answer

    async def read(self, session: Json) -> Json:
        path = f"/v1/checkout/sessions/{session['id']}"
        answer: Json = (await self.get(path, session["merchant"].removeprefix("mch_"))).json()
        return answer

    async def strays(self, role: str = "operator") -> list[Json]:
        """Stray transfers, oldest first."""
        answer = (await self.get("/v1/stray_transfers?limit=100", role)).json()
        return list(reversed(answer["data"]))

    # Time: the sandbox clock stands at the newest block.

    async def sync(self) -> None:
        head = (await self.chain.heads()).confirmed
        [block] = await self.chain.blocks(head, head)
        async with self.database.transaction() as db:
            await db.execute(text("UPDATE clock SET frozen_at = :at"), {"at": block.time})

    async def wait(self, seconds: int) -> None:
        """Let `seconds` pass without a block of anybody's."""
        self.chain.offset_ms += seconds * 1000
        self.chain.mine()
        await self.follow()

    # The chain.

    def keys_of(self, session: Json) -> tuple[str, ...]:
        option = session["options"][0]
        if "address" in option:
            return (f"addr:{option['address']}",)
        return (f"ref:{option['reference']}", f"memo:{option['memo']}")

    def place_of(self, session: Json) -> str:
        """Where this session is paid."""
        option = session["options"][0]
        return str(option.get("recipient") or option["address"])

    def send(self, session: Json | None, tiyn: int, **more: Any) -> str:
        """A customer's transfer to the treasury, waiting to be mined; returns the tx."""
        units = more.get("units", self.units(tiyn))
        keys = more.get("keys", self.keys_of(session) if session else ())
        to = more.get("to", self.place_of(session) if session else self.chain.treasury)
        return self.chain.pay(self.customer, to, units, keys)

    async def pay(self, session: Json | None, tiyn: int, **more: Any) -> str:
        """The same, mined and seen at confirmed."""
        tx = self.send(session, tiyn, **more)
        self.chain.mine()
        await self.follow()
        return tx

    async def finalize(self) -> None:
        self.chain.mine_final()
        await self.follow()

    async def follow(self) -> None:
        await self.sync()
        for _ in range(200):
            if not await self.watcher.step():
                return
        raise AssertionError("the watcher does not come to rest")

    async def carry_out(self) -> None:
        """Send what is due, and let it become final."""
        await self.runner.step()
        await self.finalize()

    # What was written.

    async def events(self, *types: str) -> list[tuple[str, Json]]:
        """(type, API data) of the events so far, oldest first."""
        async with self.database.transaction() as db:
            rows = await db.execute(
                text(
                    "SELECT e.type, e.leaf FROM event e"
                    " LEFT JOIN event_queue q ON q.event_id = e.id ORDER BY q.id"
                )
            )
            told = [(row.type, api_data(orjson.loads(row.leaf)["data"], None)) for row in rows]
        return [(type_, data) for type_, data in told if not types or type_ in types]

    async def told(self) -> list[str]:
        """Types of checkout's events so far."""
        ours = ("checkout.", "payment.", "stray.", "refund.")
        return [type_ for type_, _ in await self.events() if type_.startswith(ours)]

    async def balance(self, account: Account) -> ledger.Balance:
        async with self.database.transaction() as db:
            return await ledger.balance(db, account)

    async def posted(self, account: Account) -> int:
        return (await self.balance(account)).posted

    async def books_hold(self) -> None:
        """The ledger's own invariants, recomputed from raw rows."""
        async with self.database.transaction() as db:
            found = [
                *await checks.entries_balance(db),
                *await checks.balances_are_sums(db),
                *await checks.entries_are_told(db),
            ]
            halted = await db.scalar(text("SELECT reason FROM chain_halt"))
        assert halted is None, halted
        assert [check for check in found if not check.ok] == []

    async def agrees(self) -> None:
        """Books, suspense, refunds and the units at our own addresses tell the same story."""
        await self.books_hold()
        async with self.database.transaction() as db:
            found = await payment_checks.suspense_is_explained(db)
            found += await payment_checks.unswept_is_explained(db)
            found += await payment_checks.refunds_within_payments(db)
        found += await payment_checks.places_match(self.database, self.chains, wait_s=0)
        assert [check for check in found if not check.ok] == []
