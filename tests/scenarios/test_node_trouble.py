"""A node that stands still, does not answer, or is another chain's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.chains import service
from sandbox.chains.errors import WrongChain
from sandbox.chains.port import ChainUnavailable
from sandbox.ledger import service as ledger
from sandbox.ledger.journal import Changes
from sandbox.reserve import minting
from tests.chains import evm_node, solana_node
from tests.scenarios.ground import Ground
from tests.scenarios.world import World, completed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def strange_rpc(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second chain of the same kind: the same software and chain id, another genesis."""
    running = {"solana": solana_node.running, "evm": evm_node.running}[ground.name]
    with running(tmp_path_factory.mktemp(f"other-{ground.name}")) as rpc:
        yield rpc


async def test_a_chain_that_makes_no_blocks_keeps_sessions_open_and_pays_them_later(
    world: World,
) -> None:
    session = await world.session()
    await world.send(session, 10_000)
    await world.follow()
    assert completed(await world.read(session)) == ("open", "none", [])
    await world.mine()
    assert (await world.read(session))["status"] == "complete"


async def test_a_node_that_does_not_answer_stops_nothing_but_its_chain(world: World) -> None:
    waiting = await world.session()
    payer = await world.payer(20_000)
    payment = await world.captured(10_000, payer)
    tx = await world.send(waiting, 10_000, payer)
    await world.ground.mine()
    await world.door.shut()
    with pytest.raises(ChainUnavailable):
        await world.chain.heads()
    await world.follow()
    # Sessions and refunds are still taken: neither needs the node.
    session = await world.session()
    refund = await world.refund(payment, 10_000)
    await world.send_due()
    assert (await world.read(waiting))["status"] == "open"
    assert (await world.get(f"/v1/refunds/{refund['id']}"))["status"] == "pending"
    ready = await world.http.get("/readyz")
    assert (ready.status_code, world.name in ready.text) == (503, True)
    assert await _halts(world) == {}

    await world.door.reopen()
    await world.follow()
    assert (await world.read(waiting))["payment"]["tx"] == tx
    await world.carry_out()
    assert (await world.get(f"/v1/refunds/{refund['id']}"))["status"] == "completed"
    assert await world.ground.units(payer) == world.units(10_000)
    await world.pay(session, 10_000)
    assert (await world.read(session))["status"] == "complete"


async def test_an_answer_that_is_lost_while_a_refund_is_sent_does_not_double_it(
    world: World,
) -> None:
    payer = await world.payer(10_000)
    payment = await world.captured(10_000, payer)
    refund = await world.refund(payment, 4_000)
    await world.send_due()
    await world.door.shut()
    await world.ground.mine()
    for _ in range(3):
        await world.send_due()
    await world.door.reopen()
    await world.carry_out()
    assert (await world.get(f"/v1/refunds/{refund['id']}"))["status"] == "completed"
    assert await world.ground.units(payer) == world.units(4_000)


async def test_a_node_of_another_genesis_is_refused_by_name_when_the_sandbox_starts(
    world: World, strange_rpc: str, tmp_path: Path
) -> None:
    keys = world.wired.settings.keys_dir
    with pytest.raises(WrongChain, match="genesis") as refused:
        await world.ground.check_deployment(world.database, keys, strange_rpc)
    assert (refused.value.code, refused.value.status) == ("wrong_chain", 409)
    await world.ground.check_deployment(world.database, keys, world.ground.rpc_url)


@pytest.mark.parametrize("ground", ["evm"], indirect=True)
async def test_a_node_of_another_chain_id_is_refused_by_name_when_the_sandbox_starts(
    world: World, tmp_path: Path
) -> None:
    keys = world.wired.settings.keys_dir
    with (
        evm_node.running(tmp_path / "data", chain_id=4_242) as rpc,
        pytest.raises(WrongChain, match="chain id 31337, the node has 4242"),
    ):
        await world.ground.check_deployment(world.database, keys, rpc)


@pytest.mark.parametrize("age", ["younger", "older"])
async def test_another_chain_behind_the_recorded_port_halts_ours_by_name_and_nothing_is_sent_there(
    world: World, strange_rpc: str, age: str
) -> None:
    payer = await world.payer(10_000)
    refund = await world.refund(await world.captured(10_000, payer), 4_000)
    session = await world.session()
    await world.send(session, 10_000)
    await world.ground.mine()
    if age == "older":
        stranger = type(world.ground)(strange_rpc)
        await stranger.stand_still()
        await stranger.mine((await world.chain.heads()).confirmed + 50)
        await stranger.aclose()
    await world.door.reopen(strange_rpc)
    with pytest.raises(WrongChain):
        await world.chain.heads()
    await world.send_due()
    async with world.database.transaction() as db:
        found = await service.intent(db, refund["id"])
    assert (found.state, found.attempts) == ("due", 0)
    ready = await world.http.get("/readyz")
    assert (ready.status_code, world.name in ready.text) == (503, True)
    for _ in range(3):
        await world.follow()
    assert "WrongChain" in (await _halts(world))[world.name]
    assert completed(await world.read(session)) == ("open", "none", [])

    await world.door.reopen(world.ground.rpc_url)
    await _resume(world)
    await world.follow()
    assert (await world.read(session))["status"] == "complete"
    await world.carry_out()
    assert (await world.get(f"/v1/refunds/{refund['id']}"))["status"] == "completed"
    assert await world.ground.units(payer) == world.units(4_000)


async def _halts(world: World) -> dict[str, str]:
    async with world.database.transaction() as db:
        return await service.halts(db)


async def _resume(world: World) -> None:
    """What an operator does who has put the right node back."""
    async with world.database.transaction() as db:
        events = [await service.resume(db, world.name), await minting.resume(db)]
        await ledger.record(db, Changes(events=events))
