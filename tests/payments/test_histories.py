"""Random histories of customers, reorgs and merchants; nothing is ever lost or counted twice."""

import random

import pytest

from sandbox.chains.memory import MemoryChain, Move
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.payments.jobs import expire
from tests.payments.world import Json, World

STEPS = 45


@pytest.fixture(
    params=[(MemoryChain, 2), (MemoryChain, 6), (DepositMemoryChain, 2), (DepositMemoryChain, 6)],
    ids=["2 decimals", "6 decimals", "deposits, 2 decimals", "deposits, 6 decimals"],
)
def chain(request: pytest.FixtureRequest) -> MemoryChain:
    kind, decimals = request.param
    made: MemoryChain = kind(decimals=decimals)
    return made


class History:
    """One random history; what it does next depends on its seed only."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.sessions: list[Json] = []

    async def step(self) -> None:
        moves = [
            self.new, self.pay, self.pay, self.pay, self.pay_twice, self.unknown, self.reorg,
            self.finalize, self.wait, self.cancel, self.refund, self.resolve, self.lose,
            self.stranger,
        ]  # fmt: skip
        await self.chance.choice(moves)()

    async def new(self) -> None:
        role = self.chance.choice(["shop", "careful"])
        seconds = self.chance.choice([3, 20, 900])
        session = await self.world.session(self.chance.choice([1, 7, 100]), role=role,
                                           expires_in_s=seconds)  # fmt: skip
        self.sessions.append(session)

    def send(self) -> None:
        if self.sessions:
            session = self.chance.choice(self.sessions[-4:])
            amount = session["options"][0]["amount_units"]
            units = self.chance.choice([1, amount // 2, amount, amount, amount + 3])
            if units:
                self.world.send(session, 0, units=units)

    async def pay(self) -> None:
        self.send()
        self.world.chain.mine()
        await self.world.follow()

    async def pay_twice(self) -> None:
        self.send()
        await self.pay()

    async def unknown(self) -> None:
        await self.world.pay(None, self.chance.choice([1, 50]))

    async def reorg(self) -> None:
        depth = self.chance.randint(1, 3)
        self.world.chain.reorg(depth, what=self.chance.choice(["return", "return", "drop"]))
        self.world.chain.mine(depth + 1)
        await self.world.follow()

    async def finalize(self) -> None:
        await self.world.finalize()

    async def wait(self) -> None:
        await self.world.wait(self.chance.choice([1, 10]))
        await expire(self.world.database)

    async def cancel(self) -> None:
        if self.sessions:
            session = self.chance.choice(self.sessions)
            role = session["merchant"].removeprefix("mch_")
            path = f"/v1/checkout/sessions/{session['id']}/cancel"
            assert (await self.world.post(path, role=role)).status_code in (200, 409)

    async def refund(self) -> None:
        for role in ("shop", "careful"):
            payments = (await self.world.get("/v1/payments", role)).json()["data"]
            if payments:
                body = {
                    "payment": self.chance.choice(payments)["id"],
                    "amount_tiyn": self.chance.choice([1, 5]),
                }
                asked = await self.world.post("/v1/refunds", body, role)
                assert asked.status_code in (201, 409), asked.text
        await self.world.carry_out()

    async def resolve(self) -> None:
        for stray in (
            self.chance.sample(await self.world.strays(), k=2)
            if (len(await self.world.strays()) > 1)
            else []
        ):
            answer = await self.world.post(
                f"/v1/stray_transfers/{stray['id']}/resolve",
                {"action": self.chance.choice(["refund", "accept"])},
                "operator",
            )
            assert answer.status_code in (200, 409), answer.text
        if self.chance.random() < 0.5:
            await self.world.carry_out()

    async def stranger(self) -> None:
        """Anyone may sweep a deposit address, with money on its way to it in the same block."""
        if not self.world.chain.sweep_batch:
            return
        for session in self.chance.sample(self.sessions, k=min(2, len(self.sessions))):
            self.send()
            sweep = Move("sweep", self.world.place_of(session), self.world.chain.treasury)
            self.world.chain.send(sweep)
        await self.pay()

    async def lose(self) -> None:
        """What the sandbox sends now is lost, until it is tried again."""
        self.world.chain.losing = True
        await self.world.runner.step()
        self.world.chain.losing = False


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 8))]
)
async def test_no_history_loses_a_unit(world: World, seed: int) -> None:
    history = History(world, seed)
    await world.finalize()
    for _ in range(STEPS):
        await history.step()
        await world.agrees()
    await world.carry_out()
    await world.finalize()
    await world.agrees()
    for session in history.sessions:
        read = await world.read(session)
        amounts = [p["counted_units"] + p["excess_units"] for p in read["payments"]]
        included = [p["amount_units"] for p in read["payments"] if p["chain_state"] != "reverted"]
        assert read["received_units"] == sum(included)
        assert sum(amounts) == sum(included)
        assert (read["status"] == "complete") == (read["payment"] is not None)
        if read["status"] == "complete":
            assert {p["settlement_state"] for p in read["payments"] if p["counted_units"]} == {
                "unsettled"
            }
