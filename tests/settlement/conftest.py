"""The whole path a batch needs: reserve, checkout, settlement and bank on a memory chain.

Most tests run twice: with payers who pay the treasury, and with a deposit address per session.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from sandbox.bank import closing, simulator
from sandbox.bank import routes as bank_routes
from sandbox.bank import service as bank
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.chains.watcher import Watcher
from sandbox.core.db import Database
from sandbox.core.zone import ALMATY
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.parties import service as parties
from sandbox.payments import checks as payment_checks
from sandbox.payments import routes as payment_routes
from sandbox.payments import service as payments
from sandbox.payments.handlers import PaymentsHandler
from sandbox.payments.sweeping import Sweeps
from sandbox.reserve import checks as reserve_checks
from sandbox.reserve import routes as reserve_routes
from sandbox.reserve import statement_checks
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from sandbox.settlement import checks, jobs, row_checks
from sandbox.settlement import routes as settlement_routes
from sandbox.settlement.burns import TRANSFER_KIND, Burns
from tests.ledger.books import CHECKS
from tests.opened import Opening, Openings
from tests.reserve.world import World, record

SHOP_IBAN = "KZ31601A000000000001"
OTHER_IBAN = "KZ41722C000000000001"
BIN = "260340000002"
FLOAT, CUSTOMER = 70_000, 30_000
# With an address per session a batch is swept first: the rest is the same for both.
BOTH = [
    pytest.param(MemoryChain, id="treasury", marks=pytest.mark.long),
    pytest.param(DepositMemoryChain, id="deposits"),
]


class SettlingWorld(World):
    """A world that knows deposit addresses, and goes on with burns as their sweeps end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.watcher = Watcher(
            self.database,
            self.chain,
            self.block_handlers,
            self.intent_handlers,
            record,
            self.leader,
            known_keys=payments.known_keys,
        )

    async def go_on(self) -> None:
        """Let the burns that wait for sweeps go on as far as they can."""
        for _ in range(50):
            if not await jobs.follow_sweeps(self.database, self.chains):
                return
        raise AssertionError("burns and sweeps do not come to rest")

    async def step(self) -> None:
        """Send what is due, let it become final, and hear of it."""
        await self.runner.step()
        self.chain.mine_final()
        await self.follow()

    async def carry_out(self) -> None:
        """Until nothing is under way on this chain."""
        for _ in range(20):
            await self.step()
            await self.go_on()
            under_way = "chain_intent WHERE state IN ('due', 'signed') AND chain = "
            if not await self.count(f"{under_way}'{self.chain.name}'"):
                return
        raise AssertionError("the intents do not come to rest")


