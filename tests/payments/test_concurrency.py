"""The watcher, merchants, the expiry job and refunds at once: nobody deadlocks, nothing is lost."""

import asyncio

from sandbox.payments.jobs import expire
from tests.payments.world import Json, World

SESSIONS = 24


async def test_cancelling_while_the_money_is_seen_ends_one_way_or_the_other(
    world: World,
) -> None:
    sessions = [await world.session() for _ in range(SESSIONS)]
    for session in sessions:
        world.send(session, 10_000)
    world.chain.mine()

    async def cancel(session: Json) -> int:
        path = f"/v1/checkout/sessions/{session['id']}/cancel"
        return (await world.post(path)).status_code

    _, *answers = await asyncio.gather(world.follow(), *map(cancel, sessions))
    for session, answer in zip(sessions, answers, strict=True):
        ended = ("canceled", "late") if answer == 200 else ("complete", "none")
        read = await world.read(session)
        assert (read["status"], read["reason"]) == ended
    await world.finalize()
    await world.agrees()


async def test_expiry_runs_beside_the_watcher_and_beside_itself(world: World) -> None:
    in_time = [await world.session(expires_in_s=5) for _ in range(SESSIONS)]
    unpaid = [await world.session(expires_in_s=5) for _ in range(SESSIONS)]
    for session in in_time:
        world.send(session, 10_000)
    world.chain.mine()
    world.chain.offset_ms += 60_000
    world.chain.mine()
    await world.sync()
    await asyncio.gather(world.follow(), *(expire(world.database) for _ in range(4)))
    await expire(world.database)
    assert {(await world.read(session))["status"] for session in in_time} == {"complete"}
    assert {(await world.read(session))["status"] for session in unpaid} == {"expired"}
    told = await world.told()
    assert told.count("checkout.session.completed") == SESSIONS
    await world.finalize()
    await world.agrees()


async def test_refunds_and_resolutions_go_on_while_blocks_arrive(world: World) -> None:
    sessions = [await world.session() for _ in range(SESSIONS)]
    for session in sessions:
        world.send(session, 11_000)
    world.chain.mine()
    await world.finalize()
    payments = [(await world.read(session))["payment"]["id"] for session in sessions]
    strays = [stray["id"] for stray in await world.strays()]
    for session in sessions:
        world.send(session, 500)
    world.chain.mine()

    async def merchant(payment: str, stray: str) -> None:
        body = {"payment": payment, "amount_tiyn": 3_000}
        refund = await world.post("/v1/refunds", body)
        accept = await world.post(
            f"/v1/stray_transfers/{stray}/resolve", {"action": "accept"}, "operator"
        )
        assert (refund.status_code, accept.status_code) == (201, 200)

    await asyncio.gather(world.follow(), *map(merchant, payments, strays))
    await asyncio.gather(world.runner.step(), world.finalize())
    await world.carry_out()
    reads = [await world.read(session) for session in sessions]
    assert {read["payment"]["refunded_units"] for read in reads} == {world.units(3_000)}
    assert {read["reason"] for read in reads} == {"duplicate"}
    await world.agrees()
