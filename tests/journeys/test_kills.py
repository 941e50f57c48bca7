"""`kill -9` in the middle of twenty payments: nothing is lost, nothing counts twice."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.cli import pay
from sandbox.cli.endpoints import wait_for
from tests.journeys.customers import Stubborn, address_of, new_key, rpc
from tests.journeys.stack import Stack
from tests.journeys.test_payments import all_events, captured
from tests.journeys.test_trouble import shop_of

TWENTY, SEEN_FIRST = 20, 6


def pid_of(stack: Stack, victim: str) -> int:
    if victim != "anvil":
        return stack.pids()[victim]
    front = stack.pids()["evm"]
    children = Path(f"/proc/{front}/task/{front}/children").read_text().split()
    [anvil] = [
        int(child) for child in children if b"anvil" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return anvil


@pytest.mark.long
@pytest.mark.parametrize("victim", ["anvil", "evm", "worker"])
def test_of_twenty_payments_none_is_lost_or_doubled_by_a_kill_in_their_middle(
    hardy: Stack, victim: str
) -> None:
    sandbox = hardy.running
    assert sandbox is not None
    keys = [new_key("evm") for _ in range(TWENTY)]
    with shop_of(sandbox) as shop, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: pay.fund(sandbox, "evm", address_of(key), 20_000), keys))
        sessions = list(pool.map(shop.create_session, range(10_000, 10_000 + TWENTY)))
    customers = [Stubborn(sandbox, *pair) for pair in zip(keys, sessions, strict=True)]

    async def pay_all() -> None:
        paying = [asyncio.create_task(one.pay()) for one in customers[:SEEN_FIRST]]
        await asyncio.wait(paying, return_when=asyncio.FIRST_COMPLETED)
        paying += [asyncio.create_task(one.pay()) for one in customers[SEEN_FIRST:]]
        await asyncio.sleep(0)
        os.kill(pid_of(hardy, victim), signal.SIGKILL)
        await asyncio.gather(*paying)

    asyncio.run(pay_all())
    with shop_of(sandbox) as shop:
        finals = [captured(shop, session["id"]) for session in sessions]
    sandbox.quiesce()
    assert [final["payment"]["tx"] for final in finals] == [one.tx for one in customers]
    assert [final["status"] for final in finals] == ["complete"] * TWENTY
    for one in customers:
        assert [rpc(sandbox.endpoints["evm_rpc"], "eth_getTransactionReceipt", one.tx)] == (
            one.receipts
        )
    told = [(e["type"], e["data"].get("id")) for e in all_events(sandbox)]
    for final in finals:
        payment = final["payment"]["id"]
        for kind in ("payment.final", "payment.captured"):
            assert told.count((kind, payment)) == 1, kind
        assert told.count(("checkout.session.completed", final["id"])) == 1
    audit = wait_for(
        "the audit", lambda: sandbox.get("/v1/sandbox/audit"), lambda found: bool(found["ok"])
    )
    assert audit["ok"]
