"""A role's key changes between commands, never under them; seizures that the books can follow."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import text

from sandbox.chains import checks
from sandbox.chains.errors import KeyNotHeld
from sandbox.chains.jobs import IntentRunner
from sandbox.chains.memory import MemoryChain, new_address
from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.chains.port import Command, Signed
from sandbox.core.db import Database
from tests.chains.conftest import KINDS, Follower
from tests.chains.test_intents import ask, mint, state

RUNS = 6


def rotate(id_: str, role: str = "minter") -> Command:
    return Command("rotate", id_, role=role)


def seize(id_: str, holder: str, recipient: str, units: int = 5) -> Command:
    return Command("seize", id_, recipient, units, holder=holder)


async def states(database: Database, *ids: str) -> list[str]:
    return [(await state(database, id_)).state for id_ in ids]


async def turn(follower: Follower[MemoryChain], chain: MemoryChain) -> None:
    """Everything that can happen now, happens, to the end."""
    await follower.runner.step()
    chain.mine_final()
    await follower.follow()
    await follower.runner.step()


# Rotating.


async def test_a_rotation_waits_for_what_was_sent_and_the_rest_waits_for_it(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    await ask(follower.database, chain, mint("iss_1"))
    await follower.runner.step()
    await ask(follower.database, chain, rotate("rot_1"), mint("iss_2"), mint("iss_3"))
    ids = ("iss_1", "rot_1", "iss_2", "iss_3")
    for _ in range(3):
        await follower.runner.step()
        assert await states(follower.database, *ids) == ["signed", "due", "due", "due"]
    chain.mine_final()
    await follower.follow()
    await follower.runner.step()
    assert await states(follower.database, *ids) == ["done", "signed", "due", "due"]
    chain.mine()
    await follower.follow()
    await follower.runner.step()
    assert await states(follower.database, *ids) == ["done", "signed", "due", "due"]
    await turn(follower, chain)
    await turn(follower, chain)
    assert await states(follower.database, *ids) == ["done"] * 4
    assert follower.listener.of("not_done") == []
    assert (await chain.supply()).units == 1500


async def test_two_rotations_happen_one_after_the_other(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    await ask(follower.database, chain, rotate("rot_1"), rotate("rot_2"), rotate("rot_3", "pauser"))
    for n in range(1, 4):
        await follower.runner.step()
        signed = await states(follower.database, "rot_1", "rot_2", "rot_3")
        assert signed.count("signed") == 1, n
        chain.mine_final()
        await follower.follow()
    told = await chain.token_truth()
    assert (told.authorities["minter"], told.authorities["pauser"]) == ("minter-3", "pauser-2")


async def test_a_rotation_that_cannot_be_signed_ends_and_holds_up_nobody(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    prepare = chain.prepare

    async def without_key(command: Command, taken: Any = ()) -> Signed:
        if command.action == "rotate":
            raise KeyNotHeld(chain.name, command.role, "somebody's")
        return await prepare(command, taken)

    await ask(follower.database, chain, rotate("rot_1"), rotate("rot_2", "king"), mint("iss_1"))
    with patch.object(chain, "prepare", without_key):
        await turn(follower, chain)
        await turn(follower, chain)
    await turn(follower, chain)
    failed = {one.id: one.reason for one in follower.listener.of("not_done")}
    assert failed == {"rot_1": "chain_keys_missing", "rot_2": "chain_keys_missing"}
    assert await states(follower.database, "iss_1") == ["done"]
    await ask(follower.database, chain, rotate("rot_3", "king"), mint("iss_2"))
    await turn(follower, chain)
    await turn(follower, chain)
    assert follower.listener.of("not_done")[-1].reason == "role_not_rotatable"
    assert await states(follower.database, "iss_2") == ["done"]


async def test_a_key_that_is_not_here_stops_only_what_needs_it(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    prepare, missing = chain.prepare, [True]

    async def without_key(command: Command, taken: Any = ()) -> Signed:
        if command.action == "mint" and missing:
            raise KeyNotHeld(chain.name, "minter", "somebody's")
        return await prepare(command, taken)

    holder = new_address()
    await ask(follower.database, chain, mint("iss_1"), Command("freeze", "z_1", holder))
    with patch.object(chain, "prepare", without_key):
        await turn(follower, chain)
        assert await states(follower.database, "iss_1", "z_1") == ["due", "done"]
        missing.clear()
        # It is looked at again by itself, after a while.
        async with follower.database.transaction() as db:
            await db.execute(text("UPDATE chain_intent SET lease_until = NULL"))
        await turn(follower, chain)
    assert await states(follower.database, "iss_1") == ["done"]


async def test_a_rotation_that_is_lost_is_sent_again_and_happens_once(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    chain.losing = True
    await ask(follower.database, chain, rotate("rot_1"), mint("iss_1"))
    await follower.runner.step()
    chain.mine(30)
    await follower.follow()
    chain.losing = False
    for _ in range(4):
        await turn(follower, chain)
    assert await states(follower.database, "rot_1", "iss_1") == ["done", "done"]
    assert (await chain.token_truth()).authorities["minter"] == "minter-2"


@pytest.mark.parametrize("point", ["prepare", "broadcast"])
async def test_a_runner_killed_in_a_rotation_is_followed_by_one_that_ends_it(
    follower: Follower[MemoryChain], chain: MemoryChain, point: str
) -> None:
    await follower.follow()
    await ask(follower.database, chain, rotate("rot_1"), mint("iss_1"))
    whole: Callable[..., Awaitable[Any]] = getattr(chain, point)

    async def killed(*what: Any) -> None:
        await whole(*what)
        raise asyncio.CancelledError

    with patch.object(chain, point, killed), pytest.raises(asyncio.CancelledError):
        await follower.runner.step()
    async with follower.database.transaction() as db:
        await db.execute(text("UPDATE chain_intent SET lease_until = clock_timestamp()"))
    after = await follower.restart()
    for _ in range(3):
        await turn(after, chain)
    assert await states(after.database, "rot_1", "iss_1") == ["done", "done"]
    assert (await chain.token_truth()).authorities["minter"] == "minter-2"
    assert follower.listener.of("not_done") == []
    await after.leader.release()


async def test_runners_that_work_at_the_same_time_never_sign_across_a_rotation(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    runners = [
        IntentRunner(
            follower.database,
            {chain.name: chain},
            dict.fromkeys(KINDS, follower.listener),
            follower.listener.record,
            f"worker-{n}",
            look_again_s=0,
            batch=2,
        )
        for n in range(3)
    ]
    for n in range(RUNS):
        wanted = [mint(f"iss_{n:02}_{m}") for m in range(3)]
        await asyncio.gather(
            ask(follower.database, chain, *wanted),
            ask(follower.database, chain, rotate(f"rot_{n:02}")),
            *(runner.step() for runner in runners),
        )
        await asyncio.gather(*(runner.step() for runner in runners))
        chain.mine()
        await follower.follow()
    for _ in range(20 * RUNS):
        await asyncio.gather(*(runner.step() for runner in runners))
        chain.mine(2)
        await follower.follow()
        if len(follower.listener.of("done")) == 4 * RUNS:
            break
    assert follower.listener.of("not_done") == []
    assert len(follower.listener.of("done")) == 4 * RUNS
    assert (await chain.token_truth()).authorities["minter"] == f"minter-{RUNS + 1}"


# Seizing.


async def test_what_the_books_could_not_follow_is_not_seized(
    follower: Follower[MemoryChain], chain: MemoryChain
) -> None:
    await follower.follow()
    holder = new_address()
    orders = [seize("case_1", chain.treasury, holder), seize("case_2", holder, chain.treasury)]
    await ask(follower.database, chain, *orders, seize("case_3", "nowhere", holder))
    await follower.runner.step()
    told = {one.id: (one.reason, one.tx) for one in follower.listener.of("not_done")}
    assert told == {
        "case_1": ("not_seizable", None),
        "case_2": ("not_seizable", None),
        "case_3": ("invalid_address", None),
    }


async def test_a_sessions_address_is_not_seized_from(database: Database) -> None:
    chain = DepositMemoryChain()
    follower = Follower[MemoryChain](database, chain)
    await follower.follow()
    address, other = chain.deposit_address("cs_1"), new_address()
    follower.session_keys.add(chain.deposit_key(address))
    await ask(
        database, chain, seize("case_1", address, other), seize("case_2", other, new_address())
    )
    await follower.runner.step()
    [refused] = follower.listener.of("not_done")
    assert (refused.id, refused.reason, refused.tx) == ("case_1", "not_seizable", None)
    assert await states(database, "case_2") == ["signed"]
    await follower.leader.release()


async def test_a_seizure_that_moved_something_else_is_found(
    follower: Follower[MemoryChain], chain: MemoryChain, owner_url: str
) -> None:
    await follower.follow()
    holder, bailiff = new_address(), new_address()
    chain.endow(holder, 100)
    await ask(follower.database, chain, seize("case_1", holder, bailiff, 60))
    await turn(follower, chain)
    assert await states(follower.database, "case_1") == ["done"]

    async def found() -> list[str]:
        async with follower.database.transaction() as db:
            return [one.detail for one in await checks.transfers_are_whole(db) if not one.ok]

    assert await found() == []
    owner = Database(owner_url)
    for change, back, words in (
        ("amount_units = 59", "amount_units = 60", "moved 59"),
        (f"source = '{bailiff}'", f"source = '{holder}'", ""),
        (f"destination = '{holder}'", f"destination = '{bailiff}'", ""),
        (f"source = '{new_address()}'", f"source = '{holder}'", "somebody else"),
        (f"destination = '{new_address()}'", f"destination = '{bailiff}'", "went elsewhere"),
    ):
        async with owner.transaction() as db:
            await db.execute(text(f"UPDATE chain_transfer SET {change}"))
        [fault] = await found()
        assert words in fault
        async with owner.transaction() as db:
            await db.execute(text(f"UPDATE chain_transfer SET {back}"))
        assert await found() == []
    await owner.dispose()
