"""Real connections at once: two batches, refunds against batches, orders of locks turned round."""

import asyncio
from typing import Any

import pytest

from sandbox.chains.memory_deposits import DepositMemoryChain
from sandbox.ledger import accounts
from sandbox.ledger import service as ledger
from sandbox.settlement import jobs
from tests.settlement.conftest import Town, open_town
from tests.settlement.test_modes import choose, finish, sound

ROUNDS = 2


async def at_once(*calls: Any) -> list[Any]:
    return list(await asyncio.gather(*calls))


async def settle(town: Town) -> Any:
    return await town.world.post("/v1/settlements", {}, "shop")


async def refund(town: Town, payment: str, amount_tiyn: int) -> Any:
    body = {"payment": payment, "amount_tiyn": amount_tiyn}
    return await town.world.post("/v1/refunds", body, "shop")


async def test_two_batches_at_once_share_no_line_and_lose_none(swept_town: Town) -> None:
    town = swept_town
    await choose(town, "payout", refund_reserve_tiyn=300)
    payments: set[str] = set()
    for round_ in range(ROUNDS):
        payments |= {await town.pay(500), await town.pay(700)}
        calls = [settle(town) for _ in range(4)]
        if round_ % 2:
            calls.insert(0, jobs.follow_sweeps(town.database, town.world.chains))
        answers = [one for one in await at_once(*calls) if not isinstance(one, int)]
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [201, 409, 409, 409], [answer.text for answer in answers]
        await finish(town)
        await sound(town)
    lines = [
        line["payment"]
        for batch in (await town.get("/v1/settlements?limit=100"))["data"]
        for line in batch["lines"]
    ]
    assert sorted(lines) == sorted(payments)


@pytest.mark.parametrize("first", ["refund", "settle"])
async def test_a_refund_and_a_batch_at_once_take_the_same_money_once(
    swept_town: Town, first: str
) -> None:
    """Whoever comes first: the payment waits for its refund, or the refund is refused."""
    town = swept_town
    for _ in range(ROUNDS):
        payment, other = await town.pay(600), await town.pay(400)
        calls = [refund(town, payment, 250), settle(town)]
        if first == "settle":
            calls.reverse()
        answers = await at_once(*calls)
        refunded, made = answers if first == "refund" else answers[::-1]
        assert made.status_code == 201, made.text
        taken = {line["payment"] for line in made.json()["lines"]}
        if refunded.status_code == 201:
            assert taken == {other}
        else:
            assert refunded.json()["code"] == "insufficient_merchant_balance"
            assert taken == {payment, other}
        await finish(town)
        if payment not in taken:
            await town.settle()
            await finish(town)
        await sound(town)
        done = await town.get(f"/v1/payments/{payment}")
        assert done["settlement_state"] in ("settled", "in_batch")
        assert done["refunded_units"] == (250 if refunded.status_code == 201 else 0)


@pytest.mark.parametrize("first", ["refund", "settle"])
async def test_a_reserve_is_spent_or_given_back_and_never_both(
    swept_town: Town, first: str
) -> None:
    town = swept_town
    for _ in range(ROUNDS):
        await choose(town, "payout", refund_reserve_tiyn=300)
        payment = await town.pay(1000)
        await town.settle()
        await finish(town)
        await choose(town, "payout", refund_reserve_tiyn=0)
        calls = [refund(town, payment, 200), refund(town, payment, 200), settle(town)]
        if first == "settle":
            calls.reverse()
        answers = await at_once(*calls)
        refunds, made = (
            (answers[:2], answers[2]) if first == "refund" else (answers[1:], answers[0])
        )
        paid = sum(200 for one in refunds if one.status_code == 201)
        assert paid in (0, 200)
        assert made.status_code == 201, made.text
        assert made.json()["check"]["reserved_tiyn"] == -(300 - paid)
        await finish(town)
        await sound(town)
        async with town.database.transaction() as db:
            kept = await ledger.balance(db, accounts.refund_reserve("memory", town.shop))
        assert kept.posted == 0


async def test_merchants_refunds_and_batches_in_opposite_orders_end_without_a_deadlock(
    database: Any, owner_url: str
) -> None:
    """Each call locks several payments and accounts; nobody waits for who waits for it."""
    town = await open_town(database, owner_url, DepositMemoryChain())
    try:
        await town.merchant("other", "KZ41722C000000000001")
        for _ in range(ROUNDS):
            mine = [await town.pay(300) for _ in range(3)]
            theirs = [await town.pay(200, "other") for _ in range(2)]
            calls = [refund(town, payment, 50) for payment in reversed(mine)]
            calls += [
                town.world.post("/v1/refunds", {"payment": one, "amount_tiyn": 50}, "other")
                for one in theirs
            ]
            calls += [settle(town), town.world.post("/v1/settlements", {}, "other")]
            answers = await at_once(*calls, town.world.follow())
            assert {one.status_code for one in answers if one is not None} <= {201, 409}
            await finish(town)
            await town.audit()
    finally:
        await town.world.end()
