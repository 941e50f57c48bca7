"""A world with two chains, one with deposit addresses, for redemptions and moves between them."""

from datetime import datetime
from typing import Any, ClassVar

import orjson
from sqlalchemy import text

from sandbox.bank import checks as bank_checks
from sandbox.bank import closing, simulator
from sandbox.chains.checks import transfers_are_whole
from sandbox.chains.jobs import IntentRunner
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.chains.watcher import Watcher
from sandbox.core.db import Database, Leader
from sandbox.core.zone import ALMATY
from sandbox.ledger import accounts
from sandbox.payments import checks as payment_checks
from sandbox.payments import routes as payment_routes
from sandbox.payments import row_checks as payment_row_checks
from sandbox.payments.handlers import PaymentsHandler
from sandbox.payments.sweeping import Sweeps
from sandbox.reserve import (
    backing,
    burns,
    checks,
    intake_checks,
    intake_jobs,
    intake_routes,
    intakes,
    moves,
    replay,
    statement_checks,
)
from sandbox.reserve import routes as reserve_routes
from sandbox.reserve.handlers import IssuanceHandler, ReserveWatch
from sandbox.reserve.intake_handlers import IntakeBurns, IntakeSweeps, IntakeWatch, SendBacks
from sandbox.wiring import known_keys
from tests.ledger.books import CHECKS
from tests.opened import Opening
from tests.reserve.world import World, record

HOLDER_TIYN = 50_000
IBAN, OTHER_IBAN = "KZ31601A000000000001", "KZ41722C000000000001"
PAYEE = {
    "iban": IBAN,
    "payee_name": "Кітап дүкені",
    "tax_number": "260340000002",
    "knp": "859",
    "kbe": "17",
}
Json = dict[str, Any]


