"""Waiting until the sandbox has nothing left to do (CONTRACT 6, Quiesce)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from sandbox.chains import service as chains
from sandbox.chains.port import Chain, ChainUnavailable, Heads
from sandbox.core.db import Database
from sandbox.lab.errors import StillBusy

BusyProbe = Callable[[AsyncSession], Awaitable[list[str]]]
"""What a slice has yet to do, in words; empty when it is at rest."""

_LOOKS = 2
_LOOK_AGAIN_S = 0.05
_NAMES_KEPT = 100


async def wait(
    database: Database,
    configured: Mapping[str, Chain],
    probes: Sequence[BusyProbe],
    timeout_s: int,
) -> dict[str, Any]:
    """Wait until two looks in a row find nothing to do; no transaction is open in between.

    A look takes the chains' heads first and ends when the watchers have reached *these*: a fast
    chain is always a block ahead of its watcher. Raises `StillBusy`.
    """
    started = time.monotonic()
    waited_for: dict[str, None] = {}
    quiet = 0
    while quiet < _LOOKS:
        heads, silent = await _heads(configured)
        quiet += 1
        while True:
            work, behind = await _left(database, probes, heads)
            left = [*silent, *work, *behind]
            if not left:
                break
            if silent or work:
                quiet = 0
            waited_for.update(dict.fromkeys(left[:_NAMES_KEPT]))
            if time.monotonic() - started >= timeout_s:
                raise StillBusy(timeout_s, left)
            await asyncio.sleep(_LOOK_AGAIN_S)
            if silent:
                heads, silent = await _heads(configured)
    return {
        "quiet": True,
        "waited_ms": int((time.monotonic() - started) * 1000),
        "waited_for": list(waited_for)[:_NAMES_KEPT],
    }


async def _heads(configured: Mapping[str, Chain]) -> tuple[dict[str, Heads], list[str]]:
    """The chains' heads now, and which chains do not answer."""
    heads: dict[str, Heads] = {}
    silent: list[str] = []
    for name, chain in configured.items():
        try:
            heads[name] = await chain.heads()
        except ChainUnavailable:
            silent.append(f"{name}: does not answer")
    return heads, silent


async def _left(
    database: Database, probes: Sequence[BusyProbe], heads: Mapping[str, Heads]
) -> tuple[list[str], list[str]]:
    """(what is to be done, which watchers have not reached `heads`).

    One transaction: in a seeded world no turn lies within, in which work could pass from a slice
    that was not asked yet to one that was.
    """
    async with database.transaction() as db:
        work = await chains.busy(db, {})
        behind = [name for name in await chains.busy(db, heads) if name not in work]
        for probe in probes:
            work += await probe(db)
    return work, behind
