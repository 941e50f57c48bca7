"""Orders that a regulator or the operator gives, through the routes, the worker and the audit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest
from sqlalchemy import delete

from sandbox import wiring
from sandbox.chains.errors import NotSeizable
from sandbox.chains.models import ChainHalt
from sandbox.chains.port import UnknownRecipient
from sandbox.core import clock
from sandbox.core.checks import Check
from sandbox.ledger import accounts
from sandbox.reserve import orders, token
from tests.scenarios.orders import ordered
from tests.scenarios.world import Json, World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def seize(world: World, holder: str, recipient: str, tiyn: int) -> Json:
    """Ordered, and carried out by the worker; the order afterwards."""
    async with world.database.transaction() as db:
        order = await orders.seize(
            db, world.chain, holder=holder, recipient=recipient, amount_units=world.units(tiyn)
        )
    await world.carry_out()
    return await world.get(f"/v1/chains/{world.name}/orders/{order.id}", "regulator")


async def rotate(world: World, role: str) -> Json:
    made = await world.post(f"/v1/chains/{world.name}/roles/{role}/rotate", {}, "operator")
    assert made.status_code == 201, made.text
    answer: Json = made.json()
    return answer


async def told_token(world: World) -> Json:
    return await world.get(f"/v1/chains/{world.name}/token", "regulator")


async def red(world: World) -> list[Check]:
    await world.run("sequence")
    return [
        one for check in wiring.audit_checks(world.wired) for one in await check() if not one.ok
    ]


@asynccontextmanager
async def frozen(world: World, holder: str) -> AsyncIterator[None]:
    async with ordered(world, "freeze", holder):
        yield


# Seizing.


async def test_what_is_ours_and_what_is_no_address_cannot_be_ordered(world: World) -> None:
    treasury = world.ground.treasury
    async with world.database.transaction() as db:
        for holder, recipient in ((treasury, world.customer), (world.customer, treasury)):
            with pytest.raises(NotSeizable):
                await orders.seize(
                    db, world.chain, holder=holder, recipient=recipient, amount_units=1
                )
        with pytest.raises(UnknownRecipient):
            await orders.seize(
                db, world.chain, holder="nobody", recipient=world.customer, amount_units=1
            )


async def test_a_sessions_address_is_the_sessions_and_not_seized(world: World) -> None:
    session = await world.session()
    place = world.place(session)
    if place == world.ground.treasury:
        return
    await world.pay(session, 10_000)
    async with frozen(world, place):
        order = await seize(world, place, await world.ground.payer(), 10_000)
        assert (order["status"], order["reason"], order["tx"]) == ("failed", "not_seizable", None)
    assert await world.ground.units(place) == world.units(10_000)


async def test_a_seizure_leaves_every_book_as_it_was(world: World) -> None:
    resident, bailiff = await world.payer(50_000), await world.ground.payer()
    external = await world.posted(accounts.external(world.name))
    before = await told_token(world)
    async with frozen(world, resident):
        order = await seize(world, resident, bailiff, 30_000)
    assert (order["status"], order["reason"]) == ("done", None)
    assert (order["holder"], order["recipient"]) == (resident, bailiff)
    assert await world.ground.units(bailiff) == world.units(30_000)
    assert await world.ground.units(resident) == world.units(20_000)
    assert await world.posted(accounts.external(world.name)) == external
    after = await told_token(world)
    assert after["agrees"]
    assert (after["on_chain"], after["ledger"]) == (before["on_chain"], before["ledger"])
    assert await world.told(order["id"]) == ["chain.order_requested", "chain.order_done"]
    assert await world.strays(order["tx"]) == []
    assert await red(world) == []


async def test_seized_units_can_pay_like_any_others(world: World) -> None:
    resident, bailiff = await world.payer(50_000), await world.ground.payer()
    async with frozen(world, resident):
        await seize(world, resident, bailiff, 50_000)
    session = await world.session()
    await world.pay(session, 10_000, bailiff)
    await world.finalize()
    assert (await world.read(session))["payment"]["from_address"] == bailiff


async def test_units_seized_for_an_open_session_pay_it(world: World) -> None:
    """In the books they were outside before, and are the session's now."""
    session, resident = await world.session(), await world.payer(10_000)
    place = world.place(session)
    if place == world.ground.treasury:
        return
    async with frozen(world, resident):
        order = await seize(world, resident, place, 10_000)
    assert order["status"] == "done"
    paid = await world.read(session)
    assert (paid["status"], paid["payment"]["tx"]) == ("complete", order["tx"])


