"""What one more payment costs when there were many before it, and what auditing them all takes."""

import asyncio
import time
from collections.abc import Callable, Mapping

from sandbox.cli import show
from sandbox.cli.benches import worlds
from sandbox.cli.benches.payers import Payer
from sandbox.cli.benches.shop import Shop
from sandbox.cli.endpoints import Running, wait_for

STEP, SETTLED_S = 1_000, 300
SIZES = (1_000, 10_000, 100_000)
KEPT = 10_000
"""At this size the whole world is kept and taken up again."""
Add = Callable[..., None]


async def grow(
    add: Add,
    running: Running,
    payer: Payer,
    most: int,
    shop: Shop,
    cpu: Callable[[], Mapping[str, float]],
) -> None:
    """CPU milliseconds and rate of the last 1,000 payments at each of `SIZES` up to `most`.

    `cpu` tells the seconds that each process has used. In the end all are settled and audited.
    Raises `AssertionError` when the audit is red.
    """
    first_ms = 0.0
    made = 0
    for size in (size for size in SIZES if size <= most):
        while made < size:
            before, began = cpu(), time.monotonic()
            sessions = await shop.create(STEP)
            created, began_paying = cpu(), time.monotonic()
            await payer.send(await payer.sign(sessions))
            await shop.completed(sessions)
            done, ended = cpu(), time.monotonic()
            made += STEP
        creating, paying = _ms(before, created), _ms(created, done)
        first_ms = first_ms or creating + paying
        at = f"at {size:,} payments"
        add(f"CPU of a session and its payment {at}", creating + paying, "ms", first_ms)
        add(f"sessions created {at}", STEP / (began_paying - began), "1/s")
        add(f"payments on {payer.chain} {at}", STEP / (ended - began_paying), "1/s")
        show.err.print(f"{size:,} payments")
        if size == KEPT:
            await worlds.measure(add, running, at)
            shop.another_world()
    await asyncio.to_thread(running.quiesce)  # what is not final is not settled
    began = time.monotonic()
    asked = {"merchant_id": running.endpoints["keys"]["merchant_id"]}
    batch = await asyncio.to_thread(running.post, "/v1/settlements", asked)
    await asyncio.to_thread(
        wait_for,
        "the settlement",
        lambda: running.get(f"/v1/settlements/{batch['id']}"),
        lambda found: found["status"] == "settled",
        SETTLED_S,
    )
    add(f"settlement of {made:,} payments", time.monotonic() - began, "s")
    await asyncio.to_thread(running.quiesce)
    began = time.monotonic()
    report = await asyncio.to_thread(running.get, "/v1/sandbox/audit")
    add(f"audit of {made:,} payments", time.monotonic() - began, "s")
    assert report["ok"], [check for check in report["checks"] if not check["ok"]]


def _ms(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """CPU milliseconds per payment of the sandbox; who loads it is not counted."""
    used = sum(after[name] - before[name] for name in after if name != "load generator")
    return used * 1000 / STEP
