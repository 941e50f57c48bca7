"""The watcher over a chain in memory and a real PostgreSQL."""

from datetime import UTC

import pytest
from sqlalchemy import text

from sandbox.chains import faults, service
from sandbox.chains.memory import MemoryChain
from sandbox.chains.port import Command, Heads
from sandbox.core import switches
from sandbox.core.db import Database
from tests.chains.conftest import Follower, Payer


async def inclusions(database: Database) -> list[tuple[int, int, str]]:
    async with database.transaction() as db:
        rows = await db.execute(text("SELECT n, height, state FROM chain_inclusion ORDER BY n"))
        return [(row.n, row.height, row.state) for row in rows]


async def cursor_heights(database: Database, chain: str) -> tuple[int, int]:
    async with database.transaction() as db:
        confirmed = await service.cursor(db, chain, "confirmed")
        final = await service.cursor(db, chain, "final")
        assert confirmed
        assert final
        return confirmed.height, final.height


async def test_a_block_that_fails_three_times_halts_the_chain_and_is_never_skipped(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    follower.listener.fail_at = {"block": 100}
    await follower.watcher.step()
    chain.mine(2)
    pay(100)
    chain.mine(2)
    for _ in range(10):
        await follower.watcher.step()
    assert [e.type for e in follower.listener.events] == ["chain.halted"]
    assert len(follower.listener.of("halted")) == 1
    assert follower.listener.of("block") == []
    async with follower.database.transaction() as db:
        assert "a mistake in block" in (await service.halts(db))[chain.name]
        event = await service.resume(db, chain.name)
        assert event.type == "chain.resumed"
    follower.listener.fail_at = {}
    await follower.follow()
    assert [units for _, _, units in follower.listener.transfers("block")] == [100]


async def test_a_failure_that_is_asked_for_halts_the_chain_at_its_third_time(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    async def armed(times: int) -> None:
        async with follower.database.transaction() as db:
            await switches.arm(db, faults.switch_of(chain.name), times)

    await follower.follow()
    await armed(2)
    pay(100)
    chain.mine(2)
    for _ in range(4):
        await follower.watcher.step()
    assert [units for _, _, units in follower.listener.transfers("block")] == [100]
    await armed(9)
    pay(200)
    chain.mine(2)
    for _ in range(4):
        await follower.watcher.step()
    assert [e.type for e in follower.listener.events] == ["chain.halted"]
    async with follower.database.transaction() as db:
        assert faults.BLOCK_FAILED in (await service.halts(db))[chain.name]
        assert (await switches.left(db, [faults.switch_of(chain.name)])).popitem()[1] == 6
        await service.resume(db, chain.name)
    await armed(0)
    await follower.follow()
    assert [units for _, _, units in follower.listener.transfers("block")] == [100, 200]


async def test_a_failure_that_is_asked_for_on_one_chain_is_not_anothers(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    await follower.follow()
    async with follower.database.transaction() as db:
        await switches.arm(db, faults.switch_of("another"), 9)
    pay(100)
    chain.mine()
    await follower.follow()
    assert [units for _, _, units in follower.listener.transfers("block")] == [100]


async def test_a_final_block_that_fails_halts_the_chain_though_new_blocks_still_arrive(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    follower.listener.fail_at = {"final": 100}
    await follower.follow()
    pay(100)
    chain.mine_final()
    for _ in range(5):
        chain.mine()
        await follower.watcher.step()
    async with follower.database.transaction() as db:
        assert list(await service.halts(db)) == [chain.name]


async def test_a_failure_that_passes_halts_nothing_and_loses_nothing(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    follower.listener.fail_at = {"block": 2, "final": 2}
    await follower.watcher.step()
    pay(100)
    chain.mine_final()
    for _ in range(8):
        await follower.watcher.step()
    assert follower.listener.events == []
    assert len(follower.listener.transfers("block")) == 1
    assert len(follower.listener.transfers("final")) == 1


async def test_a_node_that_does_not_answer_is_asked_again_without_count(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    await follower.watcher.step()
    pay(100)
    chain.mine()
    chain.down = True
    for _ in range(10):
        assert not await follower.watcher.step()
    chain.down = False
    await follower.follow()
    assert follower.listener.events == []
    assert len(follower.listener.transfers("block")) == 1


async def test_a_database_that_drops_its_connections_halts_nothing(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer, owner_url: str
) -> None:
    await follower.follow()
    tx = pay(100)
    chain.mine()
    owner = Database(owner_url)
    for _ in range(4):
        async with owner.transaction() as db:
            await db.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        await follower.watcher.step()
    await owner.dispose()
    await follower.follow()
    assert follower.listener.events == []
    assert follower.listener.transfers("block") == [(tx, 1, 100)]


async def test_a_final_block_that_leaves_the_chain_halts_it(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    pay(100)
    chain.mine_final()
    await follower.follow()
    chain.reorg(5)
    chain.mine(8)
    for _ in range(4):
        await follower.watcher.step()
    assert [e.type for e in follower.listener.events] == ["chain.halted"]
    assert "DeepReorg" in follower.listener.events[0].data["reason"]


async def test_only_the_leader_follows(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    pay(100)
    chain.mine()
    await follower.follow()
    other = Follower(follower.database, chain, owner="worker-2")
    chain.mine()
    assert not await other.watcher.step()


async def test_a_leader_that_lost_the_lead_writes_nothing(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    await follower.follow()
    async with follower.database.transaction() as db:
        await db.execute(text("UPDATE leader SET term = term + 1"))
    pay(100)
    chain.mine()
    assert not await follower.watcher.step()
    assert follower.listener.told == []


async def test_a_payment_is_told_at_confirmed_and_again_at_final(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    tx = pay(100)
    chain.mine()
    await follower.follow()
    assert follower.listener.transfers("block") == [(tx, 1, 100)]
    assert follower.listener.transfers("final") == []
    seen = follower.listener.of("block")[0].transfers[0]
    assert (seen.incoming_place, seen.outgoing_place, seen.intent) == ("treasury", "", None)
    assert seen.transfer.keys == ("memo:cs_1",)
    assert seen.id.startswith("ct_")
    chain.mine(4)
    await follower.follow()
    assert follower.listener.transfers("final") == [(tx, 1, 100)]
    assert follower.listener.of("final")[0].time.astimezone(UTC).tzinfo is UTC
    assert await inclusions(follower.database) == [(1, 1, "final")]


async def test_a_block_first_seen_when_final_is_told_twice(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    tx = pay(100)
    chain.mine(50)
    await follower.follow()
    assert follower.listener.transfers("block") == [(tx, 1, 100)]
    assert follower.listener.transfers("final") == [(tx, 1, 100)]


async def test_what_is_final_keeps_pace_with_however_much_is_confirmed_in_each_look(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    """A slow machine finds many new blocks in every look, and never one without new blocks."""
    await follower.follow()
    for _ in range(8):
        for _ in range(6):
            pay(100)
            chain.mine()
        assert await follower.watcher.step()
    told = follower.listener.transfers
    assert len(told("block")) == 48
    assert len(told("final")) >= 48 - 2 * 6


async def test_empty_blocks_cost_one_transaction_and_tell_nothing(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    chain.mine(60)
    assert not await follower.watcher.step(), "nothing more to do at once"
    assert not await follower.watcher.step()
    assert follower.listener.records == 0
    assert await cursor_heights(follower.database, chain.name) == (60, 56)
    async with follower.database.transaction() as db:
        assert await db.scalar(text("SELECT count(*) FROM chain_block")) == 4


async def test_a_reorg_takes_back_newest_first_and_a_returning_payment_is_included_again(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    await follower.follow()
    first, second = pay(100), ""
    chain.mine()
    second = pay(200)
    chain.mine()
    await follower.follow()
    chain.reorg(2, what="return")
    chain.mine(3)
    await follower.follow()
    assert follower.listener.transfers("reverted") == [(second, 1, 200), (first, 1, 100)]
    assert follower.listener.transfers("block")[2:] == [(first, 2, 100), (second, 2, 200)]
    event = follower.listener.events[0]
    assert event.type == "chain.reorged"
    assert event.data == {
        "chain": chain.name,
        "from_height": 2,
        "to_height": 0,
        "dropped": 2,
        "dropped_txs": [first, second],
    }
    chain.mine_final()
    await follower.follow()
    assert follower.listener.transfers("final") == [(first, 2, 100), (second, 2, 200)]
    states = [state for _, _, state in await inclusions(follower.database)]
    assert states == ["reverted", "reverted", "final", "final"]


async def test_a_dropped_payment_is_reverted_and_does_not_come_back(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    tx = pay(100)
    chain.mine()
    await follower.follow()
    chain.reorg(1, what="drop")
    chain.mine_final()
    await follower.follow()
    assert follower.listener.transfers("reverted") == [(tx, 1, 100)]
    assert follower.listener.transfers("final") == []


async def test_a_reorg_is_seen_before_the_new_chain_is_longer(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    tx = pay(100)
    chain.mine(3)
    await follower.follow()
    chain.reorg(3, what="drop")
    chain.mine(2)
    await follower.follow()
    if chain.heights_repeat:
        assert follower.listener.transfers("reverted") == [(tx, 1, 100)]
    chain.mine(2)
    await follower.follow()
    assert follower.listener.transfers("reverted") == [(tx, 1, 100)]


async def test_a_process_that_dies_in_a_block_leaves_it_to_the_next_whole(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    await follower.follow()
    tx = pay(100)
    chain.mine()
    follower.listener.fail_at = {"block": 1}
    assert not await follower.watcher.step()
    assert await inclusions(follower.database) == []
    after = await follower.restart()
    await after.follow()
    chain.mine_final()
    await after.follow()
    assert follower.listener.transfers("block") == [(tx, 1, 100)]
    assert follower.listener.transfers("final") == [(tx, 1, 100)]
    await after.leader.release()


async def test_a_restart_between_confirmed_and_final_goes_on_from_what_is_stored(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    tx = pay(100)
    chain.mine(2)
    await follower.follow()
    after = await follower.restart()
    chain.mine_final()
    await after.follow()
    assert follower.listener.transfers("block") == [(tx, 1, 100)]
    assert follower.listener.transfers("final") == [(tx, 1, 100)]
    await after.leader.release()


async def test_foreign_tokens_are_told_and_survive_the_wait_for_final(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    huge = 10**30
    tx = chain.send_foreign("other", "customer", chain.treasury, huge)
    chain.mine_final()
    await follower.follow()
    for what in ("block", "final"):
        [block] = follower.listener.of(what)
        assert [(f.tx, f.token, f.amount) for f in block.foreign] == [(tx, "other", huge)]


@pytest.mark.parametrize("units", [1, 10**15])
async def test_amounts_are_stored_exactly(
    follower: Follower[MemoryChain], chain: MemoryChain, units: int
) -> None:
    chain.endow("whale", units)
    chain.pay("whale", chain.treasury, units)
    chain.mine()
    await follower.follow()
    async with follower.database.transaction() as db:
        assert await db.scalar(text("SELECT amount_units FROM chain_transfer")) == units


async def test_busy_names_what_is_left(
    follower: Follower[MemoryChain], chain: MemoryChain, pay: Payer
) -> None:
    await follower.follow()
    pay(100)
    chain.mine(2)
    await follower.follow()
    async with follower.database.transaction() as db:
        command = Command("mint", "iss_1", "someone", 5)
        await service.request(db, [service.Intent("iss_1", "issuance", chain.name, command)])
        left = await service.busy(db, {chain.name: Heads(3, 1, 3)})
    assert left == [
        "intent iss_1: due",
        f"{chain.name}: confirmed cursor at 2, head at 3",
        f"{chain.name}: final cursor at 0, head at 1",
        "chain transfers not final: 1",
    ]


async def test_another_block_at_the_head_is_noticed_before_the_next_one_comes(
    database: Database,
) -> None:
    chain = MemoryChain(heights_repeat=True)
    follower = Follower(database, chain)
    chain.endow("customer", 10)
    await follower.follow()
    tx = chain.pay("customer", chain.treasury, 7)
    chain.mine()
    await follower.follow()
    chain.reorg(1, what="drop")
    chain.mine()
    await follower.follow()
    assert follower.listener.transfers("reverted") == [(tx, 1, 7)]
    await follower.leader.release()
