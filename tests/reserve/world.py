"""A small world for slices that move money: memory chain, watcher, runner, bank, routes, keys."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import APIRouter, FastAPI
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import registry
from sandbox.chains.jobs import IntentRunner
from sandbox.chains.memory import MemoryChain
from sandbox.chains.watcher import Watcher
from sandbox.core.db import Database, Leader
from sandbox.core.http import RequestIdMiddleware, install
from sandbox.core.http.roles import Role
from sandbox.eventlog.types import NewEvent
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Account, Changes
from sandbox.parties import service as parties


async def record(db: AsyncSession, answers: list[Changes], events: list[NewEvent]) -> None:
    changes = Changes(events=list(events))
    for answer in answers:
        changes.extend(answer)
    await ledger.record(db, changes)


@dataclass
class World:
    """One chain that is followed, and HTTP clients by role."""

    database: Database
    chain: MemoryChain
    block_handlers: Sequence[Any]
    intent_handlers: Mapping[str, Any]
    routers: Sequence[APIRouter]
    keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chains = {self.chain.name: self.chain}
        self.leader = Leader(self.database, f"watcher:{self.chain.name}", "worker-1")
        self.watcher = Watcher(
            self.database,
            self.chain,
            self.block_handlers,
            self.intent_handlers,
            record,
            self.leader,
        )
        self.runner = IntentRunner(
            self.database, self.chains, self.intent_handlers, record, "worker-1", look_again_s=0
        )
        self.app = FastAPI()
        install(self.app)
        self.app.add_middleware(RequestIdMiddleware)
        self.app.state.database = self.database
        self.app.state.chains = self.chains
        self.app.state.key_lookup = parties.find_key
        for router in self.routers:
            self.app.include_router(router)
        self._numbers = itertools.count(1)
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app), base_url="http://127.0.0.1"
        )

    async def begin(self) -> None:
        """Open the issuer's bank accounts and make a key for every role."""
        async with self.database.transaction() as db:
            await registry.ensure_accounts(db)
            roles: tuple[Role, ...] = (
                "merchant", "developer", "issuer", "operator", "regulator", "fund_officer",
            )  # fmt: skip
            for role in roles:
                self.keys[role] = (await parties.create_key(db, role, f"party-{role}"))[1]
            seeded = await parties.create_key(db, "merchant", "mch_seeded", seeded=True)
            self.keys["seeded"] = seeded[1]

    def go_on_with(self, keys: dict[str, str]) -> None:
        """Begin where another world over a copy of the same database stopped."""
        self.keys = keys
        # It used the first ones for its own requests.
        self._numbers = itertools.count(1_000)

    async def end(self) -> None:
        await self.http.aclose()
        await self.leader.release()

    async def get(self, path: str, role: str = "operator") -> httpx2.Response:
        return await self.http.get(path, headers=self._headers(role))

    async def post(
        self, path: str, body: object, role: str = "operator", key: str | None = None
    ) -> httpx2.Response:
        return await self.http.post(
            path,
            json=body,
            headers=self._headers(role) | {"Idempotency-Key": key or f"test-{next(self._numbers)}"},
        )

    def _headers(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}

    async def follow(self) -> None:
        """Let the watcher handle everything there is."""
        for _ in range(200):
            if not await self.watcher.step():
                return
        raise AssertionError("the watcher does not come to rest")

    async def carry_out(self) -> None:
        """Send what is due, and let it become final."""
        await self.runner.step()
        self.chain.mine_final()
        await self.follow()

    async def posted(self, account: Account) -> int:
        async with self.database.transaction() as db:
            return (await ledger.balance(db, account)).posted

    async def available(self, account: Account) -> int:
        async with self.database.transaction() as db:
            return (await ledger.balance(db, account)).available

    async def event_types(self) -> list[str]:
        async with self.database.transaction() as db:
            rows = await db.execute(
                text("SELECT type FROM event WHERE type <> 'api_key.created' ORDER BY id")
            )
            return [row.type for row in rows]

    async def count(self, table: str) -> int:
        async with self.database.transaction() as db:
            found: int = await db.scalar(text(f"SELECT count(*) FROM {table}"))
            return found
