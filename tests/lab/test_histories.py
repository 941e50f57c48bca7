"""Random histories of reserve and faucet on a chain with accidents; every invariant holds after."""

import random
from collections.abc import Awaitable, Callable

import pytest

from sandbox.chains.memory import new_address
from sandbox.core.db import Database
from sandbox.core.money import units_per_tiyn
from sandbox.lab import jobs
from sandbox.ledger.chart import accounts
from sandbox.reserve import checks
from tests.lab.conftest import make_world
from tests.ledger.books import CHECKS
from tests.reserve.world import World

STEPS = 150
ALLOWED = {"deposit_exhausted", "float_refilling", "bank_reference_conflict", "invalid_request"}


class History:
    """What may happen, in any order."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        self.deposits: list[str] = []
        self.holders = [new_address() for _ in range(3)]

    async def step(self) -> None:
        happenings: list[Callable[[], Awaitable[None]]] = [
            self.deposit, self.issue, self.issue, self.issue, self.grant, self.grant,
            self.refill, self.refill, self.send, self.send, self.send,
            self.mine, self.mine, self.burn, self.reorg, self.lose,
        ]  # fmt: skip
        await self.random.choice(happenings)()

    async def deposit(self) -> None:
        # Few references, so that some come twice, with the same content or another.
        number = self.random.randrange(6)
        amount = self.random.choice([10_000 * (number + 1), 777])
        body = {"amount_tiyn": amount, "bank_reference": f"R{number}"}
        made = await self._post("/v1/reserve/deposits", body)
        if made is not None and made not in self.deposits:
            self.deposits.append(made)

    async def issue(self) -> None:
        if self.deposits:
            body = {
                "deposit": self.random.choice(self.deposits),
                "chain": "memory",
                "amount_tiyn": self.random.randint(0, 2500),
                "recipient": self.random.choice([*self.holders, self.world.chain.treasury]),
            }
            await self._post("/v1/reserve/issuances", body)

    async def grant(self) -> None:
        body = {
            "chain": "memory",
            "address": self.random.choice(self.holders),
            "amount_tiyn": self.random.choice([1, 5_000, 4 * 10**9]),
        }
        await self._post("/v1/sandbox/faucet", body)

    async def refill(self) -> None:
        await jobs.refill_float(self.world.database, self.world.chains)

    async def send(self) -> None:
        await self.world.runner.step()

    async def mine(self) -> None:
        self.world.chain.mine(self.random.randint(1, 6))
        await self.world.follow()

    async def burn(self) -> None:
        holder = self.random.choice(self.holders)
        held = (await self.world.chain.balance(holder)).units
        if held:
            self.world.chain.burn_own(holder, self.random.randint(1, held))

    async def reorg(self) -> None:
        heads = await self.world.chain.heads()
        if heads.confirmed - heads.final > 1:
            self.world.chain.reorg(1, what=self.random.choice(["drop", "return"]))
            self.world.chain.mine(2)
            await self.world.follow()

    async def lose(self) -> None:
        self.world.chain.losing = self.random.random() < 0.3

    async def settle(self) -> None:
        self.world.chain.losing = False
        for _ in range(12):
            await self.world.runner.step()
            self.world.chain.mine(25)
            await self.world.follow()

    async def _post(self, path: str, body: dict[str, object]) -> str | None:
        answer = (await self.world.post(path, body)).json()
        if "code" in answer:
            assert answer["code"] in ALLOWED, answer
            return None
        return str(answer["id"])


@pytest.mark.parametrize(("seed", "decimals"), [(1, 2), (2, 6), (3, 2), (4, 6)])
async def test_every_invariant_holds_after_any_history(
    database: Database, seed: int, decimals: int
) -> None:
    world = await make_world(database, decimals)
    history = History(world, seed)
    for _ in range(STEPS):
        await history.step()
    await history.settle()

    assert await world.count("chain_halt") == 0
    assert await world.count("issuance WHERE status = 'pending'") == 0
    assert await world.count("faucet_grant WHERE status = 'pending'") == 0
    found = await checks.supply_matches(database, world.chains, wait_s=0)
    async with database.transaction() as db:
        for check in (checks.reserve_covers, *CHECKS):
            found += await check(db)
    async with database.transaction() as db:
        found += await checks.statements_match(db)
    assert [check for check in found if not check.ok] == []
    # The peg between the books; burnt fractions of a tiyn stay owed.
    owed = await world.posted(accounts.outstanding("memory")) * units_per_tiyn(decimals)
    supply = await world.posted(accounts.supply("memory"))
    burns = await world.count("holder_burn")
    assert 0 <= owed - supply <= burns * (units_per_tiyn(decimals) - 1)
    # Places = claims, and both are on the chain.
    held = (await world.chain.balance(world.chain.treasury)).units
    assert await world.posted(accounts.treasury("memory")) == held
    assert await world.posted(accounts.custody("memory")) == held
    assert await world.posted(accounts.float_("memory")) == held
    # Nothing was minted beyond its deposit.
    over = "issuance i WHERE i.status = 'issued' AND (SELECT sum(amount_tiyn) FROM issuance"
    over += " WHERE deposit_id = i.deposit_id AND status = 'issued') >"
    over += " (SELECT amount_tiyn FROM deposit WHERE id = i.deposit_id)"
    assert await world.count(over) == 0
    assert await world.count("issuance") > 0
    await world.end()
