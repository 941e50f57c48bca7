"""What settlement takes from checkout, and what quiesce asks it."""

import pytest

from sandbox.payments import service
from tests.payments.world import Json, World


async def captured(world: World, tiyn: int) -> Json:
    session = await world.session(tiyn)
    await world.pay(session, tiyn)
    await world.finalize()
    payment: Json = (await world.read(session))["payment"]
    return payment


async def test_what_is_not_in_the_expected_state_is_not_moved(world: World) -> None:
    payment = await captured(world, 6_000)
    for move in (service.mark_settled, service.release):
        with pytest.raises(AssertionError, match=payment["id"]):
            async with world.database.transaction() as db:
                await move(db, [payment["id"]])
    assert (await world.get(f"/v1/payments/{payment['id']}")).json()["settlement_state"] == (
        "unsettled"
    )


async def test_a_payment_with_a_pending_refund_is_not_settled(world: World) -> None:
    first, second = await captured(world, 6_000), await captured(world, 4_000)
    await world.post("/v1/refunds", {"payment": first["id"], "amount_tiyn": 2_000})
    async with world.database.transaction() as db:
        assert [line.id for line in await service.settleable(db, "mch_shop")] == [second["id"]]
        assert await service.settleable(db, "mch_other") == []
    with pytest.raises(AssertionError, match=first["id"]):
        async with world.database.transaction() as db:
            await service.mark_in_batch(db, [first["id"]], "stl_1")
    await world.carry_out()
    async with world.database.transaction() as db:
        lines = await service.settleable(db, "mch_shop")
    assert [(line.counted_units, line.refunded_units, line.fee_tiyn) for line in lines] == [
        (world.units(6_000), world.units(2_000), 40),
        (world.units(4_000), 0, 40),
    ]
    assert [line.tx for line in lines] == [first["tx"], second["tx"]]
    assert [line.capture_entry for line in lines] == [p["capture_entry"] for p in (first, second)]


async def test_a_batch_takes_settles_and_gives_back(world: World) -> None:
    ids = [(await captured(world, 6_000))["id"], (await captured(world, 4_000))["id"]]
    async with world.database.transaction() as db:
        await service.mark_in_batch(db, ids, "stl_1")
    async with world.database.transaction() as db:
        assert await service.settleable(db, "mch_shop") == []
        await service.release(db, ids[:1])
        await service.mark_settled(db, ids[1:])
    states = [(await world.get(f"/v1/payments/{id_}")).json() for id_ in ids]
    assert [(p["settlement_state"], p["settlement"]) for p in states] == [
        ("unsettled", None),
        ("settled", "stl_1"),
    ]


async def test_busy_names_what_is_not_at_rest(world: World) -> None:
    async def busy() -> list[str]:
        async with world.database.transaction() as db:
            return await service.busy(db)

    assert await busy() == []
    session = await world.session(expires_in_s=5)
    await world.pay(None, 5)
    await world.pay(session, 10_000)
    assert await busy() == ["payments not final: 1", "stray transfers not final: 1"]
    await world.finalize()
    assert await busy() == []
    payment = (await world.read(session))["payment"]["id"]
    await world.post("/v1/refunds", {"payment": payment, "amount_tiyn": 1})
    assert await busy() == ["refunds pending: 1"]
    await world.carry_out()
    await world.session(expires_in_s=5)
    assert await busy() == []
    await world.wait(10)
    assert await busy() == ["sessions to expire: 1"]
