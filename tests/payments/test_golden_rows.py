"""Rows 4 to 8 of the golden example (CONTRACT 10), as checkout itself writes them."""

from sandbox.ledger import service as ledger
from tests.payments.world import World


async def legs(world: World, ref: str) -> tuple[str, set[tuple[str, str, str, int]]]:
    """(state, legs as (book, side, code, tiyn)) of the one entry `ref`."""
    async with world.database.transaction() as db:
        [entry] = await ledger.entries_for(db, ref)
    assert entry.chain == "memory"
    per_tiyn = world.units(1)
    return entry.state, {
        (leg.account.book, leg.side, leg.account.code, leg.amount // per_tiyn) for leg in entry.legs
    }


async def test_two_payments_capture_and_a_refund_write_the_golden_rows(world: World) -> None:
    session = await world.session(10_000)
    await world.pay(session, 6_000)
    await world.pay(session, 4_000)
    await world.finalize()
    a, b = [payment["id"] for payment in (await world.read(session))["payments"]]
    asked = await world.post("/v1/refunds", {"payment": a, "amount_tiyn": 2_000})
    refund = asked.json()["id"]
    back = {
        ("token", "D", "external:memory", 2_000), ("token", "C", "treasury:memory", 2_000),
        ("claims", "D", "merchant:mch_shop", 2_000), ("claims", "C", "custody", 2_000),
    }  # fmt: skip
    assert await legs(world, refund) == ("pending", back)
    await world.carry_out()

    suspense = f"suspense:{session['id']}"
    for payment, tiyn in ((a, 6_000), (b, 4_000)):
        assert await legs(world, f"{payment}:1") == ("posted", {
            ("token", "D", "treasury:memory", tiyn), ("token", "C", "external:memory", tiyn),
            ("claims", "D", "custody", tiyn), ("claims", "C", suspense, tiyn),
        })  # fmt: skip
        assert await legs(world, f"{payment}:capture") == ("posted", {
            ("claims", "D", suspense, tiyn), ("claims", "C", "merchant:mch_shop", tiyn),
        })  # fmt: skip
    assert await legs(world, refund) == ("posted", back)
    fees = [payment["fee_tiyn"] for payment in (await world.read(session))["payments"]]
    assert fees == [40, 40]


async def test_the_variant_of_row_5_a_revert_and_the_return(world: World) -> None:
    session = await world.session(10_000)
    await world.pay(session, 6_000)
    await world.pay(session, 4_000)
    world.chain.reorg(1)
    world.chain.mine(2)
    await world.follow()
    b = (await world.read(session))["payments"][1]["id"]
    async with world.database.transaction() as db:
        entries = await ledger.entries_for(db, b)
    assert [(entry.ref, entry.state) for entry in entries] == [
        (f"{b}:1", "voided"),
        (f"{b}:2", "pending"),
    ]