async def test_a_seizure_that_a_reorg_took_back_happens_once(world: World) -> None:
    resident, bailiff = await world.payer(50_000), await world.ground.payer()
    async with frozen(world, resident):
        async with world.database.transaction() as db:
            order = await orders.seize(
                db,
                world.chain,
                holder=resident,
                recipient=bailiff,
                amount_units=world.units(30_000),
            )
        await world.send_due()
        await world.mine(2)
        await world.ground.reorg(2, "drop")
        await world.follow()
        await world.carry_out()
        state = await world.get(f"/v1/chains/{world.name}/orders/{order.id}", "operator")
        assert state["status"] == "done"
        assert await world.ground.units(bailiff) == world.units(30_000)


async def test_a_seizure_of_more_than_there_is_fails_and_is_told(world: World) -> None:
    resident, bailiff = await world.payer(10_000), await world.ground.payer()
    async with frozen(world, resident):
        order = await seize(world, resident, bailiff, 20_000)
    assert (order["status"], order["reason"]) == ("failed", "insufficient funds")
    assert await world.told(order["id"]) == ["chain.order_requested", "chain.order_failed"]
    assert await world.ground.units(resident) == world.units(10_000)


async def test_the_audit_notices_an_order_that_was_altered(world: World, owner_of: str) -> None:
    resident, bailiff = await world.payer(10_000), await world.ground.payer()
    async with frozen(world, resident):
        order = await seize(world, resident, bailiff, 4_000)
    units = world.units(4_000)
    owner = await asyncpg.connect(owner_of)
    for column, wrong, right, found in (
        ("amount_units", str(units + 1), str(units), {"I5", "I8"}),
        ("holder", f'"{bailiff}"', f'"{resident}"', {"I5", "I8"}),
        ("recipient", f'"{resident}"', f'"{bailiff}"', {"I5", "I8"}),
    ):
        change = "UPDATE chain_intent SET command = jsonb_set(command, $1, $2::jsonb) WHERE id = $3"
        await owner.execute(change, [column], wrong, order["id"])
        assert {check.id for check in await red(world)} == found
        await owner.execute(change, [column], right, order["id"])
    removed = await owner.fetchrow("SELECT * FROM chain_intent WHERE id = $1", order["id"])
    assert removed is not None
    await owner.execute("UPDATE chain_intent SET kind = 'other' WHERE id = $1", order["id"])
    await owner.execute("UPDATE chain_intent SET tx = 'none' WHERE id = $1", order["id"])
    assert {check.id for check in await red(world)} == {"I8"}
    await owner.execute(
        "UPDATE chain_intent SET kind = 'order', tx = $2 WHERE id = $1", order["id"], order["tx"]
    )
    await owner.close()
    assert await red(world) == []


# Keys.


async def test_only_the_operator_changes_keys(world: World) -> None:
    path = f"/v1/chains/{world.name}/roles/mint_authority/rotate"
    for role in ("merchant", "issuer", "regulator"):
        assert (await world.post(path, {}, role)).status_code == 403
    assert (await world.post("/v1/chains/no/roles/x/rotate", {}, "operator")).status_code == 404


async def test_a_role_without_a_key_to_change_is_refused(world: World) -> None:
    role = "treasury"
    refused = await world.post(f"/v1/chains/{world.name}/roles/{role}/rotate", {}, "operator")
    assert (refused.status_code, refused.json()["code"]) == (422, "role_not_rotatable")


