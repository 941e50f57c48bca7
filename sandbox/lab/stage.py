"""Where scenarios are played: the running world, with what an actor in it may do and look at.

Every act commits by itself, as the acts of different people do; no transaction is open while
something is waited for.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.bank import calendar
from sandbox.chains import service as chains
from sandbox.chains.customers import Customers, Manner
from sandbox.chains.drills import Drill, Drills
from sandbox.chains.port import Chain
from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.money import MAX_SESSION_TIYN, format_tenge, tiyn_from_units
from sandbox.lab import clockwork, faucet
from sandbox.lab.clockwork import Timer
from sandbox.lab.errors import FloatRefilling, ScenarioStuck
from sandbox.payments import sessions
from sandbox.payments.models import CheckoutSession, Payment
from sandbox.reserve import orders

WAIT_S, LOOK_AGAIN_S = 120.0, 0.05
FLUSH_TIYN = 5_000_000
"""What a customer is given when it is short: enough for the next payments too."""

Found = TypeVar("Found")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """The parts of a running sandbox that scenarios need; wiring puts them together."""

    database: Database
    chains: Mapping[str, Chain]
    customers: Mapping[str, Customers]
    drills: Mapping[str, Drills]
    timers: Sequence[Timer]
    base_url: str
    turns: dict[str, asyncio.Lock] = field(default_factory=dict)
    """One act of a customer at a time, whose transactions are numbered on some chains, and one play
    of those that turn off what everybody shares."""


@dataclass
class Stage:
    """One play: on which chain, for which merchant, and what was done so far."""

    house: House
    merchant: str
    chain: str
    amount_tiyn: int
    session_id: str | None = None
    did: list[str] = field(default_factory=list)
    txs: list[str] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.house.database

    def say(self, what: str) -> None:
        """Add a line to what is told of the play."""
        self.did.append(what)

    async def until(
        self, what: str, look: Callable[[AsyncSession], Awaitable[Found | None]]
    ) -> Found:
        """Look until there is something; raises `ScenarioStuck`."""
        end = time.monotonic() + WAIT_S
        while True:
            async with self.database.transaction() as db:
                found = await look(db)
            if found:
                return found
            if time.monotonic() > end:
                raise ScenarioStuck(what, WAIT_S, self.did)
            await asyncio.sleep(LOOK_AGAIN_S)

    # Sessions.

    async def session(self, expires_in_s: int = 900) -> CheckoutSession:
        """The session that is played with: the given one, or a new one."""
        if self.session_id is not None:
            return (await self.read())[0]
        made = await self.new_session(self.amount_tiyn, expires_in_s)
        self.session_id = made.id
        return made

    async def new_session(self, amount_tiyn: int, expires_in_s: int = 900) -> CheckoutSession:
        async with self.database.transaction() as db:
            made = await sessions.create(
                db,
                self.house.chains,
                base_url=self.house.base_url,
                merchant=self.merchant,
                amount_tiyn=amount_tiyn,
                currency="KZT",
                description="A triggered session",
                client_reference_id=None,
                metadata={},
                expires_in_s=expires_in_s,
            )
        self.say(f"made session {made.id} for {format_tenge(amount_tiyn)}")
        return made

    async def read(self) -> tuple[CheckoutSession, list[Payment]]:
        """The session as it is now, with its payments."""
        assert self.session_id is not None
        async with self.database.transaction() as db:
            return await sessions.one(db, self.session_id)

    async def left_tiyn(self) -> int:
        """What is still to be paid; the whole when nothing is."""
        session, paid = await self.read()
        counted = sum(tiyn_from_units(one.counted_units, one.decimals)[0] for one in paid)
        left = session.amount_tiyn - counted
        return left if session.status == "open" and left > 0 else session.amount_tiyn

    async def seen(self, tx: str) -> Payment:
        """The payment that this transaction is, once the watcher has it."""

        async def look(db: AsyncSession) -> Payment | None:
            assert self.session_id is not None
            _, paid = await sessions.one(db, self.session_id)
            return next((one for one in paid if one.tx == tx), None)

        return await self.until(f"the payment {tx} to be seen", look)

    async def captured(self) -> Payment:
        """A payment of the session that is the merchant's."""

        async def look(db: AsyncSession) -> Payment | None:
            assert self.session_id is not None
            _, paid = await sessions.one(db, self.session_id)
            return next((one for one in paid if one.capture_entry is not None), None)

        payment = await self.until("the payment to be final and captured", look)
        if (said := f"{payment.id} is final and captured") not in self.did:
            self.say(said)
        return payment

    # Customers.

    def option(self, session: CheckoutSession, chain: str | None = None) -> dict[str, Any]:
        """How the session is paid on the play's chain, or another."""
        wanted = chain or self.chain
        return next(one for one in session.options if one["chain"] == wanted)

    def units(self, session: CheckoutSession, tiyn: int, chain: str | None = None) -> int:
        """So many tiyn in units of the chain."""
        per_tiyn: int = self.option(session, chain)["amount_units"] // session.amount_tiyn
        return tiyn * per_tiyn

    def people(self, chain: str | None = None) -> Customers:
        return self.house.customers[chain or self.chain]

    def turn(self, name: str) -> asyncio.Lock:
        """Held while a customer acts, or while what all share is off."""
        return self.house.turns.setdefault(name, asyncio.Lock())

    async def fund(
        self, name: str, session: CheckoutSession, tiyn: int, chain: str | None = None
    ) -> None:
        """Let the customer hold `tiyn` at least, and coin for fees, from the faucet."""
        chain, people = chain or self.chain, self.people(chain)
        wanted = self.units(session, tiyn, chain)
        if await people.units(name, self.option(session, chain)) >= wanted:
            return
        amount = min(max(tiyn, FLUSH_TIYN), MAX_SESSION_TIYN)
        await self.grant(chain, people.address(name), amount)

    async def grant(self, chain: str, address: str, tiyn: int) -> None:
        """A faucet grant, waited for until it is final."""

        async def ask(db: AsyncSession) -> str | None:
            with suppress(FloatRefilling):
                row = await faucet.grant(
                    db,
                    self.database,
                    self.house.chains,
                    chain=chain,
                    address=address,
                    amount_tiyn=tiyn,
                )
                return row.id
            return None

        id_ = await self.until("the faucet's float", ask)

        async def sent(db: AsyncSession) -> bool:
            return (await faucet.find(db, id_)).status != "pending"

        await self.until(f"the faucet grant {id_}", sent)
        self.say(f"the faucet gave {format_tenge(tiyn)} to {address} on {chain}")

    async def pay(
        self,
        name: str,
        session: CheckoutSession,
        tiyn: int,
        manner: Manner = "plain",
        chain: str | None = None,
    ) -> str:
        """The customer pays, with tokens that it gets first if it is short."""
        chain = chain or self.chain
        await self.fund(name, session, tiyn + 1, chain)
        units = self.units(session, tiyn, chain)
        option = self.option(session, chain)
        sent = await self.people(chain).pay(name, option, units, manner)
        shaped = "" if manner == "plain" else f" ({manner})"
        self.sent(f"paid {format_tenge(tiyn)}{shaped}", *sent, chain=chain)
        return sent[-1]

    def sent(self, what: str, *txs: str, chain: str | None = None) -> None:
        """Tell of transactions."""
        self.txs.extend(txs)
        self.say(f"{what} on {chain or self.chain}: {', '.join(txs)}")

    async def freeze(self, address: str) -> None:
        """Have the issuer freeze a holder, and wait until that is final."""
        port = self.house.chains[self.chain]
        if await port.is_frozen(address):
            return
        async with self.database.transaction() as db:
            order = await orders.freeze(db, port, address)
        if await self.order_ended(order.id) != "done":
            raise ScenarioStuck(f"the order {order.id}, which was refused", WAIT_S, self.did)
        self.say(f"the issuer froze {address} on {self.chain}")

    async def order_ended(self, order_id: str) -> str:
        """`done` or `not_done`, once that is final."""

        async def ended(db: AsyncSession) -> str | None:
            found = await chains.intent(db, order_id)
            return found.state if found.state in ("done", "not_done") else None

        return await self.until(f"the order {order_id}", ended)

    # Trouble and time.

    async def drill(self, drill: Drill, times: int) -> None:
        """Have the play's chain misbehave."""
        await self.house.drills[self.chain].set(drill, times)
        self.say(f"{drill} × {times} on {self.chain}" if times else f"{drill} ended")

    @asynccontextmanager
    async def drilled(self, drill: Drill, times: int = 1) -> AsyncIterator[None]:
        """The play's chain misbehaves for as long as this lasts."""
        await self.drill(drill, times)
        try:
            yield
        finally:
            await self.drill(drill, 0)

    async def advance(self, seconds: int) -> None:
        """Move the clock, which everybody shares."""
        house = self.house
        moved = await clockwork.advance(house.database, house.chains, house.timers, seconds)
        self.say(f"moved the clock by {timedelta(seconds=seconds)} to {moved['now']}")

    async def to_value_date(self, value_date: str) -> None:
        """Move the clock to an hour after the bank opens on that day, unless it is past."""
        opens = calendar.bank_opens(datetime.fromisoformat(value_date).date())
        ahead = (opens + timedelta(hours=1) - await self.now()) // timedelta(seconds=1)
        await self.advance(max(0, ahead))

    async def now(self) -> Any:
        async with self.database.transaction() as db:
            return await clock.now(db)


Play = Callable[[Stage], Awaitable[None]]


async def told(
    database: Database, types: Sequence[str], merchant: str, since: Any
) -> list[dict[str, str]]:
    """Events of these types in the log since a moment: the merchant's, and nobody's."""
    statement = text(
        "SELECT e.id, e.type FROM event e JOIN log_entry l ON l.event_id = e.id"
        " WHERE e.type = ANY(:types) AND e.created >= :since"
        " AND (e.merchant = :merchant OR e.merchant IS NULL OR e.type LIKE 'merchant.%')"
        " ORDER BY l.epoch, l.position LIMIT 200"
    )
    given = {"types": list(types), "merchant": merchant, "since": since}
    async with database.transaction() as db:
        return [dict(row._mapping) for row in await db.execute(statement, given)]