@dataclass
class Town:
    """A shop, a customer with tokens, and everything between the two and the bank."""

    world: SettlingWorld
    customer: str
    owner_url: str
    shop: str = ""

    @property
    def chain(self) -> MemoryChain:
        return self.world.chain

    @property
    def database(self) -> Database:
        return self.world.database

    async def open(self, moment: str) -> None:
        """Tokens worth 100 000 tiyn: 70 000 in the float, 30 000 at the customer."""
        await self.set_clock(moment)
        await self.world.begin()
        self.shop = await self.merchant("shop", SHOP_IBAN)
        for amount, recipient in ((FLOAT, self.chain.treasury), (CUSTOMER, self.customer)):
            await self.issue(self.world, amount, recipient)

    async def issue(self, world: World, amount_tiyn: int, recipient: str) -> None:
        """Tenge comes in, and tokens made of it are final at `recipient`."""
        name = world.chain.name
        deposit = await self.done(
            "/v1/reserve/deposits",
            {"amount_tiyn": amount_tiyn, "bank_reference": f"{name}-{amount_tiyn}"},
            "issuer",
        )
        body = {
            "deposit": deposit["id"],
            "chain": name,
            "amount_tiyn": amount_tiyn,
            "recipient": recipient,
        }
        await self.done("/v1/reserve/issuances", body, "issuer")
        await world.carry_out()

    async def merchant(self, name: str, iban: str) -> str:
        """A merchant with a fee of 1 % and a key under its name."""
        async with self.database.transaction() as db:
            made = await parties.create_merchant(
                db, name=name, tax_number=BIN, account_iban=iban, knp="859", kbe="17"
            )
            self.world.keys[name] = (await parties.create_key(db, "merchant", made.id))[1]
        return made.id

    async def done(self, path: str, body: object, role: str) -> dict[str, Any]:
        answer = await self.world.post(path, body, role)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def get(self, path: str, role: str = "shop") -> dict[str, Any]:
        answer = await self.world.get(path, role)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def pay(self, amount_tiyn: int, role: str = "shop") -> str:
        """A checkout paid in full and captured; returns the payment's id."""
        session = await self._send(self.world, amount_tiyn, role)
        self.chain.mine_final()
        await self.world.follow()
        return await self._captured(session, role)

    async def pay_on(self, world: World, amount_tiyn: int) -> str:
        """A checkout paid on another chain."""
        session = await self._send(world, amount_tiyn, "shop")
        world.chain.mine_final()
        await world.follow()
        return await self._captured(session, "shop")

    async def pay_many(self, count: int, amount_tiyn: int) -> None:
        """Many checkouts paid in one block."""
        for _ in range(count):
            session = await self._send(self.world, amount_tiyn, "shop")
        self.chain.mine_final()
        await self.world.follow()
        await self._captured(session, "shop")

    async def _send(self, world: World, amount_tiyn: int, role: str) -> str:
        session = await self.done("/v1/checkout/sessions", {"amount_tiyn": amount_tiyn}, role)
        option = next(one for one in session["options"] if one["chain"] == world.chain.name)
        self.send_to(session, option["amount_units"], world)
        return str(session["id"])

    def send_to(self, session: dict[str, Any], units: int, world: World | None = None) -> str:
        """The customer's transfer for a session, waiting to be mined; returns the tx."""
        chain = (world or self.world).chain
        option = next(one for one in session["options"] if one["chain"] == chain.name)
        keys = (f"ref:{option['reference']}",) if "reference" in option else ()
        to = str(option.get("address", chain.treasury))
        return chain.pay(self.customer, to, units, keys)

    async def _captured(self, session: str, role: str) -> str:
        payment = (await self.get(f"/v1/checkout/sessions/{session}", role))["payment"]
        assert (payment["chain_state"], payment["settlement_state"]) == ("final", "unsettled")
        return str(payment["id"])

    async def as_owner(self, statement: str) -> None:
        """Change rows as nobody who runs the sandbox may."""
        owner = await asyncpg.connect(self.owner_url)
        try:
            await owner.execute(f"SET session_replication_role = replica; {statement}")
        finally:
            await owner.close()

    async def audit(self) -> None:
        """Every invariant that can be recomputed from rows alone holds."""
        await closing.close_days(self.database)
        reserve = (
            reserve_checks.reserve_covers,
            reserve_checks.statements_match,
            statement_checks.statement_lines_match,
        )
        checkout = (
            payment_checks.suspense_is_explained,
            payment_checks.unswept_is_explained,
            payment_checks.refunds_within_payments,
        )
        settled = (checks.batches_add_up, row_checks.orders_match)
        for check in (*CHECKS, *reserve, *checkout, *settled):
            async with self.database.transaction() as db:
                for result in await check(db):
                    assert result.ok, result
        for result in await payment_checks.places_match(
            self.database, {self.chain.name: self.chain}, wait_s=0
        ):
            assert result.ok, result
        assert await self.world.count("chain_halt") == 0

    async def refund(self, payment: str, amount_tiyn: int) -> None:
        await self.done("/v1/refunds", {"payment": payment, "amount_tiyn": amount_tiyn}, "shop")
        await self.world.carry_out()

    async def settle(self, **body: object) -> dict[str, Any]:
        """Ask for a batch, and let it be swept: its burns are asked for and not sent."""
        made = await self.ask(**body)
        if self.chain.sweep_batch:
            await self.world.step()
            await self.world.go_on()
        return made

    async def ask(self, **body: object) -> dict[str, Any]:
        """Ask for a batch, no more."""
        return await self.done("/v1/settlements", body, "shop")

    async def settlement(self, id_: str) -> dict[str, Any]:
        return await self.get(f"/v1/settlements/{id_}")

    async def bank_and_books(self) -> None:
        """Let the bank work and the books hear of it, until both are at rest."""
        for _ in range(20):
            if not await simulator.step(self.database) + await jobs.step(self.database):
                return
        raise AssertionError("bank and books do not come to rest")

    async def lose_everything_until(self, event: str, times: int = 1) -> None:
        """No transaction of ours reaches the chain until `event` was told `times` times more."""
        self.chain.losing = True
        wanted = (await self.world.event_types()).count(event) + times
        for _ in range(60):
            await self.world.runner.step()
            self.chain.mine(30)
            await self.world.follow()
            if (await self.world.event_types()).count(event) >= wanted:
                self.chain.losing = False
                return
        raise AssertionError(f"{event} does not come")

    async def set_clock(self, moment: str) -> None:
        """Freeze the sandbox clock at a moment written in Almaty time."""
        at = datetime.fromisoformat(moment).replace(tzinfo=ALMATY)
        async with self.database.transaction() as db:
            await db.execute(text("UPDATE clock SET frozen_at = :at"), {"at": at})

    async def figures(self) -> dict[str, int]:
        """What CONTRACT 10 follows: posted balances, and what the bank has booked."""
        chain, shop = self.chain.name, self.shop
        async with self.database.transaction() as db:
            named = {
                "1010": accounts.reserve_bank(),
                "1090": accounts.in_transit(),
                "1110": accounts.operating(),
                "2010": accounts.outstanding(chain),
                "2040": accounts.payout(shop),
                "2070": accounts.vat(),
                "4010": accounts.fees(),
                "supply": accounts.supply(chain),
                "treasury": accounts.treasury(chain),
                "custody": accounts.custody(chain),
                "merchant": accounts.merchant(chain, shop),
            }
            held = await ledger.balances(db, list(named.values()))
            figures = {name: held[account].posted for name, account in named.items()}
            figures["bank"] = await bank.balance(db, "KZ639480000000000001")
            figures["bank, own"] = await bank.balance(db, "KZ369480000000000002")
        return figures


