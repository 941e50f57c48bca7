"""Random histories of redemptions and moves, with everything that can go wrong on the way: after
each step every invariant holds."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from itertools import count
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from sandbox.bank import registry, simulator
from sandbox.chains.memory import Move
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.core.errors import NotFound
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import intake_jobs, minting
from tests.reserve.two_chains import HOLDER_TIYN, IBAN, OTHER_IBAN, Json, TwoChains

# Chains are numbered over all examples, so each has books of its own in one database.
_numbers = count(1)

EXAMPLES = 3

chains = st.sampled_from([0, 1])
picks = st.integers(0, 7)
amounts = st.integers(1, 400)


class Histories(RuleBasedStateMachine):
    database: Database
    loop: asyncio.AbstractEventLoop
    ends: ClassVar[Counter[str]] = Counter()

    @initialize(decimals=st.sampled_from([2, 6]))
    def begin(self, decimals: int) -> None:
        self.per_tiyn = 10 ** (decimals - 2)
        self.asked: list[Json] = []
        self.run(self._begin(decimals))
        for chain, moves in ((0, False), (1, False), (0, True), (1, True)):
            self.ask(chain, 250, moves, sends=chain)

    async def _begin(self, decimals: int) -> None:
        self.world = TwoChains(self.database, decimals, str(next(_numbers)))
        async with self.database.transaction() as db:
            now = await clock.now(db)
        await self.world.begin((now + timedelta(hours=5)).replace(tzinfo=None).isoformat())
        await self._accounts(True)
        self.names = list(self.world.chains)

    def run(self, act: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(act)

    def post(self, path: str, body: Json, also: tuple[int, ...] = ()) -> Json | None:
        answer = self.run(self.world.post(f"/v1/reserve/{path}", body))
        assert answer.status_code in (200, 201, *also), answer.text
        made: Json = answer.json()
        return made if answer.status_code < 300 else None

    def pick(self, number: int) -> tuple[Json, str] | None:
        if not self.asked:
            return None
        one = self.asked[-1 - number % len(self.asked)]
        kind = "redemptions" if one["object"] == "redemption" else "moves"
        return one, f"{kind}/{one['id']}"

    # Holders.

    @rule(chain=chains, tiyn=amounts, moves=st.booleans(), sends=st.integers(0, 3))
    def asked_for(self, chain: int, tiyn: int, moves: bool, sends: int) -> None:
        self.ask(chain, tiyn, moves, sends)

    def ask(self, chain: int, tiyn: int, moves: bool, sends: int) -> None:
        """Three of four send what was asked for at once."""
        asking = self.world.move if moves else self.world.redeem
        self.asked.append(self.run(asking(self.names[chain], tiyn, expires_in_s=6 * 3_600)))
        if sends:
            self.world.send(self.asked[-1])

    @rule(chain=chains, tiyn=amounts)
    def redeem_and_burn(self, chain: int, tiyn: int) -> None:
        """Far enough for the bank to come into it."""
        self.ask(chain, tiyn, False, 1)
        self.run(self._confirm())
        self.run(self.world.carry_out())

    @rule(number=picks, beyond=st.integers(-1, 1))
    def send(self, number: int, beyond: int) -> None:
        found = self.pick(number)
        if found and found[0]["amount_units"] + beyond > 0:
            self.world.send(found[0], found[0]["amount_units"] + beyond)

    @rule(number=picks)
    def cancel(self, number: int) -> None:
        if found := self.pick(number):
            self.post(f"{found[1]}/cancel", {}, (409,))

    @rule(number=picks)
    def send_back(self, number: int) -> None:
        if found := self.pick(number):
            self.post(f"{found[1]}/send_back", {}, (409,))

    @rule(number=picks, other=st.booleans())
    def retry(self, number: int, other: bool) -> None:
        if found := self.pick(number):
            body = {"iban": OTHER_IBAN} if other and found[0]["object"] == "redemption" else {}
            self.post(f"{found[1]}/retry", body, (409,))

    @rule(number=picks)
    def give_back(self, number: int) -> None:
        found = self.pick(number)
        if found and found[0]["object"] == "bridge_move":
            self.post(f"{found[1]}/give_back", {"recipient": self.world.holder}, (409,))

    # Worker and chains.

    @rule()
    def work(self) -> None:
        self.run(intake_jobs.follow(self.database, self.world.chains))

    @rule()
    def confirm(self) -> None:
        self.run(self._confirm())

    async def _confirm(self) -> None:
        await self.world.runner.step()
        for chain in self.world.chains.values():
            chain.mine()
        await self.world.follow()

    @rule()
    def carry_out(self) -> None:
        self.run(self.world.carry_out())

    @rule(chain=chains)
    def lose(self, chain: int) -> None:
        self.run(self._lose(self.names[chain]))

    async def _lose(self, name: str) -> None:
        port = self.world.chains[name]
        port.losing = True
        for _ in range(9):
            await self.world.work()
            await self.world.runner.step()
            port.mine(30)
            await self.world.follow()
        port.losing = False

    @rule(chain=chains, back=st.booleans())
    def reorg(self, chain: int, back: bool) -> None:
        port = self.world.chains[self.names[chain]]
        if port.reversible:
            depth = port.reversible
            port.reorg(depth, what="return" if back else "drop")
            port.mine(depth + 1)
            self.run(self.world.follow())

    def _addresses(self) -> list[str]:
        port = self.world.deposits
        assert isinstance(port, DepositMemoryChain)
        return [port.deposit_address(one["id"]) for one in self.asked[-3:]]

    @rule()
    def stranger(self) -> None:
        """Anybody may collect what lies at deposit addresses."""
        treasury = self.world.deposits.treasury
        moves = [Move("sweep", address, treasury) for address in self._addresses()]
        if moves:
            self.world.deposits.send(*moves)
        self.run(self._confirm())

    @rule(frozen=st.booleans())
    def freeze(self, frozen: bool) -> None:
        for address in self._addresses():
            self.world.deposits.send(Move("freeze" if frozen else "thaw", destination=address))
        self.run(self._confirm())

    # Bank, time, people.

    @rule()
    def bank(self) -> None:
        self.run(simulator.step(self.database))

    @rule()
    def books(self) -> None:
        self.run(intake_jobs.read_bank(self.database))

    @rule(open_=st.booleans())
    def account(self, open_: bool) -> None:
        self.run(self._accounts(open_))

    async def _accounts(self, open_: bool) -> None:
        async with self.database.transaction() as db:
            if open_:
                await registry.accept_payments_to(db, IBAN)
            else:
                await registry.refuse_payments_to(db, IBAN)

    @rule(number=picks)
    def give_money_back(self, number: int) -> None:
        found = self.pick(number)
        if found and found[0]["object"] == "redemption":
            self.run(self._return(found[0]))

    async def _return(self, asked: Json) -> None:
        found = await self.world.read(asked)
        if found["status"] == "paid":
            async with self.database.transaction() as db:
                try:
                    await simulator.return_payment(db, found["end_to_end_id"])
                except NotFound:  # returned before, and the books have not heard of it
                    return

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.run(self._wait(hours))

    async def _wait(self, hours: int) -> None:
        async with self.database.transaction() as db:
            await db.execute(
                text("UPDATE clock SET frozen_at = frozen_at + make_interval(hours => :hours)"),
                {"hours": hours},
            )

    @rule(is_on=st.booleans())
    def minting(self, is_on: bool) -> None:
        self.run(self._minting(is_on))

    async def _minting(self, is_on: bool) -> None:
        async with self.database.transaction() as db:
            was_on, _ = await minting.state(db)
            if was_on and not is_on:
                await ledger.record(db, Changes(events=await minting.halt(db, "to be looked at")))
            elif is_on and not was_on:
                await ledger.record(db, Changes(events=[await minting.resume(db)]))

    # After every step.

    @invariant()
    def everything_is_explained(self) -> None:
        self.run(self.world.audit())

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.run(self._end())

    async def _end(self) -> None:
        """With everything allowed again, whatever is stuck can be brought to its end."""
        await self._minting(True)
        await self._accounts(True)
        for one in self.asked:
            address = self.world.deposits.deposit_address(one["id"])
            self.world.deposits.send(Move("thaw", destination=address))
        for _ in range(6):
            await self.world.finalize()
            await self.world.carry_out()
            for one in self.asked:
                found = await self.world.read(one)
                path = "redemptions" if one["object"] == "redemption" else "moves"
                if found["status"] in ("stuck", "rejected", "returned"):
                    await self.world.done(f"{path}/{one['id']}/retry", {})
                if found["status"] == "open":
                    await self.world.done(f"{path}/{one['id']}/cancel", {})
                if found["remainder_units"] and found["status"] != "open":
                    await self.world.done(f"{path}/{one['id']}/send_back", {}, 201)
            await self._wait(24 * 9)
            await self.world.bank()
        await self.world.audit()
        names = self.world.chains
        burned = 0
        for one in self.asked:
            found = await self.world.read(one)
            self.ends[f"{one['object']} {found['status']}"] += 1
            assert found["status"] in ("paid", "minted", "given_back", "expired", "canceled")
            assert found["remainder_units"] == 0
            burned += one["amount_units"] if found["status"] == "paid" else 0
        supply = sum(await self.world.supplies())
        assert supply == 2 * HOLDER_TIYN * self.per_tiyn - burned
        held = [(await chain.balance(self.world.holder)).units for chain in names.values()]
        assert sum(held) == supply
        await self.world.end()


def test_after_every_step_of_any_history_every_unit_and_tiyn_is_explained(db_url: str) -> None:
    with asyncio.Runner() as runner:
        Histories.database, Histories.loop = Database(db_url), runner.get_loop()
        try:
            run_state_machine_as_test(
                Histories,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=20,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(Histories.database.dispose())
    assert {"redemption paid", "bridge_move minted"} <= Histories.ends.keys(), Histories.ends