class TwoChains(World):
    """`holder` has units on both chains; the bank and the worker go on when a test says so."""

    # Histories play one world after another in one database, whose log is replayed whole.
    decimals_of: ClassVar[dict[str, int]] = {}

    def __init__(
        self,
        database: Database,
        decimals: int = 2,
        number: str = "",
        chains: tuple[MemoryChain, DepositMemoryChain] | None = None,
    ) -> None:
        self.number = number
        self.plain, self.deposits = chains or (
            MemoryChain(f"plain{number}", decimals=decimals),
            DepositMemoryChain(f"deposits{number}", decimals=decimals),
        )
        self.holder = new_address()
        payments = PaymentsHandler(others=intakes.known_keys)
        for chain in (self.plain, self.deposits):
            self.decimals_of[chain.name] = chain.decimals
        super().__init__(
            database,
            self.plain,
            [payments, IntakeWatch(), ReserveWatch()],
            {
                "issuance": IssuanceHandler(),
                "refund": payments,
                "sweep": Sweeps(),
                intakes.SWEEP_KIND: IntakeSweeps(),
                intakes.BURN_KIND: IntakeBurns(),
                intakes.SEND_BACK_KIND: SendBacks(),
                moves.KIND: moves.BridgeMints(),
            },
            [reserve_routes.router, intake_routes.router, payment_routes.router],
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.chains = {chain.name: chain for chain in (self.plain, self.deposits)}
        self.app.state.chains = self.chains
        self.app.state.other_strays = burns
        self.leaders = [Leader(self.database, f"watch:{name}", "worker-1") for name in self.chains]
        self.watchers = [
            Watcher(
                self.database,
                chain,
                self.block_handlers,
                self.intent_handlers,
                record,
                leader,
                known_keys=known_keys,
            )
            for chain, leader in zip(self.chains.values(), self.leaders, strict=True)
        ]
        self.runner = IntentRunner(
            self.database, self.chains, self.intent_handlers, record, "worker-1", look_again_s=0
        )

    async def begin(self, moment: str = "2026-11-19T12:00") -> None:
        await self.set_clock(moment)
        await super().begin()
        for chain in self.chains:
            body = {"amount_tiyn": HOLDER_TIYN, "bank_reference": f"in-{chain}"}
            deposit = (await self.post("/v1/reserve/deposits", body)).json()
            body = {
                "deposit": deposit["id"],
                "chain": chain,
                "amount_tiyn": HOLDER_TIYN,
                "recipient": self.holder,
            }
            assert (await self.post("/v1/reserve/issuances", body)).status_code == 201
        await self.carry_out()

    @classmethod
    def copied(cls, database: Database, kept: Any) -> "TwoChains":
        """The world of `OPENED` in a copy of its database."""
        chains, holder, keys = kept
        world = cls(database, chains=chains)
        world.holder = holder
        world.go_on_with(keys)
        return world

    async def end(self) -> None:
        await super().end()
        for leader in self.leaders:
            await leader.release()

    async def set_clock(self, moment: str) -> None:
        """Freeze the sandbox clock at a moment written in Almaty time."""
        at = datetime.fromisoformat(moment).replace(tzinfo=ALMATY)
        async with self.database.transaction() as db:
            await db.execute(text("UPDATE clock SET frozen_at = :at"), {"at": at})

    # Asking.

    async def redeem(self, chain: str = "plain", tiyn: int = 1_000, **more: Any) -> Json:
        body = {"chain": chain, "amount_tiyn": tiyn} | PAYEE | more
        return await self.done("redemptions", body, 201)

    async def move(self, start: str = "plain", tiyn: int = 1_000, **more: Any) -> Json:
        [target] = self.chains.keys() - {start}
        body = {
            "from_chain": start,
            "to_chain": target,
            "amount_tiyn": tiyn,
            "recipient": self.holder,
        }
        return await self.done("moves", body | more, 201)

    async def done(self, path: str, body: Json, status: int = 200) -> Json:
        answer = await self.post(f"/v1/reserve/{path}", body)
        assert answer.status_code == status, answer.text
        made: Json = answer.json()
        return made

    async def refused(self, path: str, body: Json) -> tuple[int, str]:
        answer = await self.post(f"/v1/reserve/{path}", body)
        return answer.status_code, answer.json()["code"]

    async def read(self, asked: Json) -> Json:
        kind = "redemptions" if asked["object"] == "redemption" else "moves"
        answer = await self.get(f"/v1/reserve/{kind}/{asked['id']}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    # Acting.

    def send(self, asked: Json, units: int | None = None, payer: str = "") -> str:
        """The holder's transfer, by the option alone, waiting to be mined."""
        option = asked["option"]
        chain = self.chains[option["chain"]]
        keys = (f"ref:{option['reference']}",) if "reference" in option else ()
        to = str(option.get("address", chain.treasury))
        amount = asked["amount_units"] if units is None else units
        return chain.pay(payer or self.holder, to, amount, keys)

    async def follow(self) -> None:
        for watcher in self.watchers:
            for _ in range(300):
                if not await watcher.step():
                    break

    async def finalize(self) -> None:
        for chain in self.chains.values():
            chain.mine_final()
        await self.follow()

    async def work(self) -> None:
        """The worker's own steps, until it finds none."""
        for _ in range(50):
            if not await intake_jobs.follow(self.database, self.chains):
                return
        raise AssertionError("the worker does not come to rest")

    async def carry_out(self) -> None:
        """Until nothing of ours is under way on any chain."""
        for _ in range(20):
            await self.work()
            await self.runner.step()
            await self.finalize()
            await self.work()
            if not await self.count("chain_intent WHERE state IN ('due', 'signed')"):
                return
        raise AssertionError("the intents do not come to rest")

    async def busy(self) -> list[str]:
        async with self.database.transaction() as db:
            return await intake_jobs.busy(db)

    async def bank(self) -> None:
        """Until bank and books have nothing to tell each other."""
        for _ in range(20):
            done = await simulator.step(self.database) + await intake_jobs.read_bank(self.database)
            if not done:
                return
        raise AssertionError("bank and books do not come to rest")

    async def lose(self, chain: MemoryChain, asked: Json, event: str, times: int = 1) -> None:
        """Nothing of ours reaches `chain` until `event` was told `times` times of `asked`."""
        chain.losing = True
        for _ in range(60):
            await self.work()
            await self.runner.step()
            chain.mine(30)
            await self.follow()
            if (await self.event_types()).count(event) >= times:
                chain.losing = False
                return
        raise AssertionError(f"{event} of {asked['id']} does not come")

    async def received(self, asked: Json) -> Json:
        """The same with its units there and final."""
        self.send(asked)
        await self.finalize()
        return await self.read(asked)

    async def carried_out(self, asked: Json) -> Json:
        """The same after everything that needs no bank."""
        self.send(asked)
        await self.finalize()
        await self.carry_out()
        return await self.read(asked)

    # Judging.

    async def supplies(self) -> list[int]:
        return [(await chain.supply()).units for chain in self.chains.values()]

    async def owed(self, code: str) -> int:
        """What is posted on all accounts of the issuer that begin so."""
        async with self.database.transaction() as db:
            found: int = await db.scalar(
                text(
                    "SELECT coalesce(sum(b.posted), 0)::bigint FROM balance b"
                    " JOIN account a ON a.id = b.account_id WHERE starts_with(a.code, :code)"
                ),
                {"code": code},
            )
        return found

    async def audit(self) -> None:
        """Every invariant holds; supply on chain and in the bridge is one figure with what is
        owed for it."""
        await closing.close_days(self.database)
        rows = (
            checks.reserve_covers,
            checks.statements_match,
            statement_checks.statement_lines_match,
            bank_checks.statements_as_told,
            bank_checks.messages_match,
            transfers_are_whole,
            payment_checks.suspense_is_explained,
            payment_row_checks.arrivals_match,
            burns.burns_match,
            intake_checks.units_are_explained,
            intake_checks.receipts_match,
            intake_checks.claims_match,
            intake_checks.intakes_as_told,
            checks.reserve_as_told,
        )
        for check in (*CHECKS, *rows):
            async with self.database.transaction() as db:
                for result in await check(db):
                    assert result.ok, result
        for results in (
            await checks.supply_matches(self.database, self.chains, wait_s=0),
            await payment_checks.places_match(self.database, self.chains, wait_s=0),
            await intake_checks.addresses_match(self.database, self.chains, wait_s=0),
        ):
            for result in results:
                assert result.ok, result
        for name, chain in self.chains.items():
            units = await self.posted(accounts.supply(name))
            per_tiyn = 10 ** (chain.decimals - 2)
            assert units == await self.posted(accounts.outstanding(name)) * per_tiyn
        assert await self.count("chain_halt") == 0
        await self.replayed()

    async def replayed(self) -> None:
        """The log alone gives every figure of the reserve again."""
        found = replay.Figures(self.decimals_of)
        async with self.database.transaction() as db:
            # Nothing is sequenced here: the queue is the order that the log would have.
            rows = await db.scalars(
                text(
                    "SELECT e.leaf FROM event_queue q JOIN event e ON e.id = q.event_id"
                    " ORDER BY q.id"
                )
            )
            for leaf in rows:
                found.take(orjson.loads(leaf))
            held = await backing.read(db)
        assert found.unknown == {}
        assert {**dict.fromkeys(held.assets, 0), **found.assets} == held.assets
        assert {**dict.fromkeys(held.debts, 0), **found.debts} == held.debts
        for name in self.chains:
            assert found.units[name] == await self.posted(accounts.supply(name))


async def _opened(database: Database) -> Any:
    world = TwoChains(database)
    await world.begin()
    await world.end()
    return (world.plain, world.deposits), world.holder, world.keys


OPENED = Opening("two chains", _opened)
