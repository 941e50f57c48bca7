"""Random histories against a plain model of the books, and the checks after each of them."""

import asyncio
from collections import Counter, defaultdict
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

from sandbox.core.db import Database
from sandbox.ledger import accounts, service
from sandbox.ledger.chart import rule_of
from sandbox.ledger.errors import AlreadyResolved, DuplicateReference, InsufficientFunds
from sandbox.ledger.journal import Account, Leg, NewEntry, credit, debit
from tests.ledger.books import Ends, changes, entry, red

# Chains are numbered over all examples, so each has books of its own in one database.
_numbers = count(1)

amounts = st.integers(1, 50)
pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), amounts), min_size=1, max_size=3)


class Histories(RuleBasedStateMachine):
    database: Database
    loop: asyncio.AbstractEventLoop
    judged: ClassVar[Counter[str]] = Counter()

    @initialize()
    def empty(self) -> None:
        self.number = next(_numbers)
        chain = self.chain = f"c{self.number}"
        self.pools = {
            "token": [
                accounts.supply(chain),
                accounts.treasury(chain),
                accounts.external(chain),
                accounts.escrow(chain),
                accounts.unswept(chain),
            ],
            "claims": [
                accounts.custody(chain),
                accounts.float_(chain),
                accounts.suspense(chain, "cs_1"),
                accounts.merchant(chain, "mch_1"),
                accounts.settling(chain, "stl_1"),
            ],
            "issuer": [
                accounts.reserve_bank(f"b{self.number}"),
                accounts.outstanding(chain),
                accounts.unminted(f"dep_{self.number}"),
                accounts.payout(f"mch_{self.number}"),
                accounts.redemption(f"h_{self.number}"),
            ],
        }
        self.posted: dict[Account, int] = defaultdict(int)  # debits less credits
        self.waiting: dict[str, tuple[Leg, ...]] = {}
        self.ended: list[str] = []
        self.refs = count(1)
        self._fund()

    def _fund(self) -> None:
        """60 on every account but the first of its pool, so that there is something to move."""
        legs: list[Leg] = []
        for pool in self.pools.values():
            increase, contra = (
                (credit, debit) if pool is not self.pools["token"] else (debit, credit)
            )
            legs += [increase(account, 60) for account in pool[1:]]
            legs.append(contra(pool[0], 60 * len(pool[1:])))
        made = entry(f"{self.chain}:0", *legs, kind="pending", chain=self.chain)
        self._run(made, Ends(made.ref))
        self._post(self.posted, made.legs)
        self.ended.append(made.ref)

    def _run(self, *steps: NewEntry | Ends) -> None:
        async def record() -> None:
            async with self.database.transaction() as db:
                await service.record(db, changes(*steps))

        self.loop.run_until_complete(record())

    def _available(
        self, account: Account, posted: dict[Account, int], waiting: dict[str, tuple[Leg, ...]]
    ) -> int:
        sign = 1 if rule_of(account).normal == "D" else -1
        lowering = "C" if sign == 1 else "D"
        against = sum(
            leg.amount
            for legs in waiting.values()
            for leg in legs
            if leg.account == account and leg.side == lowering
        )
        return sign * posted[account] - against

    def _entry(self, shape: dict[str, Any]) -> NewEntry:
        # The token book moves by chain only, so what counts at once leaves it alone.
        books = [book for book in shape["books"] if shape["kind"] == "pending" or book != "token"]
        legs = tuple(
            leg
            for book in books or ["issuer"]
            for to, by, amount in shape["moves"]
            for leg in (
                debit(self.pools[book][to], amount),
                credit(self.pools[book][by], amount),
            )
        )
        return entry(f"{self.chain}:{next(self.refs)}", *legs, kind=shape["kind"], chain=self.chain)

    @rule(
        shapes=st.lists(
            st.fixed_dictionaries(
                {
                    "kind": st.sampled_from(["pending", "posted"]),
                    "books": st.sets(
                        st.sampled_from(["token", "claims", "issuer"]), min_size=1
                    ).map(sorted),
                    "moves": pairs,
                }
            ),
            max_size=3,
        ),
        ends=st.lists(
            st.tuples(st.integers(0, 30), st.sampled_from(["posted", "voided"])), max_size=3
        ),
    )
    def step(self, shapes: list[dict[str, Any]], ends: list[tuple[int, Any]]) -> None:
        entries = [self._entry(shape) for shape in shapes]
        posted, waiting = self.posted.copy(), dict(self.waiting)
        for made in entries:
            if made.kind == "pending":
                waiting[made.ref] = made.legs
            else:
                self._post(posted, made.legs)
        resolved: dict[str, Ends] = {}
        for index, outcome in ends:
            if waiting:
                ref = list(waiting)[index % len(waiting)]
                resolved[ref] = Ends(ref, outcome)
                legs = waiting.pop(ref)
                if outcome == "posted":
                    self._post(posted, legs)
        touched = {leg.account for made in entries for leg in made.legs}
        sound = all(
            rule_of(account).floor is None or self._available(account, posted, waiting) >= 0
            for account in touched
        )
        try:
            self._run(*entries, *resolved.values())
            accepted = True
        except InsufficientFunds:
            accepted = False
        assert accepted == sound, "the model and the books disagree about a floor"
        self.judged["accepted" if accepted else "refused"] += bool(touched)
        if accepted:
            self.posted, self.waiting = posted, waiting
            self.ended += resolved

    @staticmethod
    def _post(posted: dict[Account, int], legs: tuple[Leg, ...]) -> None:
        for leg in legs:
            posted[leg.account] += leg.amount if leg.side == "D" else -leg.amount

    @rule(index=st.integers(0, 100))
    def end_twice(self, index: int) -> None:
        if self.ended:
            try:
                self._run(Ends(self.ended[index % len(self.ended)]))
            except AlreadyResolved:
                return
            raise AssertionError("an entry ended twice")

    @rule(index=st.integers(0, 100))
    def write_twice(self, index: int) -> None:
        if self.ended:
            leg = debit(self.pools["issuer"][1], 1), credit(self.pools["issuer"][1], 1)
            try:
                self._run(entry(self.ended[index % len(self.ended)], *leg))
            except DuplicateReference:
                return
            raise AssertionError("a reference was used twice")

    @invariant()
    def balances_are_the_models(self) -> None:
        async def read() -> dict[Account, service.Balance]:
            pools = [account for pool in self.pools.values() for account in pool]
            async with self.database.transaction() as db:
                return await service.balances(db, pools)

        for account, found in self.loop.run_until_complete(read()).items():
            sign = 1 if rule_of(account).normal == "D" else -1
            assert found.posted == sign * self.posted[account], account
            assert found.available == self._available(account, self.posted, self.waiting), account

    def teardown(self) -> None:
        assert self.loop.run_until_complete(red(self.database)) == {}


def test_random_histories_agree_with_a_plain_model(db_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(db_url)

        class OverOneDatabase(Histories):
            pass

        OverOneDatabase.database, OverOneDatabase.loop = database, runner.get_loop()
        try:
            run_state_machine_as_test(
                OverOneDatabase,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=15,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(database.dispose())
    # Histories in which everything is refused, or nothing, would prove little.
    assert Histories.judged["accepted"] > 0
    assert Histories.judged["refused"] > 0