async def test_keys_change_while_units_are_made_and_nothing_is_lost(world: World) -> None:
    if not world.chain.rotatable:
        return
    before = {one["role"]: one["address"] for one in (await told_token(world))["authorities"]}
    resident = await world.ground.payer()
    await world.ask_issue({resident: 10_000})
    await world.send_due()
    made = [await rotate(world, role) for role in sorted(world.chain.rotatable)]
    # Asked for again and again it would hold up everything else.
    again = f"/v1/chains/{world.name}/roles/{made[0]['role']}/rotate"
    refused = await world.post(again, {}, "operator")
    assert (refused.status_code, refused.json()["code"]) == (409, "rotation_under_way")
    assert refused.json()["order"] == made[0]["id"]
    await world.ask_issue({resident: 20_000})
    session = await world.session()
    await world.pay(session, 10_000)
    await world.carry_out()
    assert await world.ground.units(resident) == world.units(30_000)
    for one in made:
        done = await world.get(f"/v1/chains/{world.name}/orders/{one['id']}", "operator")
        assert (done["status"], done["role"], done["action"]) == ("done", one["role"], "rotate")
    shown = await told_token(world)
    after = {one["role"]: one["address"] for one in shown["authorities"]}
    assert not set(after.values()) & set(before.values())
    assert shown["agrees"]
    # Every act with the new keys.
    async with ordered(world, "pause"):
        assert await world.chain.is_paused()
    async with frozen(world, resident):
        order = await seize(world, resident, await world.ground.payer(), 1_000)
    assert order["status"] == "done"


# What the chain says beside what the books say.


async def test_the_token_is_told_as_the_chain_and_the_books_have_it(world: World) -> None:
    await world.payer(10_000)
    shown = await told_token(world)
    assert shown["decimals"] == world.chain.decimals
    assert (shown["symbol"], shown["paused"], shown["under_way"]) == ("KZTE", False, [])
    assert shown["on_chain"]["supply_units"] == shown["ledger"]["supply_units"] > 0
    treasury = await world.ground.units(world.ground.treasury)
    assert shown["on_chain"]["treasury_units"] == shown["ledger"]["treasury_units"] == treasury
    assert shown["difference"] == {"supply_units": 0, "treasury_units": 0}
    outstanding = await world.posted(accounts.outstanding(world.name))
    assert shown["ledger"]["outstanding_tiyn"] == outstanding
    assert shown["agrees"] is True


async def test_what_is_under_way_is_told_and_no_difference(world: World) -> None:
    resident = await world.ground.payer()
    await world.ask_issue({resident: 10_000})
    shown = await told_token(world)
    asked = {"action": "mint", "count": 1, "units": world.units(10_000)}
    assert (shown["under_way"], shown["agrees"]) == ([asked], True)
    await world.send_due()
    await world.mine()
    assert (await told_token(world))["agrees"]
    await world.carry_out()
    assert (await told_token(world))["under_way"] == []


async def test_books_that_differ_from_the_chain_are_told_with_the_difference(world: World) -> None:
    truth = await world.chain.token_truth()
    more = replace(truth, supply_units=truth.supply_units + 7)

    async def wrong() -> object:
        return more

    with patch.object(world.chain, "token_truth", wrong):
        shown = await told_token(world)
    assert (shown["agrees"], shown["difference"]["supply_units"]) == (False, 7)


async def test_books_that_have_not_read_as_far_are_no_agreement(world: World) -> None:
    await world.ground.mine(30)
    shown = await token.token_object(world.database, world.chain, wait_s=0)
    assert (shown["ledger"], shown["difference"], shown["agrees"]) == (None, None, False)
    assert shown["halted"] is None
    await world.follow()
    assert (await told_token(world))["agrees"]


async def test_a_halted_chain_says_why_the_books_do_not_go_on(world: World) -> None:
    await world.ground.mine(30)
    async with world.database.transaction() as db:
        why, at = "a block was final and is gone", await clock.now(db)
        db.add(ChainHalt(chain=world.name, height=1, reason=why, since=at))
    shown = await told_token(world)
    assert (shown["halted"], shown["agrees"]) == (why, False)
    async with world.database.transaction() as db:
        await db.execute(delete(ChainHalt))
    await world.follow()
    assert (await told_token(world))["agrees"]


@pytest.fixture(scope="module")
def owner_of(kept_url: str, postgres: Any) -> str:
    name = kept_url.rpartition("/")[2]
    return str(postgres.url).rpartition("/")[0] + f"/{name}"
