"""Snapshots by name of a running chain, and going back to one while clients look on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbox.devnets.evm.errors import Unavailable
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.snapshots import About


async def snapshot(node: Node, name: str, followers: Callable[[], int]) -> About:
    """A copy of the chain and of what waits in its pool. Raises SnapshotRefused."""
    async with node.still() as journal_bytes:
        about = await asyncio.to_thread(
            node.snapshots.take, name, journal_bytes, node.head, followers()
        )
    node.snapshots.prepare(about)
    return about


async def restore(node: Node, name: str, then: Callable[[About], None]) -> About:
    """The chain and its pool as they were; what came since is gone. `then` is told before anything
    else can happen.

    Raises SnapshotRefused, after which all is as it is.
    """
    async with node.still():
        restored = await node.snapshots.load(name)
        try:
            former = node.become(restored)
        except OSError as error:
            node.give_up(error)
            raise Unavailable from None
        then(restored.about)
        if former is not None:
            await former.stop()
        if node.observer is not None:
            [head] = await node.look([("eth_getBlockByNumber", ("latest", False))])
            await node.observer.on_restore(head)
    await node.fund()
    node.snapshots.prepare(restored.about)
    return restored.about
