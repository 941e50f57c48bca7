"""Moves between both real chains: one sandbox over two nodes, supply conserved on the way."""

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from sandbox.devnets import postgres as embedded
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import minting
from tests.scenarios.on_evm import EvmGround
from tests.scenarios.on_solana import SolanaGround
from tests.scenarios.orders import ordered
from tests.scenarios.redeeming import carry_out, done, read, send
from tests.scenarios.world import Json, World, opened_together

pytestmark = pytest.mark.asyncio(loop_scope="module")

Worlds = dict[str, World]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(
    solana_rpc: str,
    evm_rpc: str,
    postgres: embedded.Running,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Worlds]:
    name = f"test_{secrets.token_hex(8)}"
    owner = await asyncpg.connect(postgres.url)
    grounds = [SolanaGround(solana_rpc), EvmGround(evm_rpc)]
    folder = tmp_path_factory.mktemp("both")
    try:
        await owner.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
        async with opened_together(grounds, postgres.app_url(name), folder) as worlds:
            yield {world.name: world for world in worlds}
        await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await owner.close()


@pytest_asyncio.fixture(loop_scope="module")
async def worlds(both: Worlds) -> AsyncIterator[Worlds]:
    yield both
    for world in both.values():
        await world.finalize()
    for world in both.values():
        await world.agrees()


ways = pytest.mark.parametrize(("start", "end"), [("solana", "evm"), ("evm", "solana")])


async def ask(worlds: Worlds, start: str, end: str, tiyn: int) -> tuple[Json, str]:
    """A move whose units are sent and final, and the holder who is to get them."""
    recipient = await worlds[end].ground.payer()
    body = {
        "from_chain": start,
        "to_chain": end,
        "amount_tiyn": tiyn,
        "recipient": recipient,
    }
    made = await done(worlds[start], "moves", body, 201)
    await send(worlds[start], made, tiyn)
    await worlds[start].mine()
    await worlds[start].finalize()
    return made, recipient


async def in_existence(worlds: Worlds) -> int:
    return sum([(await world.chain.supply()).units for world in worlds.values()])


@ways
async def test_a_move_burns_on_one_chain_and_mints_on_the_other_once(
    worlds: Worlds, start: str, end: str
) -> None:
    before = await in_existence(worlds)
    made, recipient = await ask(worlds, start, end, 4_000)
    seen: list[int] = []
    for _ in range(12):
        await worlds[start].run("redemptions")
        await worlds[start].send_due()
        for world in worlds.values():
            await world.finalize()
        bridge = await worlds[start].posted(accounts.bridge(made["id"]))
        assert await in_existence(worlds) + worlds[start].units(bridge) == before
        seen.append(bridge)
        if (await read(worlds[start], made))["status"] == "minted":
            break
    assert 4_000 in seen
    assert seen[-1] == 0
    assert await worlds[end].ground.units(recipient) == worlds[end].units(4_000)
    assert await in_existence(worlds) == before


@ways
async def test_a_mint_that_a_paused_token_refuses_waits_in_the_bridge_and_is_retried(
    worlds: Worlds, start: str, end: str
) -> None:
    made, recipient = await ask(worlds, start, end, 2_000)
    await halt(worlds, "while the token stands still")
    await carry_out(*worlds.values())
    found = await read(worlds[start], made)
    assert (found["status"], "stands still" in found["mint_reason"]) == ("waiting", True)
    await resume(worlds)
    await pause(worlds[end], made, worlds)
    await done(worlds[start], f"moves/{made['id']}/retry", {})
    await carry_out(*worlds.values())
    assert (await read(worlds[start], made))["status"] == "minted"
    assert await worlds[end].ground.units(recipient) == worlds[end].units(2_000)


@ways
async def test_a_stuck_move_is_given_back_where_it_began(
    worlds: Worlds, start: str, end: str
) -> None:
    before = (await worlds[start].chain.supply()).units
    made, recipient = await ask(worlds, start, end, 1_000)
    await halt(worlds, "while the token stands still")
    await carry_out(*worlds.values())
    await resume(worlds)
    await pause(worlds[end], made, worlds)
    holder = await worlds[start].ground.payer()
    await done(worlds[start], f"moves/{made['id']}/give_back", {"recipient": holder})
    await carry_out(*worlds.values())
    found = await read(worlds[start], made)
    assert (found["status"], found["mint_chain"]) == ("given_back", start)
    assert await worlds[start].ground.units(holder) == worlds[start].units(1_000)
    assert await worlds[end].ground.units(recipient) == 0
    assert (await worlds[start].chain.supply()).units == before


async def pause(there: World, made: Json, worlds: Worlds) -> None:
    """The token of the other chain stands still until its mint failed as often as it may."""
    async with ordered(there, "pause"):
        await carry_out(*worlds.values())
        found = await read(there, made)
        assert found["status"] == "stuck", found
        assert await there.posted(accounts.bridge(made["id"])) == made["amount_tiyn"]


async def halt(worlds: Worlds, reason: str) -> None:
    database = next(iter(worlds.values())).database
    async with database.transaction() as db:
        await ledger.record(db, Changes(events=await minting.halt(db, reason)))


async def resume(worlds: Worlds) -> None:
    database = next(iter(worlds.values())).database
    async with database.transaction() as db:
        await ledger.record(db, Changes(events=[await minting.resume(db)]))