def build_town(database: Database, owner_url: str, chain: MemoryChain) -> Town:
    checkout = PaymentsHandler()
    world = SettlingWorld(
        database,
        chain,
        [checkout, ReserveWatch()],
        {
            "issuance": IssuanceHandler(),
            "refund": checkout,
            "burn": Burns(),
            TRANSFER_KIND: Burns(),
            "sweep": Sweeps(),
        },
        [
            reserve_routes.router,
            payment_routes.router,
            settlement_routes.router,
            bank_routes.router,
        ],
    )
    world.app.state.settings = SimpleNamespace(base_url="http://127.0.0.1")
    return Town(world, new_address(), owner_url)


async def open_town(
    database: Database, owner_url: str, chain: MemoryChain, moment: str = "2026-11-19T12:00"
) -> Town:
    town = build_town(database, owner_url, chain)
    await town.open(moment)
    return town


def opening_of(kind: type[MemoryChain], decimals: int) -> Opening:
    """An open town on such a chain; what is kept of it is for `copied_town`."""

    async def make(database: Database) -> Any:
        town = await open_town(database, "", kind(decimals=decimals))
        await town.world.end()
        return town.chain, town.customer, town.shop, town.world.keys

    return Opening(("town", kind, decimals), make)


def copied_town(database: Database, owner_url: str, kept: Any) -> Town:
    """The town that is open in this database."""
    chain, customer, shop, keys = kept
    town = build_town(database, owner_url, chain)
    town.customer, town.shop = customer, shop
    town.world.go_on_with(keys)
    return town


@pytest.fixture
def opening(request: pytest.FixtureRequest) -> Opening | None:
    if "town_chain" in request.fixturenames:
        return opening_of(request.getfixturevalue("town_chain"), 2)
    if "swept_town" in request.fixturenames:
        return opening_of(DepositMemoryChain, 2)
    if "any_town" in request.fixturenames:
        kind, decimals = request.getfixturevalue("any_chain"), request.getfixturevalue("places")
        return opening_of(kind, decimals)
    return None


@pytest.fixture
def kept(database: Database, openings: Openings, opening: Opening) -> Any:
    """What is known of the town beside its database."""
    return openings.kept(opening)


@pytest.fixture(params=BOTH)
def town_chain(request: pytest.FixtureRequest) -> type[MemoryChain]:
    kind: type[MemoryChain] = request.param
    return kind


@pytest.fixture
async def town(
    database: Database, owner_url: str, kept: Any, town_chain: type[MemoryChain]
) -> AsyncIterator[Town]:
    town = copied_town(database, owner_url, kept)
    assert isinstance(town.chain, town_chain)
    yield town
    await town.world.end()


@pytest.fixture
async def swept_town(database: Database, owner_url: str, kept: Any) -> AsyncIterator[Town]:
    """One with deposit addresses, whatever the test."""
    town = copied_town(database, owner_url, kept)
    yield town
    await town.world.end()


@pytest.fixture(params=BOTH)
def any_chain(request: pytest.FixtureRequest) -> type[MemoryChain]:
    kind: type[MemoryChain] = request.param
    return kind


@pytest.fixture(params=[2, 6])
def places(request: pytest.FixtureRequest) -> int:
    """The token's own decimals, and those that others guess."""
    return int(request.param)


@pytest.fixture
async def any_town(
    database: Database, owner_url: str, kept: Any, any_chain: type[MemoryChain], places: int
) -> AsyncIterator[Town]:
    """The same with the token's own decimals, and with those that others guess."""
    town = copied_town(database, owner_url, kept)
    assert (type(town.chain), town.chain.decimals) == (any_chain, places)
    yield town
    await town.world.end()
