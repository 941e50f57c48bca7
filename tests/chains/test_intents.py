"""Intents: signed first, stored, then sent; resolved by what becomes final, never by guessing."""

import asyncio
from unittest.mock import patch

import pytest
from sqlalchemy import text

from sandbox.chains import service
from sandbox.chains.jobs import MAX_ATTEMPTS, IntentRunner
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.chains.port import Command, Signed
from sandbox.core.db import Database
from sandbox.core.errors import NotFound
from tests.chains.conftest import KINDS, Follower


async def ask(database: Database, chain: MemoryChain, *commands: Command) -> None:
    async with database.transaction() as db:
        intents = [service.Intent(c.reference, "issuance", chain.name, c) for c in commands]
        await service.request(db, intents)


async def state(database: Database, id_: str) -> service.IntentState:
    async with database.transaction() as db:
        return await service.intent(db, id_)


async def attempts(database: Database, id_: str) -> list[tuple[int, str, str, bytes]]:
    async with database.transaction() as db:
        rows = await db.execute(
            text("SELECT n, state, tx_id, raw FROM chain_attempt WHERE intent_id = :id ORDER BY n"),
            {"id": id_},
        )
        return [(row.n, row.state, row.tx_id, row.raw) for row in rows]


def mint(id_: str, units: int = 500, recipient: str | None = None) -> Command:
    return Command("mint", id_, recipient or new_address(), units)


async def test_an_unknown_intent_is_refused_by_name(database: Database) -> None:
    with pytest.raises(NotFound):
        await state(database, "iss_nobody")


