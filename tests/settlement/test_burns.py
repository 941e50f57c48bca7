"""Burns that fail, burns that come late, and batches that burn on two chains."""

from sandbox.chains.memory import MemoryChain
from sandbox.settlement import burns, jobs
from tests.reserve.world import World
from tests.settlement.conftest import Town


async def test_a_burn_that_failed_is_asked_for_again_and_burned_once(town: Town) -> None:
    await town.pay(6000)
    made = await town.settle()
    await town.lose_everything_until("settlement.burn_failed")
    pending = await town.settlement(made["id"])
    (burn,) = pending["burns"]
    assert (pending["status"], burn["status"], burn["attempt"]) == ("pending", "pending", 2)
    assert burn["reason"]
    await town.audit()
    await town.world.carry_out()
    done = await town.settlement(made["id"])
    assert (done["status"], done["burns"][0]["status"]) == ("settled", "burned")
    assert (await town.chain.supply()).units == 94_000
    await town.audit()


async def test_a_burn_that_keeps_failing_stands_still_where_it_can_be_seen(town: Town) -> None:
    await town.pay(6000)
    made = await town.settle()
    await town.lose_everything_until("settlement.burn_failed", burns.MAX_ATTEMPTS)
    stuck = await town.settlement(made["id"])
    assert (stuck["status"], stuck["burns"][0]["status"]) == ("pending", "stuck")
    await town.world.carry_out()
    assert (await town.chain.supply()).units == 100_000
    figures = await town.figures()
    assert (figures["custody"], figures["2040"]) == (76_000, 0)
    assert await town.world.count("bank_message WHERE direction = 'out'") == 0
    await town.audit()


async def stuck(town: Town) -> str:
    """A batch whose burn failed as often as it may: the token was paused, the treasury frozen."""
    await town.pay(6000)
    made = await town.settle()
    await town.lose_everything_until("settlement.burn_failed", burns.MAX_ATTEMPTS)
    return str(made["id"])


async def is_burned_once(town: Town, settlement_id: str, attempt: int) -> None:
    await town.world.carry_out()
    done = await town.settlement(settlement_id)
    (burn,) = done["burns"]
    assert (done["status"], burn["status"], burn["attempt"]) == ("settled", "burned", attempt)
    assert (await town.chain.supply()).units == 94_000
    assert await town.world.count("bank_message WHERE direction = 'out'") == 2
    await town.audit()


async def test_settling_again_asks_again_for_a_burn_that_stands_still(town: Town) -> None:
    batch = await stuck(town)
    assert (await town.settle())["id"] == batch
    await is_burned_once(town, batch, burns.MAX_ATTEMPTS + 1)


async def test_the_next_cut_off_asks_again_for_a_burn_that_stands_still(town: Town) -> None:
    await town.set_clock("2026-11-19T17:00:00")
    await jobs.cut_off(town.database, town.world.chains)
    batch = await stuck(town)
    assert await jobs.cut_off(town.database, town.world.chains) == 0
    await town.set_clock("2026-11-19T18:00:01")
    assert await jobs.cut_off(town.database, town.world.chains) == 1
    assert await jobs.cut_off(town.database, town.world.chains) == 0
    await is_burned_once(town, batch, burns.MAX_ATTEMPTS + 1)


async def test_a_new_batch_takes_an_older_burn_along(town: Town) -> None:
    batch = await stuck(town)
    await town.pay(1000)
    newer = await town.settle()
    assert newer["id"] != batch
    await town.world.carry_out()
    for id_ in (batch, newer["id"]):
        assert (await town.settlement(id_))["status"] == "settled"
    assert (await town.chain.supply()).units == 93_000
    await town.audit()


async def test_a_burn_that_fails_again_stands_still_again(town: Town) -> None:
    batch = await stuck(town)
    await town.settle()
    await town.lose_everything_until("settlement.burn_failed", burns.MAX_ATTEMPTS)
    (burn,) = (await town.settlement(batch))["burns"]
    assert (burn["status"], burn["attempt"]) == ("stuck", 2 * burns.MAX_ATTEMPTS)
    await town.settle()
    await is_burned_once(town, batch, 2 * burns.MAX_ATTEMPTS + 1)


async def test_a_batch_on_two_chains_is_settled_with_the_last_burn(town: Town) -> None:
    other = World(
        town.database,
        MemoryChain("other", decimals=6),
        town.world.block_handlers,
        town.world.intent_handlers,
        [],
    )
    town.world.chains[other.chain.name] = other.chain
    try:
        await town.issue(other, 5000, town.customer)
        first = await town.pay(6000)
        second = await town.pay_on(other, 4000)
        made = await town.settle()
        assert {line["payment"] for line in made["lines"]} == {first, second}
        assert [(b["chain"], b["units"]) for b in made["burns"]] == [
            ("memory", 6000),
            ("other", 4000 * 10**4),
        ]
        await town.world.carry_out()
        await other.follow()
        half = await town.settlement(made["id"])
        assert [b["status"] for b in half["burns"]] == ["burned", "pending"]
        assert half["status"] == "pending"
        assert await town.world.count("bank_message WHERE direction = 'out'") == 0
        await town.audit()
        await other.runner.step()
        other.chain.mine_final()
        await other.follow()
        done = await town.settlement(made["id"])
        assert (done["status"], done["check"]["paid_tiyn"]) == ("settled", 9900)
        # Contained in 60 and in 40, each rounded half up: 8.28 and 5.52.
        assert [b["vat_tiyn"] for b in done["burns"]] == [8, 6]
        assert (await town.figures())["2070"] == 14
        await town.audit()
    finally:
        await other.end()
