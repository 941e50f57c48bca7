"""Burns that fail, burns that come late, and batches that burn on two chains."""

from sandbox.chains.memory import MemoryChain
from sandbox.settlement import burns
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