async def test_an_intent_that_fails_on_chain_is_not_done_at_once_with_its_reason(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    await ask(follower.database, chain, Command("burn", "stl_1:burn", amount_units=5))
    await follower.runner.step()
    chain.mine_final()
    await follower.runner.step()
    await follower.follow()
    [failed] = follower.listener.of("not_done")
    assert (failed.id, failed.reason, failed.height) == ("stl_1:burn", "insufficient funds", 1)
    found = await state(follower.database, "stl_1:burn")
    assert (found.state, found.attempts, found.reason) == ("not_done", 1, "insufficient funds")
    assert not await follower.runner.step()


async def test_a_recipient_that_no_chain_can_pay_ends_the_intent_before_anything_is_signed(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await ask(follower.database, chain, mint("iss_1", recipient="nowhere"), mint("iss_2"))
    await follower.runner.step()
    [failed] = follower.listener.of("not_done")
    assert (failed.id, failed.tx, failed.reason) == ("iss_1", None, "invalid_address")
    assert (await state(follower.database, "iss_2")).state == "signed"


async def test_a_transfer_to_ourselves_ends_the_intent_before_anything_is_signed(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await ask(follower.database, chain, Command("transfer", "re_1", chain.treasury, 5))
    await follower.runner.step()
    [failed] = follower.listener.of("not_done")
    assert (failed.id, failed.tx, failed.reason) == ("re_1", None, "invalid_address")


async def test_an_intent_that_five_times_did_not_arrive_is_not_done(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    chain.losing = True
    await ask(follower.database, chain, mint("iss_1"))
    for _ in range(MAX_ATTEMPTS + 2):
        await follower.runner.step()
        chain.mine(30)
        await follower.follow()
        await follower.runner.step()
    [failed] = follower.listener.of("not_done")
    assert (failed.id, failed.reason) == ("iss_1", "expired")
    made = await attempts(follower.database, "iss_1")
    assert [(n, state) for n, state, _, _ in made] == [(n, "not_done") for n in range(1, 6)]
    assert len({tx for _, _, tx, _ in made}) == MAX_ATTEMPTS


async def test_a_request_for_an_id_that_was_used_is_an_error_of_the_caller(
    database: Database, chain: MemoryChain
) -> None:
    await ask(database, chain, mint("iss_1"))
    with pytest.raises(Exception, match="pk_chain_intent"):
        await ask(database, chain, mint("iss_1"))


async def test_intents_are_signed_stored_sent_and_done_at_final(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    holder = new_address()
    commands = [mint(f"iss_{n}", recipient=holder) for n in range(10)]
    await ask(follower.database, chain, *commands)
    assert await follower.runner.step()
    chain.mine()
    await follower.follow()
    assert [s.intent for s in follower.listener.of("block")[0].transfers] == [
        command.reference for command in commands
    ]
    assert follower.listener.of("done") == []
    chain.mine(4)
    await follower.follow()
    done = follower.listener.of("done")
    assert {d.id for d in done} == {c.reference for c in commands}
    assert {d.height for d in done} == {1}
    assert (await chain.balance(holder)).units == 5000
    found = await state(follower.database, "iss_3")
    assert (found.state, found.tx) == ("done", next(d.tx for d in done if d.id == "iss_3"))
    assert follower.listener.told.index(("done", done[0])) < next(
        n for n, (what, _) in enumerate(follower.listener.told) if what == "final"
    )


async def test_a_runner_killed_between_commit_and_broadcast_sends_the_same_bytes_after_restart(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await ask(follower.database, chain, mint("iss_1"))

    async def killed(signed: Signed) -> None:
        raise asyncio.CancelledError

    with patch.object(chain, "broadcast", killed), pytest.raises(asyncio.CancelledError):
        await follower.runner.step()
    [(n, at, tx, raw)] = await attempts(follower.database, "iss_1")
    assert (n, at) == (1, "signed")
    assert not chain.broadcasts
    async with follower.database.transaction() as db:
        await db.execute(text("UPDATE chain_intent SET lease_until = clock_timestamp()"))
    after = await follower.restart()
    await after.runner.step()
    assert list(chain.broadcasts) == [tx]
    chain.mine_final()
    await after.follow()
    assert [d.tx for d in follower.listener.of("done")] == [tx]
    assert [(a[2], a[3]) for a in await attempts(follower.database, "iss_1")] == [(tx, raw)]
    await after.leader.release()


async def test_a_new_transaction_is_signed_only_when_the_old_one_is_past_at_final(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    chain.losing = True
    await ask(follower.database, chain, mint("iss_1"))
    await follower.runner.step()
    chain.mine(24)  # head 24, final 20: the height it is valid until
    await follower.follow()
    await follower.runner.step()
    assert len(await attempts(follower.database, "iss_1")) == 1
    chain.losing = False
    chain.mine()
    await follower.runner.step()  # past at final, but the watcher has not read that far
    assert len(await attempts(follower.database, "iss_1")) == 1
    await follower.follow()
    await follower.runner.step()
    await follower.runner.step()
    assert [a[:2] for a in await attempts(follower.database, "iss_1")] == [
        (1, "not_done"),
        (2, "signed"),
    ]
    chain.mine_final()
    await follower.follow()
    assert [d.id for d in follower.listener.of("done")] == ["iss_1"]
    assert (await chain.supply()).units == 500


async def test_a_transaction_that_a_reorg_lost_is_sent_again_and_happens_once(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    await ask(follower.database, chain, mint("iss_1"))
    await follower.runner.step()
    chain.mine(2)
    await follower.follow()
    chain.reorg(2, what="drop")
    await follower.runner.step()
    chain.mine(3)
    await follower.follow()
    chain.mine_final()
    await follower.follow()
    assert len(follower.listener.of("reverted")) == 1
    assert len(follower.listener.of("done")) == 1
    assert (await chain.supply()).units == 500
    assert len(await attempts(follower.database, "iss_1")) == 1


async def test_what_is_not_a_token_movement_is_resolved_too(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    holder = new_address()
    await ask(follower.database, chain, Command("freeze", "case_1", holder))
    await follower.runner.step()
    chain.mine_final()
    await follower.follow()
    assert [d.id for d in follower.listener.of("done")] == ["case_1"]
    assert await chain.is_frozen(holder)


async def test_two_runners_never_sign_the_same_intent(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    other = IntentRunner(
        follower.database,
        {chain.name: chain},
        dict.fromkeys(KINDS, follower.listener),
        follower.listener.record,
        "worker-2",
    )
    await ask(follower.database, chain, *[mint(f"iss_{n:02}") for n in range(40)])
    await asyncio.gather(follower.runner.step(), other.step(), follower.runner.step())
    async with follower.database.transaction() as db:
        assert await db.scalar(text("SELECT count(*) FROM chain_attempt")) == 40
        assert await db.scalar(text("SELECT max(n) FROM chain_attempt")) == 1


async def test_a_chain_that_is_down_makes_intents_wait(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await ask(follower.database, chain, mint("iss_1"))
    chain.down = True
    await follower.runner.step()
    assert (await state(follower.database, "iss_1")).state == "due"
    chain.down = False
    await follower.runner.step()
    assert (await state(follower.database, "iss_1")).state == "signed"


async def test_a_halted_chain_gets_no_new_transactions(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await ask(follower.database, chain, mint("iss_1"))
    async with follower.database.transaction() as db:
        await db.execute(
            text("INSERT INTO chain_halt VALUES (:c, 'a test', 0, sandbox_now())"),
            {"c": chain.name},
        )
    assert not await follower.runner.step()
    assert not chain.broadcasts
