"""Before anything reads the world at a start: what was chosen is finished, halves are swept."""

import asyncio
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from sandbox import migrations, wiring
from sandbox.cli.world import forking
from sandbox.cli.world.chains import Chains
from sandbox.cli.world.control_db import (
    LEFT,
    NEXT,
    SNAP,
    WORLD,
    Control,
    Snapshot,
    control,
    database_of,
    on_chains,
    renewal,
)
from sandbox.core.db import Database
from sandbox.core.settings import Settings
from sandbox.devnets import datadir
from sandbox.eventlog import sealing
from sandbox.lab import worlds

_OURS: Final = re.compile(r"world-[0-9]+")
# Far from every epoch that the sandbox of which it is a fork will ever count to.
_FORKS_FROM, _FORKS_TO, _FORKS_APART = 100_000_000, 900_000_000, 1_000_000


async def recover(settings: Settings) -> None:
    """Finish a restore that was chosen, begin a fork's world, and forget what was not.

    May be repeated. Raises `ChainSilent`, `ChainRefused`, asyncpg's errors and OSError.
    """
    rpcs = {"solana": settings.solana_rpc, "evm": settings.evm_rpc}
    async with control(settings.owner_url) as db, Chains(rpcs) as chains:
        command = await db.command()
        forked_from = forking.pending(settings.data_dir)
        if command is None and forked_from is not None:
            command = await _begin_fork(settings, db, forked_from)
        if command is not None:
            await _finish(settings, db, chains, command)
        if forked_from is not None:
            forking.done(settings.data_dir)
        await _sweep(settings, db, chains)


async def _begin_fork(settings: Settings, db: Control, snapshot_id: int) -> dict[str, Any]:
    """The snapshot's world instead of that of the sandbox it came from, which is no more here."""
    await db.forget_others(snapshot_id)
    snapshot = next(one for one in await db.snapshots() if one.id == snapshot_id)
    # A world goes on from lower epochs only, also the fork of a fork: a part of what is above.
    first = max(_FORKS_FROM, snapshot.epoch + _FORKS_APART)
    epoch = first + secrets.randbelow((_FORKS_TO - first) // 8)
    await db.count_epochs_from(epoch)
    for stale in (*await db.databases(NEXT), *await db.databases(LEFT)):
        await db.drop(stale)
    # What the snapshot's world says of its own end is what was left, too.
    await asyncio.to_thread(migrations.upgrade, await _opened(settings, db, snapshot))
    left = await _facts(settings, snapshot.database)
    await db.close_to_all(snapshot.database)
    await db.copy(snapshot.database, f"{NEXT}{epoch}")
    command = {
        "id": snapshot.id,
        "snapshot": snapshot.name,
        "at_ms": snapshot.at_ms,
        "epoch": epoch,
        "left": left,
        "fork": True,
    }
    await db.move_in(command, f"{NEXT}of_another")
    return command


async def _opened(settings: Settings, db: Control, snapshot: Snapshot) -> str:
    await db.open_to_all(snapshot.database)
    return database_of(settings.owner_url, snapshot.database)


async def _facts(settings: Settings, database: str) -> dict[str, Any]:
    url = database_of(settings.database_url, database)
    found = Database(url, connections=2)
    try:
        return await worlds.facts(found)
    finally:
        await found.let_go()


async def _finish(
    settings: Settings, db: Control, chains: Chains, command: Mapping[str, Any]
) -> None:
    await chains.pause()
    await asyncio.to_thread(migrations.upgrade, database_of(settings.owner_url, WORLD))
    await chains.restore(on_chains(command["id"]))
    async with wiring.open_world(settings, signing=True) as world:
        sequence, _ = worlds.steps_of(wiring.loops(world))
        now = await worlds.renew(world.database, sequence, **renewal(command))
        if command.get("fork"):
            await _seal_kept(settings, world.database, command["epoch"])
    await chains.set_clocks(now["offset_ms"], now["frozen_ms"])
    await db.finished()
    await chains.clear_faults()


async def _seal_kept(settings: Settings, database: Database, epoch: int) -> None:
    """Of the epochs before the fork, what the snapshot has of them."""
    settings.sealed_dir.mkdir(mode=0o700, exist_ok=True)
    for kept in await sealing.epochs(database):
        if kept != epoch:
            await sealing.seal(database, kept, settings.sealed_dir)


async def upgrade_snapshots(settings: Settings) -> None:
    """Give snapshots of an older version the tables that the world has by now."""
    world = await asyncpg.connect(database_of(settings.owner_url, WORLD))
    try:
        version = await world.fetchval("SELECT version_num FROM alembic_version")
    finally:
        await world.close()
    async with control(settings.owner_url) as db:
        for snapshot in await db.schema_is(version):
            await asyncio.to_thread(migrations.upgrade, await _opened(settings, db, snapshot))
            await db.upgraded(snapshot)


async def _sweep(settings: Settings, db: Control, chains: Chains) -> None:
    """Forget copies that nothing names."""
    known = await db.snapshots()
    databases = {one.database for one in known}
    for found in set(await db.databases(SNAP)) - databases:
        await db.drop(found)
    for found in set(await db.open_databases(SNAP)) & databases:
        await db.close_to_all(found)
    for found in await db.databases(NEXT):
        await db.drop(found)
    names = {one.on_chains for one in known}
    await chains.sweep(lambda name: bool(_OURS.fullmatch(name)) and name not in names)
    left = {int(name.removeprefix(LEFT)) for name in await db.databases(LEFT)}
    datadir.unmark_sealing_but(settings.data_dir, left)
