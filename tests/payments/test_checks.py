"""I5 and I7 of checkout: green after every kind of payment, red when a row or a unit is off."""

import asyncpg
import pytest

from sandbox.chains.memory import Move
from sandbox.core.checks import Check
from sandbox.payments import checks
from tests.payments.world import World


async def all_checks(world: World) -> list[Check]:
    found = await checks.places_match(world.database, world.chains, wait_s=0)
    async with world.database.transaction() as db:
        found += await checks.suspense_is_explained(db)
        found += await checks.refunds_within_payments(db)
    return found


async def a_busy_day(world: World) -> None:
    """Over, under, twice, unknown, refunded, given back: something in every account."""
    over = await world.session()
    await world.pay(over, 12_000)
    await world.pay(over, 500)
    await world.pay(await world.session(), 4_000)
    await world.pay(None, 70)
    await world.pay(await world.session(), 10_000)
    await world.finalize()
    paid = (await world.read(over))["payment"]["id"]
    await world.post("/v1/refunds", {"payment": paid, "amount_tiyn": 3_000})
    excess, duplicate, unknown = (stray["id"] for stray in await world.strays())
    for stray, action, role in (
        (excess, "accept", "shop"),
        (duplicate, "refund", "shop"),
        (unknown, "refund", "operator"),
    ):
        answer = await world.post(f"/v1/stray_transfers/{stray}/resolve", {"action": action}, role)
        assert answer.status_code == 200, answer.text
    await world.carry_out()
    await world.post("/v1/refunds", {"payment": paid, "amount_tiyn": 1_000})


async def test_a_cursor_that_lags_is_a_breach(world: World) -> None:
    world.chain.mine_final()
    found = await checks.places_match(world.database, world.chains, wait_s=0)
    assert (found[0].ok, found[0].right) == (False, None)


async def test_units_that_came_without_the_books_are_a_breach(world: World) -> None:
    await a_busy_day(world)
    world.chain.endow(world.chain.treasury, 5)
    found = await all_checks(world)
    assert [check.ok for check in found] == [False, True, True, True]
    assert found[0].left == found[0].right + 5  # type: ignore[operator]  # both are units


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE payment SET counted_units = counted_units - 1 WHERE capture_entry <> ''", [2]),
        ("UPDATE refund SET amount_units = amount_units + 1 WHERE payment <> ''", [3]),
        ("DELETE FROM refund WHERE stray <> ''", [2]),
    ],
)
async def test_a_row_that_was_changed_by_hand_is_a_breach(
    world: World, owner_url: str, statement: str, broken: list[int]
) -> None:
    await a_busy_day(world)
    owner = await asyncpg.connect(owner_url)
    await owner.execute(statement)
    await owner.close()
    found = await all_checks(world)
    assert [n for n, check in enumerate(found) if not check.ok] == broken


async def test_everything_agrees_after_a_busy_day(world: World) -> None:
    await a_busy_day(world)
    found = await all_checks(world)
    assert [check for check in found if not check.ok] == []
    assert found[0].left == found[0].right != 0


async def test_nothing_agrees_with_nothing(world: World) -> None:
    assert all(check.ok for check in await all_checks(world))


async def test_what_another_token_does_is_not_in_the_books(world: World) -> None:
    world.chain.send(Move("foreign", world.customer, world.chain.treasury, 5, (), "USDT"))
    world.chain.mine()
    await world.finalize()
    assert all(check.ok for check in await all_checks(world))
