"""How long a world takes to be kept and to be taken up again, as its caller waits for it."""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Final

from sandbox.cli import show
from sandbox.cli.endpoints import Running

RESTORES: Final = 5
Add = Callable[..., None]


async def measure(add: Add, running: Running, at: str) -> None:
    """A snapshot, then its restore some times; `at` says how big the world is.

    The world is afterwards as it was before, in another epoch.
    """
    show.err.print(f"keep and take up a world {at}")
    await asyncio.to_thread(running.quiesce)
    began = time.monotonic()
    await asyncio.to_thread(running.post, "/v1/sandbox/snapshots", {"name": "bench"})
    add(f"snapshot of a world {at}", time.monotonic() - began, "s")
    path, took = "/v1/sandbox/snapshots/bench/restore", []
    for _ in range(RESTORES):
        began = time.monotonic()
        await asyncio.to_thread(running.post, path, {})
        took.append(time.monotonic() - began)
    add(f"restore of a world {at}, median of {RESTORES}", statistics.median(took), "s")
    add(f"restore of a world {at}, longest", max(took), "s")
    await asyncio.to_thread(running.delete, "/v1/sandbox/snapshots/bench")
